// SPDX-License-Identifier: Apache-2.0
/* Images into archives and directories. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/oci/archive.h"
#include "image/oci/libarchive.h"
#include "util/cleanup.h"
#include "util/io.h"

#define PIECE ((size_t)256 * 1024)
#define LAYOUT "{\"imageLayoutVersion\": \"1.0.0\"}\n"
#define FULL_NAME "io.containerd.image.name"
#define REF_NAME "org.opencontainers.image.ref.name"

/* The blobs of all images, sorted, each once. */
struct blobs {
	struct oci_descriptor *v; /* media types are borrowed */
	size_t n;
};

static int by_digest(const void *a, const void *b)
{
	return strcmp(((const struct oci_descriptor *)a)->digest,
		((const struct oci_descriptor *)b)->digest);
}

static int save_collect(struct blobs *blobs, const struct oci_saved *images, size_t n)
{
	size_t room = 0, kept = 0;

	for (size_t i = 0; i < n; i++)
		room += 2 + images[i].image->manifest.n_layers;
	blobs->v = calloc(room + 1, sizeof(*blobs->v));
	if (!blobs->v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct oci_image *image = images[i].image;

		blobs->v[blobs->n++] = image->descriptor;
		blobs->v[blobs->n++] = image->manifest.config;
		for (size_t k = 0; k < image->manifest.n_layers; k++)
			blobs->v[blobs->n++] = image->manifest.layers[k];
	}
	qsort(blobs->v, blobs->n, sizeof(*blobs->v), by_digest);
	for (size_t i = 0; i < blobs->n; i++)
		if (kept == 0 || strcmp(blobs->v[kept - 1].digest, blobs->v[i].digest) != 0)
			blobs->v[kept++] = blobs->v[i];
	blobs->n = kept;
	return 0;
}

static json_t *index_line(const struct oci_descriptor *d, const char *name)
{
	json_t *line = oci_descriptor_json(d);

	if (line && name)
		json_object_set_new(line, "annotations",
			json_pack("{s:s, s:s}", FULL_NAME, name, REF_NAME, name));
	return line;
}

static char *index_text(const struct oci_saved *images, size_t n)
{
	json_t *lines = json_array(), *index;
	char *text;

	for (size_t i = 0; i < n; i++) {
		const struct oci_descriptor *d = &images[i].image->descriptor;

		for (char **name = images[i].names; *name; name++)
			json_array_append_new(lines, index_line(d, *name));
		if (!images[i].names[0])
			json_array_append_new(lines, index_line(d, NULL));
	}
	index = json_pack("{s:i, s:s, s:o}", "schemaVersion", 2, "mediaType", OCI_TYPE_INDEX,
		"manifests", lines);
	text = index ? json_dumps(index, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(index);
	return text;
}

static json_t *blob_path(const char *digest)
{
	return json_sprintf("blobs/sha256/%s", digest + strlen("sha256:"));
}

/* manifest.json of `docker save`: names as users know them, and only those with a tag. */
static char *docker_text(const struct oci_saved *images, size_t n)
{
	json_t *all = json_array();
	char *text;

	for (size_t i = 0; i < n; i++) {
		const struct oci_manifest *m = &images[i].image->manifest;
		json_t *tags = json_array(), *layers = json_array();

		for (char **name = images[i].names; *name; name++) {
			_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
			_cleanup_reference_ struct oci_reference r = {0};
			_cleanup_free_ char *familiar = NULL;

			if (oci_reference_parse(&r, *name, &ignored) < 0 || !r.tag)
				continue;
			familiar = oci_reference_familiar(&r);
			if (familiar)
				json_array_append_new(tags, json_sprintf("%s:%s", familiar, r.tag));
		}
		for (size_t k = 0; k < m->n_layers; k++)
			json_array_append_new(layers, blob_path(m->layers[k].digest));
		json_array_append_new(
			all, json_pack("{s:o, s:o, s:o}", "Config", blob_path(m->config.digest),
				     "RepoTags", tags, "Layers", layers));
	}
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return text;
}

static int write_header(struct archive *a, const char *path, uint32_t type, uint64_t size,
	struct arrow_error *error)
{
	struct archive_entry *entry = archive_entry_new();
	int e = 0;

	if (!entry)
		return arrow_no_memory(error);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, type == AE_IFDIR ? 0755 : 0644);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	if (archive_write_header(a, entry) < ARCHIVE_WARN)
		e = arrow_fail(error, EIO, "cannot write the archive: %s", archive_error_string(a));
	archive_entry_free(entry);
	return e;
}

static int write_data(struct archive *a, const void *data, size_t size, struct arrow_error *error)
{
	if (archive_write_data(a, data, size) == (la_ssize_t)size)
		return 0;
	return arrow_fail(error, archive_errno(a) > 0 ? archive_errno(a) : EIO,
		"cannot write the archive: %s", archive_error_string(a));
}

static int write_text(
	struct archive *a, const char *path, const char *text, struct arrow_error *error)
{
	int e = text ? write_header(a, path, AE_IFREG, strlen(text), error)
		     : arrow_no_memory(error);

	return e == 0 ? write_data(a, text, strlen(text), error) : e;
}

static int write_blob(struct archive *a, const struct oci_store *store,
	const struct oci_descriptor *d, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("blobs/sha256/%s", d->digest + strlen("sha256:"));
	_cleanup_free_ char *buf = malloc(PIECE);
	_cleanup_close_ int fd = -1;
	ssize_t n;
	int e;

	if (!path || !buf)
		return arrow_no_memory(error);
	e = oci_blob_open(store, d->digest, &fd, error);
	if (e == 0)
		e = write_header(a, path, AE_IFREG, d->size, error);
	while (e == 0 && (n = read_full(fd, buf, PIECE)) != 0)
		e = n < 0 ? arrow_fail(error, (int)-n, "cannot read the blob %s: %m", d->digest)
			  : write_data(a, buf, (size_t)n, error);
	return e;
}

int oci_archive_save(const struct oci_store *store, const struct oci_saved *images, size_t n,
	int fd, struct arrow_error *error)
{
	_cleanup_free_ char *index = index_text(images, n), *docker = docker_text(images, n);
	int e = libarchive_load(error);
	struct blobs blobs = {0};
	struct archive *a;

	if (e < 0)
		return e;
	a = archive_write_new();
	e = a ? save_collect(&blobs, images, n) : -ENOMEM;
	if (e < 0)
		e = arrow_no_memory(error);
	else if (archive_write_set_format_pax_restricted(a) < ARCHIVE_WARN ||
		 /* Else the padding depends on what is written to. */
		 archive_write_set_bytes_in_last_block(a, 1) < ARCHIVE_WARN ||
		 archive_write_open_fd(a, fd) < ARCHIVE_WARN)
		e = arrow_fail(error, EIO, "cannot write the archive: %s", archive_error_string(a));
	if (e == 0)
		e = write_header(a, "blobs", AE_IFDIR, 0, error);
	if (e == 0)
		e = write_header(a, "blobs/sha256", AE_IFDIR, 0, error);
	for (size_t i = 0; e == 0 && i < blobs.n; i++)
		e = write_blob(a, store, &blobs.v[i], error);
	if (e == 0)
		e = write_text(a, "index.json", index, error);
	if (e == 0)
		e = write_text(a, "manifest.json", docker, error);
	if (e == 0)
		e = write_text(a, "oci-layout", LAYOUT, error);
	if (e == 0 && archive_write_close(a) < ARCHIVE_WARN)
		e = arrow_fail(error, archive_errno(a) > 0 ? archive_errno(a) : EIO,
			"cannot write the archive: %s", archive_error_string(a));
	if (a && e < 0)
		archive_write_fail(a);
	if (a)
		archive_write_free(a);
	free(blobs.v);
	return e;
}

static int copy_blob(int dirfd, const struct oci_store *store, const struct oci_descriptor *d,
	struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("blobs/sha256/%s", d->digest + strlen("sha256:"));
	_cleanup_free_ char *buf = malloc(PIECE);
	_cleanup_close_ int in = -1, out = -1;
	ssize_t n;
	int e;

	if (!path || !buf)
		return arrow_no_memory(error);
	e = oci_blob_open(store, d->digest, &in, error);
	if (e < 0)
		return e;
	out = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (out < 0)
		return arrow_fail(error, errno, "cannot write %s: %m", path);
	while ((n = read_full(in, buf, PIECE)) != 0) {
		e = n < 0 ? (int)n : write_full(out, buf, (size_t)n);
		if (e < 0)
			return arrow_fail(error, -e, "cannot write %s: %m", path);
	}
	return 0;
}

int oci_layout_save(const struct oci_store *store, const struct oci_saved *images, size_t n,
	const char *path, struct arrow_error *error)
{
	_cleanup_free_ char *index = index_text(images, n);
	struct blobs blobs = {0};
	_cleanup_close_ int fd = -1;
	int e;

	/* Not into what is somebody's already; rmdir of an empty one and making it anew is the
	 * test. */
	if (rmdir(path) < 0 && errno != ENOENT)
		return arrow_fail(
			error, errno, "cannot write to %s: %m; name an empty directory", path);
	if (mkdir(path, 0755) < 0)
		return arrow_fail(error, errno, "cannot make %s: %m", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || mkdirat(fd, "blobs", 0755) < 0 || mkdirat(fd, "blobs/sha256", 0755) < 0)
		return arrow_fail(error, errno, "cannot write in %s: %m", path);
	e = index ? save_collect(&blobs, images, n) : -ENOMEM;
	if (e < 0)
		e = arrow_no_memory(error);
	for (size_t i = 0; e == 0 && i < blobs.n; i++)
		e = copy_blob(fd, store, &blobs.v[i], error);
	free(blobs.v);
	if (e < 0)
		return e;
	e = write_file_atomic(fd, "oci-layout", 0644, LAYOUT, strlen(LAYOUT));
	/* Last: what has it is whole. */
	if (e == 0)
		e = write_file_atomic(fd, "index.json", 0644, index, strlen(index));
	return e < 0 ? arrow_fail(error, -e, "cannot write in %s: %m", path) : 0;
}
