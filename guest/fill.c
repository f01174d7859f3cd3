// SPDX-License-Identifier: Apache-2.0
#include "guest/fill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "util/cleanup.h"

#define COPY_AT_ONCE (1u << 20) /* bytes */

/* A file with several names, and the first of them. */
struct linked {
	struct linked *next;
	ino_t inode;
	dev_t device;
	char path[];
};

struct fill {
	int from, to;
	struct linked *links;
	char path[PATH_MAX]; /* of what is copied, below both */
};

static int fill_open_dir(int at, const char *path, DIR **dir)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	*dir = fd < 0 ? NULL : fdopendir(fd);
	if (*dir)
		return 0;
	close_keep_errno(fd);
	return -errno;
}

static bool fill_is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A volume that is a disk has a folder for what its check finds. */
static int fill_is_empty(int volume)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int r = fill_open_dir(volume, ".", &dir);

	while (r == 0 && (entry = readdir(dir)))
		if (!fill_is_dots(entry->d_name) && strcmp(entry->d_name, "lost+found") != 0)
			return 0;
	return r < 0 ? r : 1;
}

/* Where the volume's file system has none, as where it has no more room for them, they are lost. */
static int fill_copy_xattrs(int from, int to)
{
	char names[4096], value[4096];
	ssize_t size = flistxattr(from, names, sizeof(names));

	for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t n = fgetxattr(from, name, value, sizeof(value));

		if (n >= 0 && fsetxattr(to, name, value, (size_t)n, 0) < 0 && errno != EOPNOTSUPP &&
			errno != EPERM)
			return -errno;
	}
	return 0;
}

/* Owner before mode, which it would take bits from; and both before capabilities. */
static int fill_copy_owner(const struct fill *f, const char *path, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(f->to, path, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(f->to, path, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(f->to, path, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int fill_copy_data(int from, int to, off_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(to, from, NULL, COPY_AT_ONCE);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		size -= n > 0 ? n : 0;
	}
	return 0;
}

static int fill_copy_file(const struct fill *f, const struct stat *st)
{
	_cleanup_close_ int from = openat(f->from, f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int to = -1;
	int r;

	if (from < 0)
		return -errno;
	to = openat(f->to, f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = to < 0 ? -errno : fill_copy_data(from, to, st->st_size);
	if (r == 0)
		r = fill_copy_owner(f, f->path, st);
	return r < 0 ? r : fill_copy_xattrs(from, to);
}

static int fill_copy_link(const struct fill *f)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(f->from, f->path, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return symlinkat(text, f->to, f->path) < 0 ? -errno : 0;
}

/* Returns 1 if the file has another name that was copied already. */
static int fill_link(struct fill *f, const struct stat *st)
{
	struct linked *l;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return 0;
	for (l = f->links; l; l = l->next)
		if (l->inode == st->st_ino && l->device == st->st_dev)
			return linkat(f->to, l->path, f->to, f->path, 0) < 0 ? -errno : 1;
	l = malloc(sizeof(*l) + strlen(f->path) + 1);
	if (!l)
		return -ENOMEM;
	*l = (struct linked){.next = f->links, .inode = st->st_ino, .device = st->st_dev};
	strcpy(l->path, f->path);
	f->links = l;
	return 0;
}

static int fill_copy_dir(struct fill *f);

static int fill_make_entry(struct fill *f, const struct stat *st)
{
	int r = fill_link(f, st);

	if (r != 0)
		return r < 0 ? r : 0;
	switch (st->st_mode & S_IFMT) {
	case S_IFDIR:
		if (mkdirat(f->to, f->path, 0700) < 0 && errno != EEXIST)
			return -errno;
		r = fill_copy_dir(f);
		return r < 0 ? r : fill_copy_owner(f, f->path, st);
	case S_IFREG:
		return fill_copy_file(f, st);
	case S_IFLNK:
		r = fill_copy_link(f);
		return r < 0 ? r : fill_copy_owner(f, f->path, st);
	default:
		if (mknodat(f->to, f->path, st->st_mode & S_IFMT, st->st_rdev) < 0)
			return -errno;
		return fill_copy_owner(f, f->path, st);
	}
}

/* The volume was empty: what is there now is of another VM that fills it at the same time. */
static int fill_copy_entry(struct fill *f)
{
	struct stat st;
	int r;

	if (fstatat(f->from, f->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = fill_make_entry(f, &st);
	return r == -EEXIST ? 0 : r;
}

/* Copies what is in the directory f->path, which is "." at the top; ends with that path again. */
static int fill_copy_dir(struct fill *f)
{
	_cleanup_closedir_ DIR *from = NULL, *to = NULL;
	size_t length = strlen(f->path);
	struct dirent *entry;
	int r = fill_open_dir(f->from, f->path, &from);

	if (r == 0)
		r = fill_open_dir(f->to, f->path, &to);
	if (r == 0)
		r = fill_copy_xattrs(dirfd(from), dirfd(to));
	while (r == 0 && (entry = readdir(from))) {
		if (fill_is_dots(entry->d_name))
			continue;
		if (length + 1 + strlen(entry->d_name) >= sizeof(f->path))
			return -ENAMETOOLONG;
		snprintf(f->path + length, sizeof(f->path) - length, "/%s", entry->d_name);
		r = fill_copy_entry(f);
		if (r == 0)
			f->path[length] = '\0';
	}
	return r;
}

int fill_volume(int volume, const char *target, struct failure *failure)
{
	_cleanup_close_ int from = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ struct fill *f = calloc(1, sizeof(*f));
	struct stat st;
	int r = fill_is_empty(volume);

	if (r == 0)
		return 0;
	if (r > 0)
		r = !f ? -ENOMEM : from < 0 || fstat(from, &st) < 0 ? -errno : 0;
	if (r == 0) {
		*f = (struct fill){.from = from, .to = volume, .path = "."};
		r = fill_copy_dir(f);
		if (r == 0)
			r = fill_copy_owner(f, ".", &st);
		for (struct linked *next, *l = f->links; l; l = next) {
			next = l->next;
			free(l);
		}
	}
	return r < 0 ? fail(failure, 125, -r,
			       "cannot fill the volume at %s with the image's files (%s): %m",
			       target, f ? f->path : "")
		     : 0;
}
