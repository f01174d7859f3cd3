// SPDX-License-Identifier: Apache-2.0
#include "image/oci/members.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/oci/layer.h"
#include "image/oci/libarchive.h"
#include "util/cleanup.h"
#include "util/io.h"

#define PIECE ((size_t)256 * 1024)
#define MEMBERS_MAX 65536u

/* Whatever an archive has under these names is what their names say, or damaged. */
#define BLOBS "blobs/sha256/"

int oci_archive_fail(struct archive *a, struct arrow_error *error)
{
	const char *text = archive_error_string(a);

	return arrow_fail(error, EBADMSG, "the archive is damaged: %s", text ? text : "unreadable");
}

const char *oci_plain_path(const char *path)
{
	while (path && path[0] == '.' && path[1] == '/')
		path += 2;
	return path ? path : "";
}

int oci_archive_open(int fd, struct archive **opened, struct arrow_error *error)
{
	int loaded = libarchive_load(error);
	struct archive *a;

	if (loaded < 0)
		return loaded;
	a = archive_read_new();
	if (!a)
		return arrow_no_memory(error);
	if (archive_read_support_filter_gzip(a) < ARCHIVE_WARN ||
		archive_read_support_filter_zstd(a) < ARCHIVE_WARN ||
		archive_read_support_format_tar(a) < ARCHIVE_WARN ||
		archive_read_open_fd(a, fd, PIECE) < ARCHIVE_WARN) {
		int e = arrow_fail(error, EBADMSG, "it is not a tar archive: %s",
			archive_error_string(a) ? archive_error_string(a) : "unreadable");

		archive_read_free(a);
		return e;
	}
	*opened = a;
	return 0;
}

/* What reading an archive needs everywhere. */
struct reader {
	struct oci_members *list;
	const struct oci_store *store;
	struct arrow_error *error;
};

static struct oci_member *members_add(struct oci_members *list, const char *path)
{
	struct oci_member *m;

	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 64;

		m = room > MEMBERS_MAX ? NULL : reallocarray(list->v, room, sizeof(*m));
		if (!m)
			return NULL;
		list->v = m;
		list->room = room;
	}
	m = &list->v[list->n];
	*m = (struct oci_member){.path = strdup(path)};
	if (!m->path)
		return NULL;
	list->n++;
	return m;
}

const struct oci_member *oci_members_find(const struct oci_members *list, const char *path)
{
	/* A link leads to a file, or at most to another link, which then does. */
	for (int hops = 0; hops < 3; hops++) {
		const struct oci_member *found = NULL;

		for (size_t i = 0; i < list->n; i++)
			if (strcmp(list->v[i].path, path) == 0)
				found = &list->v[i];
		if (!found || !found->target)
			return found && !found->damaged ? found : NULL;
		path = found->target;
	}
	return NULL;
}

/* "a/layer.tar" -> "../b/layer.tar" is "b/layer.tar". */
static char *members_resolve_link(const char *path, const char *target)
{
	const char *slash = strrchr(path, '/');
	size_t depth = slash ? (size_t)(slash - path) : 0;

	while (strncmp(target, "../", 3) == 0) {
		const char *up = depth ? memrchr(path, '/', depth) : NULL;

		if (depth == 0)
			return NULL;
		depth = up ? (size_t)(up - path) : 0;
		target += 3;
	}
	return path_format("%.*s%s%s", (int)depth, path, depth ? "/" : "", target);
}

static int members_store(struct reader *r, struct archive *a, const char *path)
{
	_cleanup_writer_ struct oci_writer w = {.fd = -1};
	_cleanup_free_ char *digest = NULL;
	struct oci_member *m = members_add(r->list, path);
	const char *type = OCI_TYPE_LAYER;
	const void *data;
	la_int64_t offset;
	size_t size;
	int e, got;

	if (!m)
		return arrow_no_memory(r->error);
	if (strncmp(path, BLOBS, strlen(BLOBS)) == 0) {
		digest = path_format("sha256:%s", path + strlen(BLOBS));
		if (!digest)
			return arrow_no_memory(r->error);
	}
	e = oci_blob_begin(&w, r->store, digest, UINT64_MAX, r->error);
	if (e == 0)
		e = oci_blob_restart(&w, r->error);
	while (e == 0 && (got = archive_read_data_block(a, &data, &size, &offset)) != ARCHIVE_EOF) {
		if (got < ARCHIVE_WARN)
			return oci_archive_fail(a, r->error);
		if ((uint64_t)offset != w.at)
			return arrow_fail(r->error, EBADMSG,
				"the archive stores %s as a sparse file, which is not supported",
				path);
		if (w.at == 0)
			type = oci_layer_type(data, size);
		e = oci_blob_append(&w, data, size, r->error);
	}
	if (e == 0)
		e = oci_blob_commit(&w, r->error);
	/* What is damaged is missing to the images that need it, and to no other. */
	if (e == -EBADMSG && digest) {
		arrow_error_clear(r->error);
		m->damaged = true;
		return 0;
	}
	if (e < 0)
		return arrow_error_prefix(r->error, e, "%s", path);
	m->blob = (struct oci_descriptor){.size = w.at, .media_type = strdup(type)};
	memcpy(m->blob.digest, w.digest, OCI_DIGEST_SIZE);
	return m->blob.media_type ? 0 : arrow_no_memory(r->error);
}

static int members_read_index(struct reader *r, struct archive *a, const char *path)
{
	size_t size = 0;
	la_ssize_t n;

	free(r->list->index);
	r->list->index = malloc(OCI_MANIFEST_MAX + 1);
	if (!r->list->index)
		return arrow_no_memory(r->error);
	while ((n = archive_read_data(a, r->list->index + size, OCI_MANIFEST_MAX + 1 - size)) > 0)
		if ((size += (size_t)n) > OCI_MANIFEST_MAX)
			return arrow_fail(r->error, E2BIG, "%s is larger than %u bytes", path,
				OCI_MANIFEST_MAX);
	r->list->index[size] = '\0';
	return n < 0 ? oci_archive_fail(a, r->error) : 0;
}

/* What old versions of Docker wrote beside, once a layer. */
static bool members_is_legacy(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strcmp(name, "json") == 0 || strcmp(name, "VERSION") == 0 ||
	       strcmp(name, "repositories") == 0 || strcmp(name, "oci-layout") == 0;
}

/* One file or link of an archive. */
static int members_take(
	struct reader *r, struct archive *a, struct archive_entry *entry, const char *index)
{
	const char *path = oci_plain_path(archive_entry_pathname(entry));
	const char *target = archive_entry_symlink(entry);
	struct oci_member *m;

	if (archive_entry_hardlink(entry)) {
		m = members_add(r->list, path);
		if (!m || !(m->target = strdup(oci_plain_path(archive_entry_hardlink(entry)))))
			return arrow_no_memory(r->error);
	} else if (archive_entry_filetype(entry) == AE_IFLNK && target) {
		m = members_add(r->list, path);
		if (!m)
			return arrow_no_memory(r->error);
		/* One that leads out of the archive leads nowhere. */
		m->target = members_resolve_link(path, target);
		if (!m->target && !(m->target = strdup("")))
			return arrow_no_memory(r->error);
	} else if (archive_entry_filetype(entry) == AE_IFREG) {
		if (strcmp(path, index) == 0)
			return members_read_index(r, a, path);
		if (strcmp(path, "index.json") != 0 && strcmp(path, "manifest.json") != 0 &&
			!members_is_legacy(path))
			return members_store(r, a, path);
	}
	return 0;
}

int oci_members_read(struct oci_members *list, const struct oci_store *store, int fd,
	const char *index, struct arrow_error *error)
{
	struct reader reader = {.list = list, .store = store, .error = error};
	struct archive_entry *entry;
	struct archive *a;
	int e = oci_archive_open(fd, &a, error), got = 0;

	if (e < 0)
		return e;
	while (e == 0 && (got = archive_read_next_header(a, &entry)) != ARCHIVE_EOF)
		e = got < ARCHIVE_WARN ? oci_archive_fail(a, error)
				       : members_take(&reader, a, entry, index);
	archive_read_free(a);
	return e;
}

bool oci_members_damaged(const struct oci_members *list, const char *path)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].damaged && strcmp(list->v[i].path, path) == 0)
			return true;
	return false;
}

void oci_members_release(struct oci_members *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].path);
		free(list->v[i].target);
		oci_descriptor_release(&list->v[i].blob);
	}
	free(list->v);
	free(list->index);
	*list = (struct oci_members){0};
}
