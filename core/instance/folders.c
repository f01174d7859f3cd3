// SPDX-License-Identifier: Apache-2.0
#include "core/instance/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/instance/config.h"

#define LOCK_DEADLINE_MS 20000u /* for the lock of the store, which is held for moments */

void folders_release(struct folders *s)
{
	close_keep_errno(s->arrows_fd);
	close_keep_errno(s->names_fd);
	close_keep_errno(s->run_fd);
	close_keep_errno(s->lock_fd); /* gives the lock back */
}

int folders_open_dir(const char *parent, const char *name, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/%s", parent, name);
	int fd;

	if (!path)
		return arrow_no_memory(error);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		if (mkdir(path, INSTANCE_DIR_MODE) < 0 && errno != EEXIST)
			return arrow_fail(
				error, errno, "cannot create the state directory %s: %m", path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0)
		return arrow_fail(error, errno, "cannot open the state directory %s: %m", path);
	return fd;
}

int folders_open(struct folders *s, const struct arrow_paths *paths, struct arrow_error *error)
{
	s->arrows_fd = folders_open_dir(paths->data, "arrows", error);
	if (s->arrows_fd < 0)
		return s->arrows_fd;
	s->names_fd = folders_open_dir(paths->data, "names", error);
	if (s->names_fd < 0)
		return s->names_fd;
	s->run_fd = folders_open_dir(paths->run, "arrows", error);
	return s->run_fd < 0 ? s->run_fd : 0;
}

int folders_lock(struct folders *s, const struct arrow_paths *paths, struct arrow_error *error)
{
	uint64_t end = now_ms() + LOCK_DEADLINE_MS;
	int r = folders_open(s, paths, error);

	if (r < 0)
		return r;
	s->lock_fd = openat(s->arrows_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return arrow_fail(
			error, errno, "cannot use the data directory %s: %m", paths->data);
	while ((r = flock(s->lock_fd, LOCK_EX | LOCK_NB)) < 0 && now_ms() < end &&
		(errno == EINTR || errno == EWOULDBLOCK))
		usleep(500);
	if (r < 0)
		return arrow_fail(error, errno,
			"cannot lock %s/arrows/.lock: %m; a stopped command may hold it",
			paths->data);
	return 0;
}

int folders_each_id(int dir_fd, void (*each)(const char *id, void *arg), void *arg)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		int err = errno;

		close_keep_errno(fd);
		return -err;
	}
	while ((entry = readdir(dir)))
		if (strlen(entry->d_name) == ARROW_ID_HEX - 1)
			each(entry->d_name, arg);
	return 0;
}

void folders_remove_one(const struct folders *s, const char *id)
{
	_cleanup_free_ char *aside = path_format(FOLDERS_REMOVING "%s", id);

	if (aside && renameat(s->arrows_fd, id, s->arrows_fd, aside) == 0)
		remove_tree(s->arrows_fd, aside);
	arrow_instance_remove_run(s->run_fd, id);
}
