// SPDX-License-Identifier: Apache-2.0
#include "package/build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "package/annotations.h"
#include "package/image_kernel.h"
#include "core/spec/settings.h"
#include "package/archive.h"
#include "package/remove.h"
#include "image/oci/archive.h"
#include "image/store.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

#define SAVE_DEADLINE_MS (30u * 60u * 1000u)

/* The time that everything in a built image has. */
static int build_time(const struct arrow_paths *paths, int64_t *when, struct arrow_error *error)
{
	const char *text = paths->settings ? paths->settings->source_date_epoch : NULL;
	char *end;

	*when = 0;
	if (!text || !*text)
		return 0;
	errno = 0;
	*when = strtoll(text, &end, 10);
	if (errno || *end || *when < 0)
		return arrow_fail(error, EINVAL,
			"SOURCE_DATE_EPOCH=%s is not a number of seconds since 1970", text);
	return 0;
}

/* "key=value"s for the manifest. */
static int build_annotate(struct arrow_strings *list, const struct arrow_build *b,
	const struct oci_layer *kernel, struct arrow_error *error)
{
	const char *const pairs[][2] = {{ARROW_ANNOTATION_KERNEL, b->kernel},
		{ARROW_ANNOTATION_KERNEL_LAYER, kernel ? kernel->blob.digest : NULL},
		{ARROW_ANNOTATION_MEMORY, b->memory}, {ARROW_ANNOTATION_CPUS, b->cpus},
		{ARROW_ANNOTATION_RESTART, b->restart}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		_cleanup_free_ char *pair = NULL;

		if (!pairs[i][1])
			continue;
		pair = path_format("%s=%s", pairs[i][0], pairs[i][1]);
		if (!pair || arrow_strings_add(list, pair) < 0)
			return arrow_no_memory(error);
	}
	return 0;
}

/* Configuration and manifest around a layer, and its names. */
static int build_store_image(const struct oci_store *store, const struct arrow_build *b,
	const struct oci_layer *kernel, const struct oci_layer *layer, char *const *entrypoint,
	int64_t created, const char *created_by, char id[OCI_DIGEST_SIZE],
	struct arrow_error *error)
{
	_cleanup_descriptor_ struct oci_descriptor manifest = {0};
	_cleanup_oci_image_ struct oci_image image = {0};
	struct arrow_strings annotations = {0};
	struct oci_recipe recipe = {.base = kernel,
		.base_created_by = "arrow build --with-kernel",
		.layer = layer,
		.entrypoint = b->entrypoint.n ? b->entrypoint.v : entrypoint,
		.cmd = b->cmd.v,
		.env = b->env.v,
		.volumes = b->volumes.v,
		.ports = b->ports.v,
		.labels = b->labels.v,
		.user = b->user,
		.workdir = b->workdir,
		.stop_signal = b->stop_signal,
		.created_by = created_by,
		.comment = b->message,
		.created = created};
	int e = build_annotate(&annotations, b, kernel, error);

	recipe.annotations = annotations.v;
	if (e == 0)
		e = oci_image_build(store, &recipe, &manifest, error);
	arrow_strings_release(&annotations);
	if (e == 0)
		e = oci_image_read(&image, store, &manifest, "the new image", NULL, error);
	if (e == 0 && b->names.n == 0)
		e = oci_store_keep(store, &manifest, error);
	for (size_t i = 0; e == 0 && i < b->names.n; i++) {
		_cleanup_reference_ struct oci_reference r = {0};

		e = oci_reference_parse(&r, b->names.v[i], error);
		if (e == 0 && r.digest)
			e = arrow_fail(error, EINVAL,
				"cannot name an image '%s': its digest is not known before it is built",
				b->names.v[i]);
		if (e == 0)
			e = oci_store_tag(store, &r, &manifest, NULL, error);
	}
	if (e == 0)
		memcpy(id, image.manifest.config.digest, OCI_DIGEST_SIZE);
	return e;
}

/* Names that are none are told before anything is packed. */
static int build_check_names(const struct arrow_strings *names, struct arrow_error *error)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < names->n; i++) {
		_cleanup_reference_ struct oci_reference r = {0};

		e = oci_reference_parse(&r, names->v[i], error);
	}
	return e;
}

static int build_layers(const struct oci_store *store, const struct arrow_paths *paths,
	const struct arrow_build *b, char id[OCI_DIGEST_SIZE], struct arrow_error *error)
{
	_cleanup_layer_ struct oci_layer layer = {0}, kernel = {0};
	_cleanup_free_ char *entrypoint = NULL;
	struct arrow_build own = *b;
	char *words[2] = {NULL, NULL};
	struct stat st;
	int64_t when;
	int e = build_time(paths, &when, error);

	if (e < 0)
		return e;
	if (stat(b->source, &st) == 0 && S_ISDIR(st.st_mode)) {
		e = oci_layer_from_tree(store,
			&(struct oci_tree_options){.path = b->source,
				.all_root = geteuid() != 0,
				.mtime = when,
				.skip = paths->data},
			&layer, error);
	} else {
		e = oci_layer_from_program(store, paths->data, b->source,
			arrow_settings_library_path(paths), when, &layer, &entrypoint, error);
		words[0] = entrypoint;
		/* What `arrow run` takes for the program itself. */
		if (!own.kernel)
			own.kernel = (char *)(uintptr_t) "micro";
	}
	if (e == 0 && b->with_kernel)
		e = arrow_image_kernel_pack(
			store, paths, own.kernel ? own.kernel : "general", when, &kernel, error);
	return e == 0 ? build_store_image(store, &own, b->with_kernel ? &kernel : NULL, &layer,
				words, when, "arrow build", id, error)
		      : e;
}

int arrow_build_image(const struct arrow_paths *paths, const struct arrow_build *b,
	char id[OCI_DIGEST_SIZE], struct arrow_error *error)
{
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	int e = build_check_names(&b->names, error);

	if (e == 0)
		e = oci_store_open(&store, paths->data, error);
	if (e < 0)
		return e;
	e = build_layers(&store, paths, b, id, error);
	if (e < 0)
		arrow_images_tidy(&store, paths);
	return e;
}

static int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

struct import {
	const struct arrow_paths *paths;
	const struct arrow_build *changes;
	const char *name; /* or NULL */
	const struct oci_reference *reference;
	struct oci_store *store;
	struct arrow_strings *log;
	struct arrow_error *error;
};

static void import_note(const char *name, const struct oci_descriptor *d, void *arg)
{
	_cleanup_free_ char *line = path_format(
		name ? "Loaded image: %s" : "Loaded image ID: %s", name ? name : d->digest);

	if (line)
		(void)!arrow_strings_add(arg, line);
}

static int import_rootfs(struct import *in, const struct oci_layer *layer)
{
	struct arrow_build b = *in->changes;
	char *names[] = {(char *)(uintptr_t)in->name, NULL};
	char id[OCI_DIGEST_SIZE];
	int e;

	b.names = (struct arrow_strings){names, in->name ? 1 : 0};
	e = build_store_image(
		in->store, &b, NULL, layer, NULL, now_s(), "arrow import", id, in->error);
	if (e == 0 && arrow_strings_add(in->log, id) < 0)
		e = arrow_no_memory(in->error);
	return e;
}

static int import_file(struct import *in, int fd)
{
	_cleanup_layer_ struct oci_layer layer = {0};
	_cleanup_close_ int seekable = -1;
	enum oci_archive kind = OCI_ARCHIVE_ROOTFS;
	int e = arrow_images_seekable(in->paths, fd, &seekable, in->error);

	if (e == 0)
		e = oci_archive_look(seekable, &kind, in->error);
	if (e < 0)
		return e;
	if (kind != OCI_ARCHIVE_ROOTFS)
		return oci_archive_load(
			in->store, seekable, kind, in->reference, import_note, in->log, in->error);
	e = oci_rootfs_layer(
		in->store, seekable, arrow_settings_image_limits(in->paths), &layer, in->error);
	return e == 0 ? import_rootfs(in, &layer) : e;
}

static int import_directory(struct import *in, const char *path)
{
	_cleanup_layer_ struct oci_layer layer = {0};
	_cleanup_free_ char *layout = path_format("%s/oci-layout", path);
	int e;

	if (layout && access(layout, F_OK) == 0)
		return oci_layout_load(
			in->store, path, in->reference, import_note, in->log, in->error);
	e = oci_layer_from_tree(in->store,
		&(struct oci_tree_options){.path = path,
			.all_root = geteuid() != 0,
			.mtime = -1,
			.skip = in->paths->data},
		&layer, in->error);
	return e == 0 ? import_rootfs(in, &layer) : e;
}

/* What docker or podman has: they write it into a file of ours. */
static int import_from_tool(struct import *in, const char *tool, const char *image)
{
	_cleanup_store_ struct image_store images = {.fd = -1};
	_cleanup_temp_ struct image_temp temp = {.fd = -1};
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *path = NULL;
	const char *argv[] = {tool, "save", "-o", NULL, image, NULL};
	struct process_options run = {
		.argv = argv, .userns_fd = -1, .deadline_ms = SAVE_DEADLINE_MS};
	int e;

	if (image[0] == '-' || !*image)
		return arrow_fail(in->error, EINVAL, "invalid image name '%s' for %s", image, tool);
	e = image_store_open(&images, in->paths->data, in->error);
	if (e == 0)
		e = image_temp_begin(&temp, &images, in->error);
	if (e < 0)
		return e;
	path = path_format("%s/archive", temp.path);
	argv[3] = path;
	e = path ? process_run(&run, in->error) : arrow_no_memory(in->error);
	if (e < 0)
		return arrow_error_prefix(in->error, e, "cannot get %s from %s", image, tool);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return arrow_fail(in->error, errno, "%s wrote no archive: %m", tool);
	return import_file(in, fd);
}

static int import_source(struct import *in, const char *source)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (strncmp(source, "docker-daemon:", 14) == 0)
		return import_from_tool(in, "docker", source + 14);
	if (strncmp(source, "podman:", 7) == 0)
		return import_from_tool(in, "podman", source + 7);
	if (strcmp(source, "-") == 0)
		return import_file(in, STDIN_FILENO);
	if (stat(source, &st) == 0 && S_ISDIR(st.st_mode))
		return import_directory(in, source);
	fd = open(source, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return arrow_fail(in->error, errno, "cannot open %s: %m", source);
	return import_file(in, fd);
}

int arrow_import(const struct arrow_paths *paths, const char *source, const char *name,
	const struct arrow_build *changes, struct arrow_strings *log, struct arrow_error *error)
{
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	_cleanup_reference_ struct oci_reference reference = {0};
	struct import in = {.paths = paths,
		.changes = changes,
		.name = name,
		.reference = name ? &reference : NULL,
		.store = &store,
		.log = log,
		.error = error};
	int e = name ? oci_reference_parse(&reference, name, error) : 0;

	if (e == 0 && reference.digest)
		return arrow_fail(error, EINVAL,
			"cannot name an image '%s': a digest cannot be used as a name", name);
	if (e == 0)
		e = oci_store_open(&store, paths->data, error);
	if (e < 0)
		return e;
	e = import_source(&in, source);
	if (e < 0) {
		arrow_images_tidy(&store, paths);
		return arrow_error_prefix(error, e, "cannot import %s", source);
	}
	return 0;
}
