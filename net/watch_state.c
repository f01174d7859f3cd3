// SPDX-License-Identifier: Apache-2.0
#include "net/watch_state.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

/* A watch that is stopped does not end, nor one that waits for the lock that the caller holds. */
#define END_MS 2000u
#define END_PAUSE_MS 5

char *net_watch_file(const struct arrow_paths *paths, const char *network, const char *name)
{
	return path_format("%s/networks/%s/%s", paths->run, network, name);
}

bool net_watch_lives(const struct arrow_paths *paths, const char *network)
{
	_cleanup_free_ char *path = net_watch_file(paths, network, "watch");
	_cleanup_close_ int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
}

int net_watch_hold(const struct arrow_paths *paths, const char *network)
{
	_cleanup_free_ char *path = net_watch_file(paths, network, "watch");

	return path ? open(path, O_RDWR | O_CLOEXEC) : -1;
}

void net_watch_wait_end(int fd)
{
	uint64_t end = now_ms() + END_MS;

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && now_ms() < end)
		poll(NULL, 0, END_PAUSE_MS);
	close_keep_errno(fd);
}

/* True if a process is a watch, and has a file open. */
static bool watch_has_open(const char *pid, const struct stat *file)
{
	_cleanup_free_ char *comm_path = path_format("/proc/%s/comm", pid), *comm = NULL;
	_cleanup_free_ char *fds = path_format("/proc/%s/fd", pid);
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	struct stat st;

	if (!comm_path || !fds || read_file(AT_FDCWD, comm_path, 64, &comm, NULL) < 0 ||
		strcmp(comm, NET_WATCH_TITLE "\n") != 0)
		return false;
	dir = opendir(fds);
	while (dir && (entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && st.st_ino == file->st_ino &&
			st.st_dev == file->st_dev)
			return true;
	return false;
}

void net_watch_kill(const struct arrow_paths *paths, const char *network)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	int watch = net_watch_hold(paths, network);
	const struct dirent *entry;
	struct stat st;

	while (watch >= 0 && fstat(watch, &st) == 0 && dir && (entry = readdir(dir))) {
		_cleanup_close_ int pidfd = -1;

		/* Before it is looked at: it is the same process then. */
		if (isdigit((unsigned char)entry->d_name[0]))
			pidfd = (int)syscall(SYS_pidfd_open, atoi(entry->d_name), 0);
		if (pidfd >= 0 && watch_has_open(entry->d_name, &st))
			syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	}
	net_watch_wait_end(watch);
}

bool net_watch_resolves(const struct arrow_paths *paths, const char *network)
{
	_cleanup_free_ char *path = net_watch_file(paths, network, "names");

	return path && access(path, F_OK) == 0;
}

int net_watch_follow(const struct arrow_paths *paths, const char *network)
{
	_cleanup_free_ char *path = net_watch_file(paths, network, "alive");
	int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

	return fd >= 0 ? fd : path ? -errno : -ENOMEM;
}
