// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "protocol/entries.h"
#include "guest/worker.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Entries to files. Whatever they and the directory hold, nothing outside of it is written. */

#define BUFFER 65536u

/* musl comes without the kernel's headers; these are of linux/openat2.h. */
struct how {
	uint64_t flags, mode, resolve;
};
#define RESOLVE_NO_MAGICLINKS 0x02u
#define RESOLVE_BENEATH 0x08u

/* Directories get their times last: what is made in them changes those. */
struct directory {
	struct timespec mtime;
	char *name;
};

struct receiver {
	int in, dir;
	struct arrow_entry e;
	char name[ENTRY_NAME_MAX + 1], link[ENTRY_NAME_MAX + 1];
	uint8_t xattrs[ENTRY_XATTRS_MAX];
	uint8_t segments[ENTRY_SEGMENTS_MAX * ENTRY_SEGMENT];
	uint8_t buffer[BUFFER];
	struct directory *directories;
	size_t n_directories, room;
};

static int receiver_read(struct receiver *r, void *data, size_t size)
{
	ssize_t n = read_full(r->in, data, size);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -EPIPE; /* the host is gone */
}

static int receiver_read_entry(struct receiver *r)
{
	uint8_t head[ENTRY_HEAD];
	int rc = receiver_read(r, head, sizeof(head));

	if (rc == 0 && arrow_entry_decode(head, &r->e) < 0)
		rc = -EPROTO;
	if (rc < 0 || r->e.type >= ENTRY_END)
		return rc;
	rc = receiver_read(r, r->name, r->e.name);
	if (rc == 0)
		rc = receiver_read(r, r->link, r->e.link);
	if (rc == 0)
		rc = receiver_read(r, r->xattrs, r->e.xattrs);
	if (rc == 0)
		rc = receiver_read(r, r->segments, (size_t)r->e.segments * ENTRY_SEGMENT);
	if (rc < 0)
		return rc;
	r->name[r->e.name] = '\0';
	r->link[r->e.link] = '\0';
	if (!arrow_entry_name_ok(r->name, r->e.name) || strlen(r->link) != r->e.link ||
		(r->e.type == ENTRY_HARD_LINK && !arrow_entry_name_ok(r->link, r->e.link)) ||
		!arrow_entry_segments_ok(&r->e, r->segments))
		return -EPROTO;
	return 0;
}

static int receive_open_beneath(int dir, const char *path, int flags)
{
	struct how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Opens the directory that holds `name`, making what is missing; *part is its last part. */
static int receive_open_parent(struct receiver *r, char *name, const char **part)
{
	char *slash = strrchr(name, '/');
	int fd;

	*part = slash ? slash + 1 : name;
	if (!slash)
		return fcntl(r->dir, F_DUPFD_CLOEXEC, 3);
	*slash = '\0';
	fd = receive_open_beneath(r->dir, name, O_PATH | O_DIRECTORY);
	if (fd == -ENOENT) {
		const char *last;
		_cleanup_close_ int parent = receive_open_parent(r, name, &last);

		if (parent < 0)
			fd = parent;
		else if (mkdirat(parent, last, 0755) < 0 && errno != EEXIST)
			fd = -errno;
		else
			fd = receive_open_beneath(r->dir, name, O_PATH | O_DIRECTORY);
	}
	*slash = '/';
	return fd;
}

static int receiver_set_xattrs(struct receiver *r, int fd)
{
	struct arrow_entry_xattr x;
	uint32_t at = 0;
	int more;

	while ((more = arrow_entry_xattr_next(r->xattrs, r->e.xattrs, &at, &x)) > 0) {
		/* A file system may not have them, and the file is as good without. */
		if (fsetxattr(fd, x.name, x.value, x.size, 0) < 0 && errno != ENOTSUP &&
			errno != EPERM && errno != EINVAL)
			return -errno;
	}
	return more;
}

/* In this order: chown() takes setuid and capabilities away. */
static int receiver_set_metadata(struct receiver *r, int fd)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)r->e.mtime, .tv_nsec = (long)r->e.mtime_ns}};
	int rc;

	if (fchown(fd, r->e.uid, r->e.gid) < 0 || fchmod(fd, r->e.mode) < 0)
		return -errno;
	rc = receiver_set_xattrs(r, fd);
	if (rc == 0 && futimens(fd, times) < 0)
		rc = -errno;
	return rc;
}

static int receive_write_at(int fd, const uint8_t *data, size_t size, uint64_t at)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int receive_file(struct receiver *r, int parent, const char *part)
{
	_cleanup_close_ int fd =
		openat(parent, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc = fd < 0 ? -errno : 0;

	if (rc == 0 && ftruncate(fd, (off_t)r->e.size) < 0)
		rc = -errno;
	for (uint32_t i = 0; rc == 0 && i < r->e.segments; i++) {
		struct arrow_entry_segment s = arrow_entry_segment(r->segments, i);

		while (rc == 0 && s.length > 0) {
			size_t n = s.length < BUFFER ? (size_t)s.length : BUFFER;

			rc = receiver_read(r, r->buffer, n);
			if (rc == 0)
				rc = receive_write_at(fd, r->buffer, n, s.offset);
			s.offset += n;
			s.length -= n;
		}
	}
	return rc == 0 ? receiver_set_metadata(r, fd) : rc;
}

static int receive_directory(struct receiver *r, int parent, const char *part)
{
	_cleanup_close_ int fd = -1;
	bool own = strcmp(part, ".") != 0;
	struct directory *d;
	int rc;

	if (own && mkdirat(parent, part, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* The directory that all goes to stays as it is. */
	if (fd < 0 || !own)
		return fd < 0 ? -errno : 0;
	rc = receiver_set_metadata(r, fd);
	if (rc < 0)
		return rc;
	if (r->n_directories == r->room) {
		size_t room = r->room ? r->room * 2 : 64;
		struct directory *more = realloc(r->directories, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->directories = more;
		r->room = room;
	}
	d = &r->directories[r->n_directories];
	d->mtime = (struct timespec){.tv_sec = (time_t)r->e.mtime, .tv_nsec = (long)r->e.mtime_ns};
	d->name = strdup(r->name);
	if (!d->name)
		return -ENOMEM;
	r->n_directories++;
	return 0;
}

static int receive_hard_link(struct receiver *r, int parent, const char *part)
{
	const char *last;
	_cleanup_close_ int from = receive_open_parent(r, r->link, &last);

	if (from < 0)
		return from;
	return linkat(from, last, parent, part, 0) < 0 ? -errno : 0;
}

static int receive_other(struct receiver *r, int parent, const char *part)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)r->e.mtime, .tv_nsec = (long)r->e.mtime_ns}};
	mode_t type = r->e.type == ENTRY_CHARACTER ? S_IFCHR
		      : r->e.type == ENTRY_BLOCK   ? S_IFBLK
						   : S_IFIFO;

	if (r->e.type == ENTRY_LINK) {
		if (symlinkat(r->link, parent, part) < 0)
			return -errno;
	} else if (mknodat(parent, part, type | 0600, makedev(r->e.major, r->e.minor)) < 0 ||
		   fchmodat(parent, part, r->e.mode, 0) < 0) {
		return -errno;
	}
	if (fchownat(parent, part, r->e.uid, r->e.gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		utimensat(parent, part, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (r->e.type != ENTRY_LINK && fchmodat(parent, part, r->e.mode, 0) < 0)
		return -errno;
	return 0;
}

/* Makes way for what comes. A directory stays for a directory, and for nothing else. */
static int receiver_clear_way(struct receiver *r, int parent, const char *part)
{
	struct stat st;

	if (fstatat(parent, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (r->e.type == ENTRY_DIRECTORY)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return unlinkat(parent, part, 0) < 0 ? -errno : 0;
}

static int receive_entry(struct receiver *r)
{
	const char *part;
	_cleanup_close_ int parent = receive_open_parent(r, r->name, &part);
	int rc = parent < 0 ? parent : receiver_clear_way(r, parent, part);

	if (rc < 0)
		return rc;
	switch ((enum arrow_entry_type)r->e.type) {
	case ENTRY_FILE:
		return receive_file(r, parent, part);
	case ENTRY_DIRECTORY:
		return receive_directory(r, parent, part);
	case ENTRY_HARD_LINK:
		return receive_hard_link(r, parent, part);
	case ENTRY_LINK:
	case ENTRY_CHARACTER:
	case ENTRY_BLOCK:
	case ENTRY_FIFO:
		return receive_other(r, parent, part);
	case ENTRY_END:
	case ENTRY_ERROR:
		break;
	}
	return -EPROTO;
}

/* The last one first, so that the times of those around it hold. */
static void receiver_set_times(struct receiver *r)
{
	for (size_t i = r->n_directories; i-- > 0;) {
		struct directory *d = &r->directories[i];
		_cleanup_close_ int fd =
			receive_open_beneath(r->dir, d->name, O_RDONLY | O_DIRECTORY);
		struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, d->mtime};

		if (fd >= 0 && futimens(fd, times) < 0)
			errno = 0; /* another has it by now */
		free(d->name);
	}
	free(r->directories);
}

int worker_receive(int in, int out, const char *dir)
{
	_cleanup_free_ struct receiver *r = calloc(1, sizeof(*r));
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t head[ENTRY_HEAD];
	int rc;

	umask(0);
	if (!r || fd < 0)
		return entries_error(out, "cannot write to", dir);
	r->in = in;
	r->dir = fd;
	do {
		rc = receiver_read_entry(r);
		if (rc == 0 && r->e.type < ENTRY_END)
			rc = receive_entry(r);
	} while (rc == 0 && r->e.type < ENTRY_END);
	receiver_set_times(r);
	if (rc < 0) {
		errno = -rc;
		return entries_error(out, "cannot write", *r->name ? r->name : dir);
	}
	arrow_entry_encode(head, &(struct arrow_entry){.type = ENTRY_END});
	return write_full(out, head, sizeof(head)) < 0 ? 2 : 0;
}
