// SPDX-License-Identifier: Apache-2.0
#include "util/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

int write_full(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

ssize_t read_full(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int read_file(int dirfd, const char *path, size_t max, char **data, size_t *size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *buf = NULL;
	char first[4096]; /* most files fit; a list of many Arrows would else be mostly malloc() */
	size_t room = sizeof(first), used;
	ssize_t n;

	if (fd < 0)
		return -errno;

	/* Grown as it is read: files of /proc tell no size. */
	n = read_full(fd, first, room);
	for (used = 0;;) {
		char *larger;

		if (n < 0)
			return (int)n;
		if (used + (size_t)n > max)
			return -EFBIG;
		larger = realloc(buf, (used + (size_t)n < room ? used + (size_t)n : 2 * room) + 1);
		if (!larger)
			return -ENOMEM;
		buf = larger;
		if (used == 0)
			memcpy(buf, first, (size_t)n);
		used += (size_t)n;
		if (used < room)
			break;
		room *= 2;
		n = read_full(fd, buf + used, room - used);
	}

	buf[used] = '\0';
	*data = STEAL(buf);
	if (size)
		*size = used;
	return 0;
}

int write_file_atomic(int dirfd, const char *path, mode_t mode, const void *data, size_t size)
{
	_cleanup_free_ char *tmp = path_format("%s.tmp.%d", path, (int)getpid());
	_cleanup_close_ int fd = -1;
	int r;

	if (!tmp)
		return -ENOMEM;
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;

	r = write_full(fd, data, size);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, tmp, 0);
	return r;
}

int mkdir_all(const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* Directories of a tree that are open at once: a guest can make them as deep as it likes. */
#define TREE_DEPTH_MAX 64u

/* A tree on its way out. */
struct removing {
	int top_fd;
	unsigned int number; /* in the last name that was tried at the top */
	unsigned int moved;  /* directories, to there */
};

/* A directory that is too deep is moved to the top of its tree, which is gone through again. */
static int remove_move_up(struct removing *t, int dirfd, const char *name)
{
	char higher[32];
	int r;

	do {
		snprintf(higher, sizeof(higher), ".deep-%u", ++t->number);
		r = renameat(dirfd, name, t->top_fd, higher);
	} while (r < 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR));
	if (r < 0)
		return -errno;
	t->moved++;
	return 0;
}

static int remove_below(struct removing *t, int dirfd, const char *path, unsigned int depth)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	unsigned int moved;
	int fd, r = 0;

	if (unlinkat(dirfd, path, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth == TREE_DEPTH_MAX)
		return remove_move_up(t, dirfd, path);

	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	if (depth == 0)
		t->top_fd = fd;

	do {
		moved = t->moved;
		r = 0;
		rewinddir(dir);
		while ((entry = readdir(dir))) {
			int e;

			if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
				continue;
			e = remove_below(t, fd, entry->d_name, depth + 1);
			if (e < 0 && r == 0)
				r = e;
		}
	} while (depth == 0 && t->moved != moved);
	if (unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && r == 0)
		r = -errno;
	return r;
}

int remove_tree(int dirfd, const char *path)
{
	return remove_below(&(struct removing){.top_fd = -1}, dirfd, path, 0);
}

char *path_format(const char *fmt, ...)
{
	char *path = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&path, fmt, ap) < 0)
		path = NULL;
	va_end(ap);
	return path;
}

char *path_normalize(const char *path)
{
	char *normal = malloc(strlen(path) + 2);
	size_t used = 0;

	if (!normal)
		return NULL;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && !strncmp(path, "..", 2)) {
			while (used > 0 && normal[--used] != '/')
				;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			normal[used++] = '/';
			memcpy(normal + used, path, n);
			used += n;
		}
		path += n;
		path += *path == '/';
	}
	if (used == 0)
		normal[used++] = '/';
	normal[used] = '\0';
	return normal;
}

void time_text(time_t when, char text[TIME_TEXT])
{
	struct tm tm;

	strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &tm));
}

void time_text_exact(struct timespec when, char text[TIME_TEXT])
{
	struct tm tm;
	size_t n = strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", gmtime_r(&when.tv_sec, &tm));

	snprintf(text + n, TIME_TEXT - n, ".%09uZ", (unsigned int)when.tv_nsec % 1000000000u);
}

/* "Z", "+01:00" or nothing, which is the local time, behind a date. Returns 0 or -EINVAL. */
static int add_zone(const char *zone, struct tm *tm, time_t *when)
{
	unsigned int hours, minutes;

	*when = *zone ? timegm(tm) : mktime(tm);
	if (!*zone || strcmp(zone, "Z") == 0)
		return 0;
	if ((*zone != '+' && *zone != '-') || strspn(zone + 1, "0123456789") != 2 ||
		zone[3] != ':' || strspn(zone + 4, "0123456789") != 2 || zone[6] ||
		sscanf(zone + 1, "%2u:%2u", &hours, &minutes) != 2)
		return -EINVAL;
	*when -= (*zone == '+' ? 1 : -1) * (time_t)(hours * 3600 + minutes * 60);
	return 0;
}

int time_parse(const char *text, struct timespec *when)
{
	static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
	const char *end = NULL;
	long unit = 100000000;
	struct tm tm;

	for (size_t i = 0; !end && i < sizeof(formats) / sizeof(*formats); i++) {
		tm = (struct tm){.tm_isdst = -1};
		end = strptime(text, formats[i], &tm);
	}
	if (!end)
		return -EINVAL;
	when->tv_nsec = 0;
	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			when->tv_nsec += (*end - '0') * unit;
	return add_zone(end, &tm, &when->tv_sec);
}

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t now_ms(void)
{
	return now_us() / 1000u;
}
