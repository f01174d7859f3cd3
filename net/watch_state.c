// SPDX-License-Identifier: Apache-2.0
#include "net/watch_state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
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
