// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/share.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

char *qemu_share_path(const struct arrow_vm_config *config, unsigned int index)
{
	/* The magic link needs no quoting, and nobody can swap the directory behind it. */
	if (!config->shares[index].file)
		return path_format("/proc/self/fd/%d", config->shares[index].fd);
	return path_format("%s/v%u", config->scratch, index);
}

/*
 * A bind mount takes files of the own mount namespace only, and the share was opened in the one
 * before: so it is opened again by its path, and must still be the same file.
 */
static int open_again(int fd)
{
	_cleanup_free_ char *link = path_format("/proc/self/fd/%d", fd);
	_cleanup_close_ int again = -1;
	char path[PATH_MAX];
	struct stat before, after;
	ssize_t n = link ? readlink(link, path, sizeof(path) - 1) : -1;

	if (n < 0)
		return -1;
	path[n] = '\0';
	again = open(path, O_PATH | O_CLOEXEC);
	if (again < 0 || fstat(fd, &before) < 0 || fstat(again, &after) < 0)
		return -1;
	if (before.st_dev != after.st_dev || before.st_ino != after.st_ino) {
		errno = ESTALE;
		return -1;
	}
	return steal_fd(&again);
}

static int mount_file(const struct arrow_vm_config *config, unsigned int index)
{
	const struct arrow_share *share = &config->shares[index];
	_cleanup_free_ char *dir = qemu_share_path(config, index);
	_cleanup_free_ char *file = dir ? path_format("%s/%s", dir, share->file) : NULL;
	_cleanup_close_ int again = open_again(share->fd);
	_cleanup_free_ char *source = path_format("/proc/self/fd/%d", again);
	const unsigned long flags = MS_NOSUID | MS_NODEV;
	int fd;

	if (again < 0)
		return -errno;
	if (!file || !source) {
		errno = ENOMEM;
		return -ENOMEM;
	}
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (mount("arrow", dir, "tmpfs", flags, "size=64k,nr_inodes=8,mode=755") < 0)
		return -errno;
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	if (mount(source, file, NULL, MS_BIND, NULL) < 0)
		return -errno;
	if (mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY | flags, "size=64k,nr_inodes=8") < 0)
		return -errno;
	return 0;
}

int qemu_shares_mount(const struct arrow_vm_config *config)
{
	bool any = false;

	for (unsigned int i = 0; i < config->n_shares; i++) {
		int r;

		if (!config->shares[i].file)
			continue;
		if (!any && (unshare(CLONE_NEWNS) < 0 ||
				    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
			return -errno;
		any = true;
		r = mount_file(config, i);
		if (r < 0)
			return r;
	}
	return 0;
}
