// SPDX-License-Identifier: Apache-2.0
#include "guest/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/root.h"
#include "protocol/protocol.h"
#include "util/io.h"

/*
 * A rehearsal: the host has the loader do a job of no consequence, so that an engine which
 * translates the guest's code has translated what the next job will run. A copy of the loader does
 * it, with mounts and changes of its own; when it has ended nothing is left but caches, and the
 * loader waits for its job as before.
 */

/* musl comes without the kernel's headers; this is of linux/fs.h. */
#define BLKFLSBUF _IO(0x12, 97)

#define DISK "/dev/vda"
#define RELEASE_DEADLINE_MS 10000u
#define FORGET_SIZE (4u << 20)

static int warm_become_copy(struct stage *stage)
{
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	r = stage->mounted ? root_unmount(stage) : 0;
	if (r < 0)
		return r;
	close(stage->upper);
	if (mount("tmpfs", UPPER_DIR, "tmpfs", 0, "mode=755") < 0 ||
		mkdir(UPPER_DIR "/upper", 0755) < 0 || mkdir(UPPER_DIR "/work", 0755) < 0)
		return -errno;
	stage->upper = open(UPPER_DIR "/upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (stage->upper < 0)
		return -errno;
	root_mount(stage);
	return 0;
}

/*
 * The next job's disk is another one, so nothing of this one may stay in memory. Once nobody else
 * has it open, its last close drops all of it.
 */
static int warm_release_disk(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t deadline = now_ms() + RELEASE_DEADLINE_MS;
	int fd, r;

	while ((fd = open(DISK, O_RDONLY | O_EXCL | O_CLOEXEC)) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY || now_ms() > deadline)
			return -errno;
		nanosleep(&pause, NULL);
	}
	r = ioctl(fd, BLKFLSBUF, 0) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/*
 * Writes to memory that the rehearsal had and gave back. Whoever translates the guest's code knows
 * then that none of it is there any more, and need not find out when the next job takes the memory.
 */
static void warm_forget_code(void)
{
	char *memory =
		mmap(NULL, FORGET_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return;
	for (size_t at = 0; at < FORGET_SIZE; at += 4096)
		*(volatile char *)(memory + at) = 1;
	munmap(memory, FORGET_SIZE);
}

int warm_rehearse(struct stage *stage)
{
	char hostname[HOST_NAME_MAX + 1] = "";
	int r, status;
	pid_t pid;

	gethostname(hostname, sizeof(hostname) - 1); /* small kernels have one for all */
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = warm_become_copy(stage);
		return r < 0 ? r : 1;
	}
	/* Orphans of the rehearsal's program, too. */
	while (waitpid(-1, &status, 0) > 0 || errno == EINTR)
		;
	if (sethostname(hostname, strlen(hostname)) < 0)
		return -errno;
	/* Where its share was mounted, which the job would take for a mount. */
	if (rmdir(SHARES_DIR "/" ARROW_SHARES_TAG) < 0 && errno != ENOENT)
		return -errno;
	r = stage->mounted ? root_unmount(stage) : 0;
	if (r == 0)
		r = warm_release_disk();
	if (r == 0) {
		root_mount(stage);
		warm_forget_code();
	}
	return r;
}
