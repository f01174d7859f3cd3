// SPDX-License-Identifier: Apache-2.0
#include "image/oci/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/oci/root.h"
#include "image/store.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define WAIT_MS 20

/* Digests without "sha256:", sorted before they are looked for. */
struct set {
	char (*v)[DIGEST_HEX];
	size_t n, room;
};

static void set_release(struct set *set)
{
	free(set->v);
}
#define _cleanup_set_ __attribute__((cleanup(set_release)))

static int set_add(struct set *set, const char *digest)
{
	if (set->n == set->room) {
		size_t room = set->room ? set->room * 2 : 64;
		void *v = reallocarray(set->v, room, sizeof(*set->v));

		if (!v)
			return -ENOMEM;
		set->v = v;
		set->room = room;
	}
	if (strncmp(digest, "sha256:", 7) == 0)
		digest += 7;
	snprintf(set->v[set->n++], DIGEST_HEX, "%s", digest);
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void set_sort(struct set *set)
{
	if (set->n)
		qsort(set->v, set->n, sizeof(*set->v), by_digest);
}

static bool set_has(const struct set *set, const char *hex)
{
	return set->n && bsearch(hex, set->v, set->n, sizeof(*set->v), by_digest);
}

/* All that index.json leads to. */
struct reach {
	const struct oci_store *store;
	struct set blobs, roots;
	/* Of a verification: */
	void (*missing)(const char *digest, const char *what, void *arg);
	void *arg;
	const char *name;
};

static int reach_blob(struct reach *r, const struct oci_descriptor *d, bool needed)
{
	if (needed && r->missing && !oci_blob_exists(r->store, d->digest, NULL)) {
		_cleanup_free_ char *what = path_format("missing from %s", r->name);

		r->missing(d->digest, what ? what : "missing", r->arg);
	}
	return set_add(&r->blobs, d->digest);
}

static int reach_manifest(struct reach *r, const struct oci_descriptor *d, bool needed)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_manifest_ struct oci_manifest m = {0};
	_cleanup_oci_image_ struct oci_image image = {0};
	_cleanup_free_ char *data = NULL;
	char root[DIGEST_HEX];
	int e = reach_blob(r, d, needed);

	if (e < 0)
		return e;
	/* What cannot be read reaches nothing; a pull brings it again. */
	if (!oci_blob_exists(r->store, d->digest, NULL) ||
		oci_blob_read(r->store, d, OCI_MANIFEST_MAX, &data, &ignored) < 0 ||
		oci_manifest_parse(&m, data, d->size, "manifest", &ignored) < 0)
		return 0;
	e = reach_blob(r, &m.config, true);
	for (size_t i = 0; e == 0 && i < m.n_layers; i++)
		e = reach_blob(r, &m.layers[i], true);
	if (e == 0 && oci_image_read(&image, r->store, d, "image", NULL, &ignored) == 0)
		e = oci_root_digest(&image, root) < 0 ? -ENOMEM : set_add(&r->roots, root);
	return e;
}

/* An index, whose manifests for other platforms need not be there. */
static int reach_top(struct reach *r, const struct oci_descriptor *d)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_index_ struct oci_index index = {0};
	_cleanup_free_ char *data = NULL;
	int e;

	if (!oci_type_is_index(d->media_type))
		return reach_manifest(r, d, true);
	e = reach_blob(r, d, true);
	if (e < 0)
		return e;
	if (!oci_blob_exists(r->store, d->digest, NULL) ||
		oci_blob_read(r->store, d, OCI_MANIFEST_MAX, &data, &ignored) < 0 ||
		oci_index_parse(&index, data, d->size, "index", &ignored) < 0)
		return 0;
	for (size_t i = 0; e == 0 && i < index.n; i++)
		e = reach_manifest(r, &index.entries[i].descriptor, false);
	return e;
}

static int reach_all(struct reach *r, struct arrow_error *error)
{
	_cleanup_entries_ struct oci_entries entries = {0};
	int e = oci_store_list(r->store, &entries, error);

	if (e < 0)
		return e;
	for (size_t i = 0; e == 0 && i < entries.n; i++) {
		r->name = entries.v[i].name ? entries.v[i].name : "an image without a name";
		e = reach_top(r, &entries.v[i].descriptor);
	}
	set_sort(&r->blobs);
	set_sort(&r->roots);
	return e < 0 ? arrow_fail(error, -e, "out of memory") : 0;
}

static void reach_release(struct reach *r)
{
	set_release(&r->blobs);
	set_release(&r->roots);
}

static DIR *open_folder(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir)
		close_keep_errno(fd);
	return dir;
}

static void sweep_file(struct sweep *found, int dirfd, const char *name, bool remove)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		found->bytes += (uint64_t)st.st_blocks * 512;
	if (remove)
		unlinkat(dirfd, name, 0);
}

static int sweep_blobs(const struct oci_store *s, const struct reach *reach, bool remove,
	struct sweep *found, struct arrow_error *error)
{
	_cleanup_closedir_ DIR *dir = open_folder(s->fd, "blobs/sha256");
	struct dirent *entry;

	if (!dir)
		return arrow_fail(error, errno, "cannot look into %s/blobs: %m", s->path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || set_has(&reach->blobs, entry->d_name))
			continue;
		sweep_file(found, dirfd(dir), entry->d_name, remove);
		found->blobs++;
	}
	return 0;
}

/* Nobody writes: the lock of the store is ours. */
static int sweep_parts(
	const struct oci_store *s, bool remove, struct sweep *found, struct arrow_error *error)
{
	_cleanup_closedir_ DIR *dir = open_folder(s->fd, "ingest");
	struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0
				       : arrow_fail(error, errno, "cannot look into %s/ingest: %m",
						 s->path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		sweep_file(found, dirfd(dir), entry->d_name, remove);
		found->parts++;
	}
	return 0;
}

struct roots {
	const struct reach *reach;
	const char *const *used;
	bool others, remove;
	struct sweep *found;
	const struct image_store *images;
};

static void sweep_root(const char *digest, const char *kind, uint64_t bytes, void *arg)
{
	struct roots *r = arg;

	for (size_t i = 0; r->used && r->used[i]; i++)
		if (strcmp(r->used[i], digest) == 0)
			return;
	if (strcmp(kind, "container") == 0 ? set_has(&r->reach->roots, digest) : !r->others)
		return;
	if (r->remove)
		image_store_remove(r->images, digest);
	r->found->bytes += bytes;
	r->found->roots++;
}

/* Takes the lock alone. Two that try at once: one gets it when the other gives up its share. */
static int lock_alone(struct oci_store *s, unsigned int deadline_ms, struct arrow_error *error)
{
	uint64_t end = now_ms() + deadline_ms;

	while (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return arrow_fail(error, errno, "cannot lock %s: %m", s->path);
		if (now_ms() >= end)
			return arrow_fail(error, EBUSY,
				"the image store %s is in use: an image is being pulled, loaded or built; try again when that is done",
				s->path);
		/* The share went with the attempt, so another who sweeps can go first. */
		usleep(WAIT_MS * 1000);
	}
	return 0;
}

int oci_store_sweep(struct oci_store *s, const char *data, const char *const *used, bool others,
	bool remove, unsigned int deadline_ms, struct sweep *found, struct arrow_error *error)
{
	struct reach reach __attribute__((cleanup(reach_release))) = {.store = s};
	_cleanup_store_ struct image_store images = {.fd = -1};
	struct roots roots = {&reach, used, others, remove, found, &images};
	int e = lock_alone(s, deadline_ms, error);

	*found = (struct sweep){0};
	if (e == 0)
		e = reach_all(&reach, error);
	if (e == 0)
		e = sweep_blobs(s, &reach, remove, found, error);
	if (e == 0)
		e = sweep_parts(s, remove, found, error);
	if (e == 0)
		e = image_store_open(&images, data, error);
	if (e == 0)
		e = image_store_each(&images, sweep_root, &roots);
	flock(s->lock_fd, LOCK_SH);
	if (e < 0 && !error->text)
		return arrow_fail(error, -e, "cannot look into %s/images: %m", data);
	return e;
}

int oci_store_verify(const struct oci_store *s, bool remove, unsigned int *checked,
	void (*each)(const char *digest, const char *what, void *arg), void *arg,
	struct arrow_error *error)
{
	struct reach reach
		__attribute__((cleanup(reach_release))) = {.store = s, .missing = each, .arg = arg};
	_cleanup_closedir_ DIR *dir = open_folder(s->fd, "blobs/sha256");
	struct dirent *entry;

	*checked = 0;
	if (!dir)
		return arrow_fail(error, errno, "cannot look into %s/blobs: %m", s->path);
	while ((entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;
		char hex[DIGEST_HEX];

		if (entry->d_name[0] == '.')
			continue;
		++*checked;
		fd = openat(
			dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd >= 0 && digest_fd(fd, hex) == 0 && strcmp(hex, entry->d_name) == 0)
			continue;
		each(entry->d_name, "damaged", arg);
		if (remove)
			remove_tree(dirfd(dir), entry->d_name);
	}
	return reach_all(&reach, error);
}
