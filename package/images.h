/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_IMAGES_H
#define ARROW_PACKAGE_IMAGES_H

/* Managing the images of the store, for the command line and the service. */

#include <jansson.h>

#include "core/spec/spec.h"
#include "image/oci/store.h"

/*
 * All images that can run here, the newest first: objects with id (of the configuration), digest,
 * name (whole, or null), repository and tag (or "<none>"), created (RFC 3339, may be ""), size
 * (bytes of the layers in the store), labels, architecture. Damaged ones are left out.
 */
int arrow_images_list(
	const struct arrow_paths *paths, json_t **rows, struct arrow_error *error) ARROW_MUST_CHECK;

/* One image as `docker image inspect` shows it. */
int arrow_images_inspect(const struct arrow_paths *paths, const char *name, json_t **object,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The steps that made an image, the newest first: id ("<missing>" but for the first), created,
 * created_by, size (of the layer in the store, 0 where the step made none), comment.
 */
int arrow_images_history(const struct arrow_paths *paths, const char *name, json_t **rows,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Gives an image another name. */
int arrow_images_tag(const struct arrow_paths *paths, const char *source, const char *target,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes a name away, and with the last one the image.
 *   force: also an image with several names (by its id), or that an Arrow uses
 *   log:   gets lines as docker prints them: "Untagged: ...", "Deleted: ..."
 * Errors: -ENOENT, -EBUSY (used or named otherwise).
 */
int arrow_images_remove(const struct arrow_paths *paths, const char *name, bool force,
	struct arrow_strings *log, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes images without a name, or (all) those that no Arrow uses, then everything that no image
 * reaches; bytes gets what that gave back.
 *   wanted: whether one may go, by its row of arrow_images_list(); or NULL
 */
int arrow_images_prune(const struct arrow_paths *paths, bool all,
	bool (*wanted)(const json_t *row, void *arg), void *wanted_arg, struct arrow_strings *log,
	uint64_t *bytes, struct arrow_error *error) ARROW_MUST_CHECK;

/* Writes images and their names as an archive. */
int arrow_images_save(const struct arrow_paths *paths, char *const *names, size_t n, int fd,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Writes an image as an OCI layout into a directory that is empty or missing. */
int arrow_images_export_layout(const struct arrow_paths *paths, const char *name,
	const char *directory, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Stores the images of an archive. log gets "Loaded image: NAME" or "Loaded image ID: ID".
 *   source: names it in errors
 * Nothing stays of one that fails.
 */
int arrow_images_load(const struct arrow_paths *paths, int fd, const char *source,
	struct arrow_strings *log, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * A descriptor that can be read twice: itself if it is of a file, else of a file in the store,
 * without a name, into which all of it was copied.
 */
int arrow_images_seekable(const struct arrow_paths *paths, int fd, int *seekable,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Checks the store: every blob against its digest, every image for blobs that it misses, and what
 * nothing reaches. each() is called with a digest and what is wrong with it.
 *   fix:     remove damaged blobs and what nothing reaches
 *   checked: gets the number of blobs
 *   left:    gets the number of files that nothing reaches
 * A store that was never used has nothing to check.
 */
int arrow_images_verify(const struct arrow_paths *paths, bool fix, unsigned int *checked,
	unsigned int *left, void (*each)(const char *digest, const char *what, void *arg),
	void *arg, struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes what a failed import left; failing to do so leaves it to the next prune. */
void arrow_images_tidy(struct oci_store *store, const struct arrow_paths *paths);

#endif
