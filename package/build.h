/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_BUILD_H
#define ARROW_PACKAGE_BUILD_H

/* Images of programs, directories and archives; see docs/build.md. */

#include "core/spec/spec.h"
#include "image/oci/reference.h"

/* What an image is made of. Everything is owned; all zeros is an empty one. */
struct arrow_build {
	char *source;               /* a program or a directory */
	struct arrow_strings names; /* that it gets */
	struct arrow_strings entrypoint, cmd, env, ports, volumes, labels;
	char *user, *workdir, *stop_signal, *kernel;
	char *message;                 /* the comment of its step in the history */
	char *memory, *cpus, *restart; /* as those options of `arrow run` */
	bool with_kernel;              /* the kernel comes along, as a layer */
};

void arrow_build_release(struct arrow_build *build);

/*
 * Each sets or adds one part. Errors name the value and what is expected.
 *   words: '["a", "b"]', or one word
 */
int arrow_build_words(
	struct arrow_strings *words, const char *text, struct arrow_error *error) ARROW_MUST_CHECK;
int arrow_build_env(struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_port(struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_volume(
	struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_label(
	struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_workdir(
	struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_signal(
	struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_memory(
	struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_cpus(struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_build_restart(
	struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;

/* A line of a Dockerfile, as `docker import -c` takes it: "CMD [\"/bin/sh\"]", "ENV A=b". */
int arrow_build_change(
	struct arrow_build *, const char *text, struct arrow_error *) ARROW_MUST_CHECK;

/*
 * Reads an Arrowfile (package/arrowfile.c) into what is not set yet. Paths in it are relative to
 * it. Errors: one line with the file's name and line number.
 */
int arrow_build_file(
	struct arrow_build *build, const char *path, struct arrow_error *error) ARROW_MUST_CHECK;

/* The same from memory; directory is what paths are relative to. */
int arrow_build_text(struct arrow_build *build, const char *text, size_t size,
	const char *directory, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Makes the image. The same source and options give the same digests: entries are sorted and times
 * are source_date_epoch of the settings, or 0.
 *   id: gets the digest of its configuration
 */
int arrow_build_image(const struct arrow_paths *paths, const struct arrow_build *build,
	char id[OCI_DIGEST_SIZE], struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Makes an image of what other tools have: a directory or archive of a root file system, an OCI
 * layout, an archive of `docker save` or `podman save`, "docker-daemon:IMAGE" or "podman:IMAGE".
 *   source:  a path, or "-" for stdin
 *   name:    of the image; NULL only where it brings its own
 *   changes: for a root file system
 *   log:     gets "Loaded image: NAME", or the id of the new image
 */
int arrow_import(const struct arrow_paths *paths, const char *source, const char *name,
	const struct arrow_build *changes, struct arrow_strings *log,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
