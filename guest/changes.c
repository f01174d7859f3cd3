// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "guest/worker.h"
#include "util/cleanup.h"
#include "util/io.h"

/*
 * What a program changed in its root: the upper layer of the overlay against the image, told as
 * Docker does. A file that was written and is as before is none; a directory is one when it or
 * something in it changed; what the loader itself puts into a root is none.
 */

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static const char *const own[] = {
	"/dev",
	"/proc",
	"/sys",
	"/etc/hostname",
	"/etc/hosts",
	"/etc/machine-id",
	"/etc/mtab",
	"/etc/resolv.conf",
};

/* Made by the loader where the image lacks them: told only for what is in them. */
static const char *const made[] = {"/etc", "/tmp"};

struct walk {
	int out;
	int err;
	bool quiet; /* only whether anything changed is asked */
	char path[PATH_MAX];
};

static void changes_tell(struct walk *w, char kind, bool *changed)
{
	char record[PATH_MAX + 4];
	int n = snprintf(record, sizeof(record), "%c %s", kind, w->path);

	*changed = true;
	if (w->err == 0 && !w->quiet)
		w->err = write_full(w->out, record, (size_t)n + 1);
}

static bool changes_is_listed(const char *path, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(path, list[i]) == 0)
			return true;
	}
	return false;
}

/* Shell's sort: a tenth of the code of the library's qsort(), and quick enough for names. */
static void names_sort(char **names, size_t count)
{
	for (size_t gap = count / 2; gap > 0; gap /= 2) {
		for (size_t i = gap; i < count; i++) {
			char *name = names[i];
			size_t at = i;

			for (; at >= gap && strcmp(names[at - gap], name) > 0; at -= gap)
				names[at] = names[at - gap];
			names[at] = name;
		}
	}
}

/* Adds the names in a directory to a list, which stays NULL-terminated. */
static int names_add(int dir, char ***names, size_t *count)
{
	int fd = openat(dir, ".", DIR_FLAGS);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		close_keep_errno(fd);
		return -errno;
	}
	while ((entry = readdir(d))) {
		char **more;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		more = realloc(*names, (*count + 2) * sizeof(**names));
		if (!more)
			return -ENOMEM;
		*names = more;
		more[*count] = strdup(entry->d_name);
		more[*count + 1] = NULL;
		if (!more[*count])
			return -ENOMEM;
		++*count;
	}
	return 0;
}

/* All names of a directory, sorted, each once: those of the upper one, and of what it hides. */
static int names_read(int upper, int lower, bool hides, char ***names)
{
	size_t count = 0, kept = 0;
	int r = names_add(upper, names, &count);

	if (r == 0 && hides && lower >= 0)
		r = names_add(lower, names, &count);
	if (r < 0 || count == 0)
		return r;
	names_sort(*names, count);
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && strcmp((*names)[kept - 1], (*names)[i]) == 0)
			free((*names)[i]);
		else
			(*names)[kept++] = (*names)[i];
	}
	(*names)[kept] = NULL;
	return 0;
}

static bool changes_is_opaque(int dir)
{
	char value = 0;

	return fgetxattr(dir, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static bool changes_is_same_link(int upper, int lower, const char *name)
{
	char a[PATH_MAX], b[PATH_MAX];
	ssize_t n = readlinkat(upper, name, a, sizeof(a));

	return n >= 0 && readlinkat(lower, name, b, sizeof(b)) == n && memcmp(a, b, (size_t)n) == 0;
}

static bool changes_differ(
	int upper, int lower, const char *name, const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		return true;
	if (S_ISDIR(a->st_mode))
		return false;
	if (S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode))
		return a->st_rdev != b->st_rdev;
	if (S_ISLNK(a->st_mode))
		return !changes_is_same_link(upper, lower, name);
	/* An image may keep whole seconds only. */
	return a->st_size != b->st_size || a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	       (a->st_mtim.tv_nsec != b->st_mtim.tv_nsec && b->st_mtim.tv_nsec != 0);
}

static int walk_dir(struct walk *w, int upper, int lower, bool top, bool *changed);

/* Whether anything in a directory changed. */
static int walk_look_inside(struct walk *w, int upper, int lower, bool *inside)
{
	bool quiet = w->quiet;
	int r;

	*inside = false;
	w->quiet = true;
	r = walk_dir(w, upper, lower, false, inside);
	w->quiet = quiet;
	return r;
}

static int walk_subdir(
	struct walk *w, int upper, int lower, const char *name, bool was, bool same, bool *changed)
{
	_cleanup_close_ int dir = openat(upper, name, DIR_FLAGS);
	_cleanup_close_ int below = was ? openat(lower, name, DIR_FLAGS) : -1;
	bool inside;
	int r;

	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	if (same) {
		/* Told only if something in it changed, and in front of that. */
		r = walk_look_inside(w, dir, below, &inside);
		if (r < 0 || !inside)
			return r;
	}
	changes_tell(w, was ? 'C' : 'A', changed);
	return w->quiet || w->err < 0 ? w->err : walk_dir(w, dir, below, false, &inside);
}

/* One name of a directory; lower is -1 where the image has no such directory. */
static int walk_name(struct walk *w, int upper, int lower, const char *name, bool *changed)
{
	struct stat a, b;
	bool was = lower >= 0 && fstatat(lower, name, &b, AT_SYMLINK_NOFOLLOW) == 0;

	if (changes_is_listed(w->path, own, sizeof(own) / sizeof(own[0])))
		return 0;
	if (fstatat(upper, name, &a, AT_SYMLINK_NOFOLLOW) < 0 ||
		(S_ISCHR(a.st_mode) && a.st_rdev == makedev(0, 0))) {
		if (was)
			changes_tell(w, 'D', changed);
		return w->err;
	}
	if (S_ISDIR(a.st_mode))
		return walk_subdir(w, upper, lower, name, was,
			was ? !changes_differ(upper, lower, name, &a, &b)
			    : changes_is_listed(w->path, made, sizeof(made) / sizeof(made[0])),
			changed);
	if (!was || changes_differ(upper, lower, name, &a, &b))
		changes_tell(w, was ? 'C' : 'A', changed);
	return w->err;
}

static int walk_dir(struct walk *w, int upper, int lower, bool top, bool *changed)
{
	size_t length = top ? 0 : strlen(w->path);
	_cleanup_strv_ char **names = NULL;
	int r = names_read(upper, lower, changes_is_opaque(upper), &names);

	for (char **name = names; r == 0 && name && *name; name++) {
		int n = snprintf(w->path + length, sizeof(w->path) - length, "/%s", *name);

		if (n < 0 || (size_t)n >= sizeof(w->path) - length)
			return -ENAMETOOLONG;
		r = walk_name(w, upper, lower, *name, changed);
		if (w->quiet && *changed)
			break; /* that is all there was to know */
	}
	w->path[length] = '\0';
	return r;
}

int worker_changes(int out, int upper, int lower)
{
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	bool changed = false;

	if (!w || upper < 0 || lower < 0)
		return 3;
	w->out = out;
	return walk_dir(w, upper, lower, true, &changed) < 0 ? 1 : 0;
}
