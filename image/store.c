// SPDX-License-Identifier: Apache-2.0
#include "image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/identity.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define TEMP_PREFIX "tmp-"
#define RECORD_MAX 65536u
#define HOLE_SIZE 65536u

int image_store_fail(const struct image_store *s, int err, struct arrow_error *error)
{
	if (err == ENOSPC || err == EDQUOT)
		return arrow_fail(error, err,
			"no space left in %s for an image; free some, or set ARROW_DATA_DIR to a directory on another disk",
			s->path);
	return arrow_fail(error, err, "cannot write in %s: %m", s->path);
}

int image_store_open(struct image_store *s, const char *path, struct arrow_error *error)
{
	int e = 0;

	*s = (struct image_store){.fd = -1, .path = path_format("%s/images", path)};
	if (!s->path)
		return arrow_fail(error, ENOMEM, "cannot open the store %s: out of memory", path);

	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0 && errno == ENOENT) {
		e = mkdir_all(path, 0755);
		if (e == 0 && mkdir(s->path, 0700) < 0 && errno != EEXIST)
			e = -errno;
		if (e == 0)
			s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (e == 0 && s->fd < 0)
		e = -errno;
	if (e < 0) {
		arrow_fail(error, -e, "cannot open the store %s: %m; set ARROW_DATA_DIR to another",
			s->path);
		image_store_release(s);
	}
	return e;
}

void image_store_release(struct image_store *s)
{
	close_keep_errno(s->fd);
	free(s->path);
	*s = (struct image_store){.fd = -1};
}

static int write_record(int dirfd, const char *name, json_t *record)
{
	_cleanup_free_ char *text = json_dumps(record, JSON_INDENT(2) | JSON_SORT_KEYS);

	return text ? write_file_atomic(dirfd, name, 0444, text, strlen(text)) : -ENOMEM;
}

/* Whether an open image is what its record says, and the record is then brought up to date. */
static int check_image(const struct image_store *s, int fd, const char *name, json_t *record)
{
	const char *identity = json_string_value(json_object_get(record, "identity"));
	const char *sum = json_string_value(json_object_get(record, "content"));
	const char *whole = json_string_value(json_object_get(record, "sha256"));
	json_int_t size = json_integer_value(json_object_get(record, "size"));
	char now[IDENTITY_SIZE], hex[DIGEST_HEX];
	struct stat st;

	if (!identity || !(sum || whole) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		st.st_size != size)
		return -ENOENT;
	identity_format(&st, now);
	if (!strcmp(identity, now))
		return 0;

	/* An older record has the digest of all bytes, zeros too. */
	if ((sum ? digest_sparse(fd, hex) : digest_fd(fd, hex)) < 0 ||
		strcmp(hex, sum ? sum : whole) != 0)
		return -ENOENT;
	/* Failing to note it costs the next one this hash again, nothing else. */
	if (json_object_set_new(record, "identity", json_string(now)) < 0 ||
		write_record(s->fd, name, record) < 0)
		return 0;
	return 0;
}

int image_store_find(const struct image_store *s, const char *digest, int *fd)
{
	_cleanup_free_ char *image = path_format("%s.erofs", digest);
	_cleanup_free_ char *name = path_format("%s.json", digest);
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int opened = -1;
	json_t *record;
	size_t size;
	int e;

	if (!image || !name)
		return -ENOENT;
	opened = openat(s->fd, image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (opened < 0 || read_file(s->fd, name, RECORD_MAX, &text, &size) < 0)
		return -ENOENT;
	record = json_loadb(text, size, 0, NULL);
	if (!record)
		return -ENOENT;
	e = check_image(s, opened, name, record);
	json_decref(record);
	if (e == 0)
		*fd = steal_fd(&opened);
	return e;
}

void image_store_remove(const struct image_store *s, const char *digest)
{
	_cleanup_free_ char *image = path_format("%s.erofs", digest);
	_cleanup_free_ char *name = path_format("%s.json", digest);

	/* The record first: an image without one is not used. */
	if (image && name) {
		unlinkat(s->fd, name, 0);
		unlinkat(s->fd, image, 0);
	}
}

static void each_record(const struct image_store *s, const char *name,
	void (*each)(const char *digest, const char *kind, uint64_t bytes, void *arg), void *arg)
{
	_cleanup_free_ char *image = path_format("%.64s.erofs", name), *text = NULL;
	char digest[DIGEST_HEX];
	const char *kind;
	json_t *record;
	struct stat st;
	size_t size;

	if (!image || read_file(s->fd, name, RECORD_MAX, &text, &size) < 0 ||
		fstatat(s->fd, image, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	record = json_loadb(text, size, 0, NULL);
	kind = json_string_value(json_object_get(record, "kind"));
	snprintf(digest, sizeof(digest), "%.64s", name);
	each(digest, kind ? kind : "", (uint64_t)st.st_blocks * 512, arg);
	json_decref(record);
}

int image_store_each(const struct image_store *s,
	void (*each)(const char *digest, const char *kind, uint64_t bytes, void *arg), void *arg)
{
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		close_keep_errno(fd);
		return -errno;
	}
	while ((entry = readdir(dir))) {
		const char *dot = strchr(entry->d_name, '.');

		if (dot && dot - entry->d_name == DIGEST_HEX - 1 && strcmp(dot, ".json") == 0)
			each_record(s, entry->d_name, each, arg);
	}
	return 0;
}

/* A directory whose lock is free is of a maker that died. */
static bool is_dead_temp(int dirfd, const char *name)
{
	_cleanup_close_ int temp = -1;

	if (strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) != 0)
		return false;
	temp = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return temp >= 0 && flock(temp, LOCK_EX | LOCK_NB) == 0;
}

/* An image without its record, or the other way round. */
static bool is_half(int dirfd, const char *name)
{
	const char *dot = strrchr(name, '.');
	const char *other;
	_cleanup_free_ char *path = NULL;

	if (!dot || dot - name != DIGEST_HEX - 1)
		return false;
	if (strcmp(dot, ".erofs") == 0)
		other = ".json";
	else if (strcmp(dot, ".json") == 0)
		other = ".erofs";
	else
		return false;
	path = path_format("%.*s%s", (int)(dot - name), name, other);
	return path && faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

/* Counts what dead makers left, and removes it if asked; halves only under the store's lock. */
static unsigned int store_clean(int dirfd, bool halves, bool remove)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	unsigned int found = 0;

	if (!dir) {
		close_keep_errno(fd);
		return 0;
	}
	while ((entry = readdir(dir))) {
		if (!is_dead_temp(dirfd, entry->d_name) &&
			!(halves && is_half(dirfd, entry->d_name)))
			continue;
		if (!remove || remove_tree(dirfd, entry->d_name) == 0)
			found++;
	}
	return found;
}

int arrow_image_cleanup(
	const char *store, bool remove, unsigned int *found, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/images", store);
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int r;

	*found = 0;
	if (!path)
		return arrow_no_memory(error);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : arrow_fail(error, errno, "cannot look into %s: %m", path);
	/* Who puts an image in its place holds it, for a moment. */
	while ((r = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
		;
	if (r < 0)
		return arrow_fail(error, errno, "cannot lock %s: %m", path);
	*found = store_clean(fd, true, remove);
	return 0;
}

int image_temp_begin(struct image_temp *t, const struct image_store *s, struct arrow_error *error)
{
	store_clean(s->fd, false, true);

	/* Between making it and locking it, another process may take it for a dead one's. */
	for (;;) {
		struct stat st;

		*t = (struct image_temp){.store = s, .fd = -1};
		t->path = path_format("%s/" TEMP_PREFIX "XXXXXX", s->path);
		if (!t->path)
			return image_store_fail(s, ENOMEM, error);
		if (!mkdtemp(t->path)) {
			int err = errno;

			free(t->path);
			t->path = NULL;
			return image_store_fail(s, err, error);
		}
		t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (t->fd >= 0 && flock(t->fd, LOCK_EX) == 0 && fstat(t->fd, &st) == 0 &&
			st.st_nlink > 0)
			return 0;
		if (t->fd < 0 && errno != ENOENT) {
			int err = errno;

			image_temp_end(t);
			return image_store_fail(s, err, error);
		}
		image_temp_end(t);
	}
}

void image_temp_end(struct image_temp *t)
{
	if (t->path)
		remove_tree(AT_FDCWD, t->path);
	free(t->path);
	close_keep_errno(t->fd);
	*t = (struct image_temp){.fd = -1};
}

static bool is_zero(const uint8_t *data, size_t size)
{
	return size > 0 && data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Gives zeros back to the disk: mkfs.erofs writes the holes of sparse files out. */
static int store_punch_zeros(int fd)
{
	_cleanup_free_ uint8_t *buf = malloc(HOLE_SIZE);
	off_t at = 0;

	if (!buf)
		return -ENOMEM;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		ssize_t n;

		at -= at % HOLE_SIZE;
		n = pread(fd, buf, HOLE_SIZE, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* A disk that knows no holes keeps the zeros. */
		if (n == HOLE_SIZE && is_zero(buf, HOLE_SIZE) &&
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) < 0)
			errno = 0;
		at += HOLE_SIZE;
	}
	return errno == ENXIO ? 0 : -errno; /* nothing but holes follows */
}

/*
 * Hashes a new image, but for its zeros: a sparse file of a layer may claim terabytes. And brings
 * it to the disk.
 */
static int seal_image(int fd, char hex[DIGEST_HEX])
{
	int e = store_punch_zeros(fd);

	if (e == 0)
		e = digest_sparse(fd, hex);
	if (e == 0 && (fchmod(fd, 0444) < 0 || fsync(fd) < 0))
		e = -errno;
	return e;
}

/* Puts image and record in their places. The caller holds the lock of the store. */
static int place_image(struct image_temp *t, const char *digest, json_t *record, int fd)
{
	const struct image_store *s = t->store;
	_cleanup_free_ char *image = path_format("%s.erofs", digest);
	_cleanup_free_ char *name = path_format("%s.json", digest);
	char identity[IDENTITY_SIZE];
	struct stat st;
	int e;

	if (!image || !name)
		return -ENOMEM;
	/* The rename sets the change time, so the record can only follow it. */
	if (renameat(t->fd, "image", s->fd, image) < 0 || fstat(fd, &st) < 0)
		return -errno;
	identity_format(&st, identity);
	if (json_object_set_new(record, "size", json_integer(st.st_size)) < 0 ||
		json_object_set_new(record, "identity", json_string(identity)) < 0)
		return -ENOMEM;
	e = write_record(t->fd, "record", record);
	if (e == 0 && renameat(t->fd, "record", s->fd, name) < 0)
		e = -errno;
	return e;
}

int image_store_publish(struct image_temp *t, const char *digest, const char *kind,
	const char *source, int *fd, struct arrow_error *error)
{
	const struct image_store *s = t->store;
	_cleanup_close_ int made = openat(t->fd, "image", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	char hex[DIGEST_HEX];
	json_t *record;
	int e;

	e = made < 0 ? -errno : seal_image(made, hex);
	if (e < 0)
		return image_store_fail(s, -e, error);
	/* A path that is not UTF-8 has no place in JSON. */
	record = json_pack(
		"{s:s, s:s, s:o*}", "kind", kind, "content", hex, "source", json_string(source));
	if (!record)
		return image_store_fail(s, ENOMEM, error);

	/* One at a time, lest one's record stands beside the image of another. */
	while ((e = flock(s->fd, LOCK_EX)) < 0 && errno == EINTR)
		;
	if (e < 0)
		e = -errno;
	else if (image_store_find(s, digest, fd) == 0)
		e = 1;
	else
		e = place_image(t, digest, record, made);
	flock(s->fd, LOCK_UN);
	json_decref(record);

	if (e < 0)
		return image_store_fail(s, -e, error);
	if (e == 0 && image_store_find(s, digest, fd) < 0)
		return arrow_fail(error, EIO, "%s/%s.erofs changed as it was made; check the disk",
			s->path, digest);
	return 0;
}

void arrow_image_release(struct arrow_image *image)
{
	close_keep_errno(image->fd);
	free(image->entrypoint);
	*image = (struct arrow_image){.fd = -1};
}
