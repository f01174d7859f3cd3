// SPDX-License-Identifier: Apache-2.0
#include "image/oci/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define LAYOUT "{\"imageLayoutVersion\": \"1.0.0\"}\n"
#define INDEX "index.json"
#define INDEX_MAX (64u << 20) /* bytes; some hundred thousand names */
#define REF_NAME "org.opencontainers.image.ref.name"
#define FULL_NAME "io.containerd.image.name"

static int store_lock(int fd, int how)
{
	int r;

	while ((r = flock(fd, how)) < 0 && errno == EINTR)
		;
	return r < 0 ? -errno : 0;
}

/* Makes what is missing of the layout. Two at once make the same. */
static int store_make_layout(int fd)
{
	if ((mkdirat(fd, "blobs", 0700) < 0 && errno != EEXIST) ||
		(mkdirat(fd, "blobs/sha256", 0700) < 0 && errno != EEXIST) ||
		(mkdirat(fd, "ingest", 0700) < 0 && errno != EEXIST))
		return -errno;
	if (faccessat(fd, "oci-layout", F_OK, 0) == 0)
		return 0;
	return write_file_atomic(fd, "oci-layout", 0600, LAYOUT, strlen(LAYOUT));
}

static int store_open_folders(struct oci_store *s, const char *data)
{
	int e;

	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0 && errno == ENOENT) {
		e = mkdir_all(data, 0755);
		if (e < 0)
			return e;
		if (mkdir(s->path, 0700) < 0 && errno != EEXIST)
			return -errno;
		s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (s->fd < 0)
		return -errno;
	s->lock_fd = openat(s->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return -errno;
	e = store_lock(s->lock_fd, LOCK_SH);
	if (e == 0)
		e = store_make_layout(s->fd);
	if (e < 0)
		return e;
	s->blobs_fd = openat(s->fd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->blobs_fd < 0 ? -errno : 0;
}

int oci_store_open(struct oci_store *s, const char *data, struct arrow_error *error)
{
	int e;

	*s = (struct oci_store){.fd = -1, .blobs_fd = -1, .lock_fd = -1};
	s->path = path_format("%s/oci", data);
	if (!s->path)
		return arrow_no_memory(error);
	e = store_open_folders(s, data);
	if (e < 0) {
		arrow_fail(error, -e,
			"cannot open the image store %s: %m; set ARROW_DATA_DIR to another directory",
			s->path);
		oci_store_release(s);
	}
	return e;
}

void oci_store_release(struct oci_store *s)
{
	/* One that was never opened holds nothing, whatever its descriptors say. */
	if (!s->path)
		return;
	close_keep_errno(s->blobs_fd);
	close_keep_errno(s->lock_fd);
	close_keep_errno(s->fd);
	free(s->path);
	*s = (struct oci_store){.fd = -1, .blobs_fd = -1, .lock_fd = -1};
}

/* index.json as it is, or an empty one. */
static int store_load_index(const struct oci_store *s, json_t **index, struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	json_error_t why;
	int e = read_file(s->fd, INDEX, INDEX_MAX, &text, &size);

	*index = NULL;
	if (e == -ENOENT) {
		*index = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
			OCI_TYPE_INDEX, "manifests");
		return *index ? 0 : arrow_no_memory(error);
	}
	if (e < 0)
		return arrow_fail(error, -e, "cannot read %s/" INDEX ": %m", s->path);
	*index = json_loadb(text, size, 0, &why);
	if (json_is_array(json_object_get(*index, "manifests")))
		return 0;
	e = arrow_fail(error, EBADMSG,
		"%s/" INDEX " is damaged (%s): move it away, and load or pull the images again",
		s->path, *index ? "it has no manifests" : why.text);
	json_decref(STEAL(*index));
	return e;
}

static int store_save_index(
	const struct oci_store *s, const json_t *index, struct arrow_error *error)
{
	_cleanup_free_ char *text = json_dumps(index, JSON_INDENT(2));
	int e = text ? write_file_atomic(s->fd, INDEX, 0600, text, strlen(text)) : -ENOMEM;

	if (e == 0 && fsync(s->fd) < 0)
		e = -errno;
	return e < 0 ? arrow_fail(error, -e, "cannot write %s/" INDEX ": %m", s->path) : 0;
}

/* Changes index.json as one step: the old or the new one is there, whatever happens. */
static int store_change_index(const struct oci_store *s,
	int (*change)(json_t *manifests, void *arg), void *arg, struct arrow_error *error)
{
	_cleanup_close_ int fd =
		openat(s->fd, "index.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	json_t *index;
	int e;

	if (fd < 0)
		return arrow_fail(error, errno, "cannot open %s/index.lock: %m", s->path);
	e = store_lock(fd, LOCK_EX);
	if (e < 0)
		return arrow_fail(error, -e, "cannot lock %s/index.lock: %m", s->path);
	e = store_load_index(s, &index, error);
	if (e < 0)
		return e;
	e = change(json_object_get(index, "manifests"), arg);
	if (e == 0)
		e = store_save_index(s, index, error);
	else if (e == -ENOMEM)
		arrow_no_memory(error);
	json_decref(index);
	return e;
}

/* Containerd's annotation, else the one of the specification where it is a whole reference. */
static const char *name_of(const json_t *line)
{
	const json_t *annotations = json_object_get(line, "annotations");
	const char *name = json_string_value(json_object_get(annotations, FULL_NAME));

	return name ? name : json_string_value(json_object_get(annotations, REF_NAME));
}

static const char *digest_of(const json_t *line)
{
	const char *digest = json_string_value(json_object_get(line, "digest"));

	return digest ? digest : "";
}

int oci_store_list(
	const struct oci_store *s, struct oci_entries *entries, struct arrow_error *error)
{
	json_t *index, *manifests, *line;
	size_t i;
	int e;

	*entries = (struct oci_entries){0};
	e = store_load_index(s, &index, error);
	if (e < 0)
		return e;
	manifests = json_object_get(index, "manifests");
	entries->v = calloc(json_array_size(manifests) + 1, sizeof(*entries->v));
	if (!entries->v)
		e = arrow_no_memory(error);
	json_array_foreach (manifests, i, line) {
		struct oci_entry *entry = entries->v ? &entries->v[entries->n] : NULL;

		if (e < 0)
			break;
		e = oci_descriptor_read(&entry->descriptor, line, "the index of the store", error);
		if (e < 0)
			break;
		entries->n++;
		if (name_of(line) && !(entry->name = strdup(name_of(line))))
			e = arrow_no_memory(error);
	}
	json_decref(index);
	if (e < 0)
		oci_entries_release(entries);
	return e;
}

void oci_entries_release(struct oci_entries *entries)
{
	for (size_t i = 0; i < entries->n; i++) {
		oci_descriptor_release(&entries->v[i].descriptor);
		free(entries->v[i].name);
	}
	free(entries->v);
	*entries = (struct oci_entries){0};
}

struct change {
	const struct oci_descriptor *descriptor;
	const char *name;
	const char *digest;
	char *const *names; /* NULL-terminated, or NULL */
	bool keep, old, left;
};

/* Whether a digest has a line other than one. */
static bool has_other(json_t *manifests, size_t but, const char *digest)
{
	json_t *line;
	size_t i;

	json_array_foreach (manifests, i, line) {
		if (i != but && strcmp(digest_of(line), digest) == 0)
			return true;
	}
	return false;
}

/* Takes a name off its line; the line goes too if the image has another, or is not kept. */
static bool drop_name(json_t *manifests, const char *name, bool keep)
{
	json_t *line;
	size_t i;

	json_array_foreach (manifests, i, line) {
		if (!name_of(line) || strcmp(name_of(line), name) != 0)
			continue;
		if (keep && !has_other(manifests, i, digest_of(line))) {
			json_t *annotations = json_object_get(line, "annotations");

			json_object_del(annotations, FULL_NAME);
			json_object_del(annotations, REF_NAME);
		} else {
			json_array_remove(manifests, i);
		}
		return true;
	}
	return false;
}

static int add_line(json_t *manifests, const struct oci_descriptor *d, const char *name)
{
	json_t *line = oci_descriptor_json(d);

	if (line && name &&
		json_object_set_new(line, "annotations",
			json_pack("{s:s, s:s}", REF_NAME, name, FULL_NAME, name)) < 0) {
		json_decref(line);
		return -ENOMEM;
	}
	return json_array_append_new(manifests, line) < 0 ? -ENOMEM : 0;
}

static int change_tag(json_t *manifests, void *arg)
{
	struct change *c = arg;
	json_t *line;
	size_t i;

	json_array_foreach (manifests, i, line) {
		const char *name = name_of(line);

		if (name && strcmp(name, c->name) == 0) {
			if (strcmp(digest_of(line), c->descriptor->digest) == 0)
				return 0;
			c->old = true;
		}
	}
	drop_name(manifests, c->name, true);
	/* A line without a name is what the new one takes the place of. */
	json_array_foreach (manifests, i, line) {
		if (!name_of(line) && strcmp(digest_of(line), c->descriptor->digest) == 0) {
			json_array_remove(manifests, i);
			break;
		}
	}
	return add_line(manifests, c->descriptor, c->name);
}

int oci_store_tag(const struct oci_store *s, const struct oci_reference *reference,
	const struct oci_descriptor *descriptor, bool *old, struct arrow_error *error)
{
	struct oci_reference named = *reference;
	_cleanup_free_ char *name = NULL;
	struct change c = {.descriptor = descriptor};
	int e;

	/* NAME:TAG@DIGEST is NAME@DIGEST, as with docker: nobody said that TAG is that image. */
	if (named.digest)
		named.tag = NULL;
	c.name = name = oci_reference_format(&named);
	if (!name)
		return arrow_no_memory(error);
	if (!oci_blob_exists(s, descriptor->digest, NULL))
		return arrow_fail(error, ENOENT, "cannot name %s: the store has no %s", name,
			descriptor->digest);
	e = store_change_index(s, change_tag, &c, error);
	if (e == 0 && old)
		*old = c.old;
	return e;
}

static int change_keep(json_t *manifests, void *arg)
{
	struct change *c = arg;

	return has_other(manifests, SIZE_MAX, c->descriptor->digest)
		       ? 0
		       : add_line(manifests, c->descriptor, NULL);
}

int oci_store_keep(const struct oci_store *s, const struct oci_descriptor *descriptor,
	struct arrow_error *error)
{
	struct change c = {.descriptor = descriptor};

	return store_change_index(s, change_keep, &c, error);
}

static int change_untag(json_t *manifests, void *arg)
{
	struct change *c = arg;

	return drop_name(manifests, c->name, c->keep) ? 0 : -ENOENT;
}

int oci_store_untag(
	const struct oci_store *s, const char *name, bool keep, struct arrow_error *error)
{
	struct change c = {.name = name, .keep = keep};

	return store_change_index(s, change_untag, &c, error);
}

static bool has_text(char *const *list, const char *text)
{
	for (size_t i = 0; list && list[i]; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static int change_forget(json_t *manifests, void *arg)
{
	struct change *c = arg;

	for (size_t i = json_array_size(manifests); i-- > 0;) {
		const json_t *line = json_array_get(manifests, i);

		if (strcmp(digest_of(line), c->digest) != 0)
			continue;
		if (name_of(line) && !has_text(c->names, name_of(line)))
			c->left = true;
		else
			json_array_remove(manifests, i);
	}
	return 0;
}

int oci_store_forget(const struct oci_store *s, const char *digest, char *const *names, bool *left,
	struct arrow_error *error)
{
	struct change c = {.digest = digest, .names = names};
	int e = store_change_index(s, change_forget, &c, error);

	if (e == 0 && left)
		*left = c.left;
	return e;
}
