// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/oci/store.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/hex.h"
#include "util/io.h"

#define HASH_ROOM ((size_t)256 * 1024)

static const char *hex_of(const char *digest)
{
	return digest + strlen("sha256:");
}

bool oci_blob_exists(const struct oci_store *s, const char *digest, uint64_t *size)
{
	struct stat st;

	if (!oci_digest_is_valid(digest) ||
		fstatat(s->blobs_fd, hex_of(digest), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return false;
	if (size)
		*size = (uint64_t)st.st_size;
	return true;
}

int oci_blob_open(const struct oci_store *s, const char *digest, int *fd, struct arrow_error *error)
{
	if (!oci_digest_is_valid(digest))
		return arrow_fail(error, EINVAL, "'%s' is not a sha256 digest", digest);
	*fd = openat(s->blobs_fd, hex_of(digest), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd >= 0)
		return 0;
	if (errno == ENOENT)
		return arrow_fail(error, ENOENT,
			"the store has no blob %s: pull or load the image again", digest);
	return arrow_fail(error, errno, "cannot open the blob %s: %m", digest);
}

int oci_blob_read(const struct oci_store *s, const struct oci_descriptor *d, size_t max,
	char **data, struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	char hex[DIGEST_HEX];
	size_t size = 0;
	int e = oci_blob_open(s, d->digest, &fd, error);

	if (e < 0)
		return e;
	e = read_file(s->blobs_fd, hex_of(d->digest), max, &text, &size);
	if (e == -EFBIG)
		return arrow_fail(error, EFBIG,
			"the blob %s has more than %zu bytes, which is too many for its kind",
			d->digest, max);
	if (e == 0)
		e = digest_data(text, size, hex);
	if (e < 0)
		return arrow_fail(error, -e, "cannot read the blob %s: %m", d->digest);
	if (size != d->size || strcmp(hex, hex_of(d->digest)) != 0)
		return arrow_fail(error, EBADMSG,
			"the blob %s is damaged: remove it with 'arrow doctor --fix' and pull or load the image again",
			d->digest);
	*data = STEAL(text);
	return 0;
}

static int fail_write(const struct oci_store *s, int err, struct arrow_error *error)
{
	if (err == ENOSPC || err == EDQUOT)
		return arrow_fail(error, err,
			"no space left in %s for an image; free some with 'arrow image prune', or set ARROW_DATA_DIR to a directory on another disk",
			s->path);
	return arrow_fail(error, err, "cannot write in %s: %m", s->path);
}

/* Opens and locks a file of ingest/. -EBUSY if somebody else writes it. */
static int open_locked(struct oci_writer *w, const char *name, int flags)
{
	struct stat st, there;

	for (;;) {
		w->fd = openat(w->store->fd, name,
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
		if (w->fd < 0)
			return -errno;
		if (flock(w->fd, LOCK_EX | LOCK_NB) < 0) {
			int e = errno == EWOULDBLOCK ? -EBUSY : -errno;

			close(steal_fd(&w->fd));
			return e;
		}
		/* Another may have finished it before we got the lock. */
		if (fstat(w->fd, &st) == 0 && fstatat(w->store->fd, name, &there, 0) == 0 &&
			st.st_ino == there.st_ino)
			return 0;
		close(steal_fd(&w->fd));
	}
}

/* Hashes what an earlier writer left. */
static int writer_resume(struct oci_writer *w)
{
	_cleanup_free_ uint8_t *buf = malloc(HASH_ROOM);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	while ((n = read_full(w->fd, buf, HASH_ROOM)) > 0) {
		digest_add(w->sum, buf, (size_t)n);
		w->at += (uint64_t)n;
	}
	return (int)n;
}

static int renew_sum(struct oci_writer *w)
{
	char hex[DIGEST_HEX];

	if (w->sum)
		digest_end(STEAL(w->sum), hex);
	w->sum = digest_begin();
	w->at = 0;
	if (!w->sum)
		return -ENOMEM;
	return ftruncate(w->fd, 0) < 0 || lseek(w->fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int writer_begin(struct oci_writer *w)
{
	int e = -EBUSY;

	if (w->digest[0]) {
		w->temp = path_format("ingest/%s.part", hex_of(w->digest));
		w->resumable = true;
		e = w->temp ? open_locked(w, w->temp, 0) : -ENOMEM;
	}
	if (e == -EBUSY) {
		char random[17];

		e = hex_random(random, 8);
		if (e < 0)
			return e;
		free(w->temp);
		w->temp = path_format("ingest/%s.new", random);
		w->resumable = false;
		e = w->temp ? open_locked(w, w->temp, O_EXCL) : -ENOMEM;
	}
	if (e < 0)
		return e;
	w->sum = digest_begin();
	if (!w->sum)
		return -ENOMEM;
	e = writer_resume(w);
	/* Too much cannot become right any more. */
	return e == 0 && w->at > w->size ? renew_sum(w) : e;
}

int oci_blob_begin(struct oci_writer *w, const struct oci_store *s, const char *digest,
	uint64_t size, struct arrow_error *error)
{
	int e;

	*w = (struct oci_writer){.store = s, .fd = -1, .size = size};
	if (digest) {
		if (!oci_digest_is_valid(digest))
			return arrow_fail(error, EINVAL, "'%.80s' is not a sha256 digest", digest);
		memcpy(w->digest, digest, OCI_DIGEST_SIZE);
	}
	e = writer_begin(w);
	if (e < 0) {
		oci_blob_end(w);
		return fail_write(s, -e, error);
	}
	return 0;
}

int oci_blob_restart(struct oci_writer *w, struct arrow_error *error)
{
	int e = renew_sum(w);

	return e < 0 ? fail_write(w->store, -e, error) : 0;
}

int oci_blob_append(struct oci_writer *w, const void *data, size_t size, struct arrow_error *error)
{
	int e;

	if (size > w->size - w->at) {
		/* A sender without an end: nothing of it is worth keeping. */
		e = renew_sum(w);
		return arrow_fail(error, EFBIG,
			"the blob %s is longer than the %llu bytes announced", w->digest,
			(unsigned long long)w->size);
	}
	e = write_full(w->fd, data, size);
	if (e < 0)
		return fail_write(w->store, -e, error);
	digest_add(w->sum, data, size);
	w->at += size;
	return 0;
}

static int blob_place(struct oci_writer *w)
{
	if (fchmod(w->fd, 0400) < 0 || fsync(w->fd) < 0 ||
		renameat(w->store->fd, w->temp, w->store->blobs_fd, hex_of(w->digest)) < 0 ||
		fsync(w->store->blobs_fd) < 0)
		return -errno;
	return 0;
}

int oci_blob_commit(struct oci_writer *w, struct arrow_error *error)
{
	char digest[OCI_DIGEST_SIZE] = "sha256:";
	int e;

	if (w->size != UINT64_MAX && w->at < w->size)
		return arrow_fail(error, EBADMSG, "the blob %s ends after %llu of %llu bytes",
			w->digest, (unsigned long long)w->at, (unsigned long long)w->size);
	digest_end(STEAL(w->sum), digest + strlen(digest));
	if (w->digest[0] && strcmp(w->digest, digest) != 0) {
		/* Going on from it would never end well. */
		unlinkat(w->store->fd, w->temp, 0);
		return arrow_fail(
			error, EBADMSG, "wrong digest: expected %s, got %s", w->digest, digest);
	}
	memcpy(w->digest, digest, OCI_DIGEST_SIZE);
	e = blob_place(w);
	if (e < 0)
		return fail_write(w->store, -e, error);
	free(STEAL(w->temp));
	return 0;
}

void oci_blob_end(struct oci_writer *w)
{
	char hex[DIGEST_HEX];

	/* An empty one helps nobody. */
	if (w->temp && w->fd >= 0 && (!w->resumable || w->at == 0))
		unlinkat(w->store->fd, w->temp, 0);
	if (w->sum)
		digest_end(w->sum, hex);
	free(w->temp);
	close_keep_errno(w->fd);
	*w = (struct oci_writer){.fd = -1};
}

/* Commits, and describes what was written. */
static int commit_as(struct oci_writer *w, const char *media_type,
	struct oci_descriptor *descriptor, struct arrow_error *error)
{
	int e = oci_blob_commit(w, error);

	if (e < 0)
		return e;
	*descriptor = (struct oci_descriptor){.size = w->at, .media_type = strdup(media_type)};
	memcpy(descriptor->digest, w->digest, OCI_DIGEST_SIZE);
	return descriptor->media_type ? 0 : arrow_no_memory(error);
}

int oci_blob_put(const struct oci_store *s, const char *media_type, const char *data, size_t size,
	const char *digest, struct oci_descriptor *descriptor, struct arrow_error *error)
{
	_cleanup_writer_ struct oci_writer w = {.fd = -1};
	int e = oci_blob_begin(&w, s, digest, size, error);

	if (e == 0)
		e = oci_blob_restart(&w, error);
	if (e == 0)
		e = oci_blob_append(&w, data, size, error);
	return e < 0 ? e : commit_as(&w, media_type, descriptor, error);
}

const char *oci_layer_type(const void *data, size_t size)
{
	if (size >= 2 && memcmp(data, "\x1f\x8b", 2) == 0)
		return OCI_TYPE_LAYER_GZIP;
	if (size >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0)
		return OCI_TYPE_LAYER_ZSTD;
	return OCI_TYPE_LAYER;
}

int oci_blob_copy(const struct oci_store *s, int fd, const char *digest, uint64_t size,
	struct oci_descriptor *descriptor, struct arrow_error *error)
{
	_cleanup_writer_ struct oci_writer w = {.fd = -1};
	_cleanup_free_ uint8_t *buf = malloc(HASH_ROOM);
	const char *type = OCI_TYPE_LAYER;
	int e = buf ? oci_blob_begin(&w, s, digest, size, error) : arrow_no_memory(error);

	/* From the start: what was left by another is not worth the trouble here. */
	if (e == 0)
		e = oci_blob_restart(&w, error);
	while (e == 0) {
		ssize_t n = read_full(fd, buf, HASH_ROOM);

		if (n < 0)
			return arrow_fail(error, (int)-n, "cannot read a blob: %m");
		if (w.at == 0)
			type = oci_layer_type(buf, (size_t)n);
		if (n == 0)
			break;
		e = oci_blob_append(&w, buf, (size_t)n, error);
	}
	return e < 0 ? e : commit_as(&w, type, descriptor, error);
}
