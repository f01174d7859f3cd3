// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "protocol/entries.h"
#include "guest/worker.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Files as entries. No link is followed below the path that is sent. */

#define BUFFER 65536u
#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* A file with several names, by which the later ones are known. */
struct inode {
	dev_t dev;
	ino_t ino;
	char name[];
};

struct sender {
	int out;
	int err; /* negative errno of the first failed write */
	uint8_t buffer[BUFFER];
	size_t used;
	char name[ENTRY_NAME_MAX + 1]; /* of the entry that is sent */
	uint8_t xattrs[ENTRY_XATTRS_MAX];
	uint32_t xattrs_size;
	uint8_t segments[ENTRY_SEGMENTS_MAX * ENTRY_SEGMENT];
	void *inodes; /* tree of struct inode */
	dev_t dev_dev;
	ino_t dev_ino; /* /dev, whose nodes are not the root's own */
};

static void send_flush(struct sender *s)
{
	if (s->err == 0 && s->used > 0)
		s->err = write_full(s->out, s->buffer, s->used);
	s->used = 0;
}

static void send_put(struct sender *s, const void *data, size_t size)
{
	while (size > 0) {
		size_t n = size < BUFFER - s->used ? size : BUFFER - s->used;

		memcpy(s->buffer + s->used, data, n);
		s->used += n;
		data = (const uint8_t *)data + n;
		size -= n;
		if (s->used == BUFFER)
			send_flush(s);
	}
}

static void send_put_entry(struct sender *s, struct arrow_entry *e, const char *link)
{
	uint8_t head[ENTRY_HEAD];

	e->name = (uint32_t)strlen(s->name);
	e->link = link ? (uint32_t)strlen(link) : 0;
	e->xattrs = s->xattrs_size;
	arrow_entry_encode(head, e);
	send_put(s, head, sizeof(head));
	send_put(s, s->name, e->name);
	send_put(s, link, e->link);
	send_put(s, s->xattrs, e->xattrs);
	send_put(s, s->segments, (size_t)e->segments * ENTRY_SEGMENT);
	s->xattrs_size = 0;
}

static struct arrow_entry send_make_entry(const struct stat *st)
{
	return (struct arrow_entry){
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
	};
}

/* Those that mean something elsewhere. What does not fit is left out, as tar does. */
static void send_take_xattrs(struct sender *s, int fd)
{
	char names[4096];
	ssize_t size = flistxattr(fd, names, sizeof(names));

	s->xattrs_size = 0;
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
		const char *name = names + at;
		size_t length = strlen(name);
		struct arrow_entry_xattr xattr;
		uint8_t *to = s->xattrs + s->xattrs_size;
		size_t room = sizeof(s->xattrs) - s->xattrs_size;
		ssize_t n;

		if (strncmp(name, "user.", 5) != 0 && strcmp(name, "security.capability") != 0)
			continue;
		if (length > ENTRY_XATTR_NAME_MAX || room < ENTRY_XATTR_HEAD + length)
			continue;
		to += ENTRY_XATTR_HEAD + length;
		n = fgetxattr(fd, name, to, room - ENTRY_XATTR_HEAD - length);
		if (n < 0)
			continue;
		strcpy(xattr.name, name);
		xattr.value = to;
		xattr.size = (uint32_t)n;
		s->xattrs_size = arrow_entry_xattr_encode(s->xattrs, s->xattrs_size, &xattr);
	}
}

/* Where the file has data. One with too many holes is sent as if it had none. */
static void send_find_segments(struct sender *s, int fd, struct arrow_entry *e)
{
	off_t at = 0, size = (off_t)e->size;

	e->segments = 0;
	while (at < size && e->segments < ENTRY_SEGMENTS_MAX) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			return; /* a hole up to the end */
		hole = data < 0 || data >= size ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			break;
		if (hole > size)
			hole = size;
		arrow_entry_segment_encode(s->segments, e->segments++,
			&(struct arrow_entry_segment){(uint64_t)data, (uint64_t)(hole - data)});
		at = hole;
	}
	if (at < size) {
		e->segments = 1;
		arrow_entry_segment_encode(
			s->segments, 0, &(struct arrow_entry_segment){0, e->size});
	}
}

/* The bytes of a segment; what is not there any more is sent as zeros. */
static void send_put_data(struct sender *s, int fd, uint64_t at, uint64_t left)
{
	while (left > 0 && s->err == 0) {
		size_t room = BUFFER - s->used;
		ssize_t n = pread(fd, s->buffer + s->used, left < room ? left : room, (off_t)at);

		if (n <= 0) {
			n = (ssize_t)(left < room ? left : room);
			memset(s->buffer + s->used, 0, (size_t)n);
		}
		s->used += (size_t)n;
		at += (uint64_t)n;
		left -= (uint64_t)n;
		if (s->used == BUFFER)
			send_flush(s);
	}
}

static int send_compare_inode(const void *a, const void *b)
{
	const struct inode *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* The first name of a file that has several, or NULL when this is the first. */
static const char *send_find_earlier(struct sender *s, const struct stat *st)
{
	size_t length = strlen(s->name) + 1;
	struct inode *new, **found;

	if (st->st_nlink < 2)
		return NULL;
	new = malloc(sizeof(*new) + length);
	if (!new)
		return NULL; /* sent once more, as a file of its own */
	new->dev = st->st_dev;
	new->ino = st->st_ino;
	memcpy(new->name, s->name, length);
	found = tsearch(new, &s->inodes, send_compare_inode);
	if (!found || *found == new)
		return NULL;
	free(new);
	return (*found)->name;
}

static int send_file(struct sender *s, int dir, const char *part)
{
	_cleanup_close_ int fd = openat(dir, part, OPEN_FLAGS);
	struct arrow_entry e;
	const char *earlier;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT; /* another took its name */
	e = send_make_entry(&st);
	earlier = send_find_earlier(s, &st);
	if (earlier) {
		e.type = ENTRY_HARD_LINK;
		send_put_entry(s, &e, earlier);
		return 0;
	}
	e.type = ENTRY_FILE;
	e.size = (uint64_t)st.st_size;
	send_take_xattrs(s, fd);
	send_find_segments(s, fd, &e);
	send_put_entry(s, &e, NULL);
	for (uint32_t i = 0; i < e.segments; i++) {
		struct arrow_entry_segment segment = arrow_entry_segment(s->segments, i);

		send_put_data(s, fd, segment.offset, segment.length);
	}
	return s->err;
}

static int send_other(struct sender *s, int dir, const char *part, const struct stat *st)
{
	struct arrow_entry e = send_make_entry(st);
	char link[ENTRY_NAME_MAX + 1];
	ssize_t n;

	switch (st->st_mode & S_IFMT) {
	case S_IFLNK:
		n = readlinkat(dir, part, link, sizeof(link) - 1);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		link[n] = '\0';
		e.type = ENTRY_LINK;
		send_put_entry(s, &e, link);
		return s->err;
	case S_IFCHR:
		e.type = ENTRY_CHARACTER;
		break;
	case S_IFBLK:
		e.type = ENTRY_BLOCK;
		break;
	case S_IFIFO:
		e.type = ENTRY_FIFO;
		break;
	default:
		return 0; /* a socket means nothing elsewhere */
	}
	if (e.type != ENTRY_FIFO) {
		e.major = major(st->st_rdev);
		e.minor = minor(st->st_rdev);
	}
	send_put_entry(s, &e, NULL);
	return s->err;
}

/* True for a directory of the kernel's, which is sent empty: /proc, /sys, /dev. */
static bool send_is_kernels(const struct sender *s, int fd, const struct stat *st)
{
	static const unsigned long types[] = {
		0x9fa0,     /* proc */
		0x62656572, /* sysfs */
		0x63677270, /* cgroup2 */
		0x1cd1,     /* devpts */
		0x19800202, /* mqueue */
	};
	struct statfs fs;

	if (st->st_dev == s->dev_dev && st->st_ino == s->dev_ino)
		return true;
	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if ((unsigned long)fs.f_type == types[i])
			return true;
	}
	return false;
}

static int send_at(struct sender *s, int dir, const char *part);

/* fd: taken over. top: the user named it, so it is sent whatever it is. */
static int send_directory(struct sender *s, int fd, bool top)
{
	_cleanup_closedir_ DIR *d = fdopendir(fd);
	struct arrow_entry e;
	size_t length = strlen(s->name);
	struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!d || fstat(fd, &st) < 0) {
		r = -errno;
		if (!d)
			close(fd);
		return r;
	}
	e = send_make_entry(&st);
	e.type = ENTRY_DIRECTORY;
	send_take_xattrs(s, fd);
	send_put_entry(s, &e, NULL);
	if (!top && send_is_kernels(s, fd, &st))
		return s->err;
	if (strcmp(s->name, ".") == 0)
		length = 0;
	while (r == 0 && (entry = readdir(d))) {
		int n;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		n = snprintf(s->name + length, sizeof(s->name) - length, "%s%s", length ? "/" : "",
			entry->d_name);
		if (n < 0 || (size_t)n >= sizeof(s->name) - length)
			return -ENAMETOOLONG;
		r = send_at(s, fd, entry->d_name);
		if (r == -ENOENT) /* gone meanwhile */
			r = 0;
		if (r == 0)
			s->name[length] = '\0';
	}
	return r;
}

static int send_at(struct sender *s, int dir, const char *part)
{
	struct stat st;
	int fd;

	if (s->err < 0)
		return s->err;
	if (fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return send_file(s, dir, part);
	if (!S_ISDIR(st.st_mode))
		return send_other(s, dir, part, &st);
	fd = openat(dir, part, OPEN_FLAGS | O_DIRECTORY);
	return fd < 0 ? -errno : send_directory(s, fd, false);
}

int entries_error(int out, const char *what, const char *path)
{
	struct arrow_entry e = {.type = ENTRY_ERROR, .major = (uint32_t)errno};
	char text[1024];
	uint8_t head[ENTRY_HEAD];
	int n = snprintf(text, sizeof(text), "%s %.700s: %m", what, path);

	e.name = n < 0 ? 0 : n < (int)sizeof(text) ? (uint32_t)n : (uint32_t)sizeof(text) - 1;
	arrow_entry_encode(head, &e);
	if (write_full(out, head, sizeof(head)) < 0 || write_full(out, text, e.name) < 0)
		return 2;
	return 1;
}

/* What the first entry is called: the last part of the path, "." for "/" and what ends in "/.". */
static void send_find_base(const char *path, char name[ENTRY_NAME_MAX + 1])
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	snprintf(name, ENTRY_NAME_MAX + 1, "%.*s", (int)(end - start), path + start);
	if (strlen(name) == 0 || strlen(name) > 255)
		strcpy(name, ".");
}

/* What the path leads to, without links. */
static int send_find_real_path(const char *path, char real[PATH_MAX])
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	char link[32];
	ssize_t n;

	if (fd < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	real[n] = '\0';
	return 0;
}

static int send_path(struct sender *s, const char *path, bool follow)
{
	struct stat st;
	int fd, r;

	if (lstat(path, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && follow && stat(path, &st) < 0)
		return -errno;
	send_find_base(path, s->name);
	if (strcmp(s->name, "..") == 0)
		strcpy(s->name, ".");
	if (S_ISDIR(st.st_mode)) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? -errno : send_directory(s, fd, true);
	}
	if (follow) {
		char target[PATH_MAX];

		r = send_find_real_path(path, target);
		return r < 0                 ? r
		       : S_ISREG(st.st_mode) ? send_file(s, AT_FDCWD, target)
					     : send_other(s, AT_FDCWD, target, &st);
	}
	return S_ISREG(st.st_mode) ? send_file(s, AT_FDCWD, path)
				   : send_other(s, AT_FDCWD, path, &st);
}

int worker_send(int out, const char *path, bool follow)
{
	_cleanup_free_ struct sender *s = calloc(1, sizeof(*s));
	uint8_t head[ENTRY_HEAD];
	struct stat st;
	int r;

	if (!s)
		return entries_error(out, "cannot read", path);
	s->out = out;
	if (stat("/dev", &st) == 0) {
		s->dev_dev = st.st_dev;
		s->dev_ino = st.st_ino;
	}
	r = send_path(s, path, follow);
	send_flush(s);
	tdestroy(s->inodes, free);
	if (s->err < 0)
		return 2; /* nobody reads */
	if (r < 0) {
		errno = -r;
		return entries_error(out, "cannot read", *s->name ? s->name : path);
	}
	arrow_entry_encode(head, &(struct arrow_entry){.type = ENTRY_END});
	return write_full(out, head, sizeof(head)) < 0 ? 2 : 0;
}

/* The entry of a path, without its data; name: an absolute path that it is told by. */
static void send_look_at(
	struct sender *s, const char *name, const char *path, const struct stat *st)
{
	struct arrow_entry e = send_make_entry(st);
	char link[ENTRY_NAME_MAX + 1];
	ssize_t n;

	snprintf(s->name, sizeof(s->name), "%s", name[1] ? name + 1 : ".");
	e.type = S_ISDIR(st->st_mode)    ? ENTRY_DIRECTORY
		 : S_ISLNK(st->st_mode)  ? ENTRY_LINK
		 : S_ISCHR(st->st_mode)  ? ENTRY_CHARACTER
		 : S_ISBLK(st->st_mode)  ? ENTRY_BLOCK
		 : S_ISFIFO(st->st_mode) ? ENTRY_FIFO
					 : ENTRY_FILE;
	if (e.type == ENTRY_FILE)
		e.size = (uint64_t)st->st_size;
	n = e.type == ENTRY_LINK ? readlink(path, link, sizeof(link) - 1) : -1;
	link[n > 0 ? n : 0] = '\0';
	send_put_entry(s, &e, n > 0 ? link : NULL);
}

int worker_look(int out, const char *path)
{
	_cleanup_free_ struct sender *s = calloc(1, sizeof(*s));
	char target[PATH_MAX];
	uint8_t head[ENTRY_HEAD];
	struct stat st;

	if (!s || lstat(path, &st) < 0)
		return entries_error(out, "cannot find", path);
	s->out = out;
	if (S_ISLNK(st.st_mode))
		send_look_at(s, "/", path, &st);
	if (send_find_real_path(path, target) == 0 && stat(target, &st) == 0)
		send_look_at(s, target, target, &st);
	send_flush(s);
	arrow_entry_encode(head, &(struct arrow_entry){.type = ENTRY_END});
	return s->err < 0 || write_full(out, head, sizeof(head)) < 0 ? 2 : 0;
}
