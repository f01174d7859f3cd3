// SPDX-License-Identifier: Apache-2.0
#include "guest/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/cleanup.h"

/*
 * What no job changes, done before the loader waits for one, so that a clone of a template finds
 * it ready: /dev, /proc and /sys of a program, built in STAGE_DIR and only moved into the root
 * later, and the tmpfs that takes the changes to the root. Docker is the model for all of it.
 */

/* Open files of a program. The kernel's 4096 are too few for servers, which raise theirs. */
#define FILES_SOFT 1024u
#define FILES_HARD 524288u

#define CAREFUL (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const struct {
	const char *name;
	unsigned int major, minor;
} nodes[] = {
	{"null", 1, 3},
	{"zero", 1, 5},
	{"full", 1, 7},
	{"random", 1, 8},
	{"urandom", 1, 9},
	{"tty", 5, 0},
};

static const char *const links[][2] = {
	{"/proc/self/fd", "fd"},
	{"/proc/self/fd/0", "stdin"},
	{"/proc/self/fd/1", "stdout"},
	{"/proc/self/fd/2", "stderr"},
	{"pts/ptmx", "ptmx"},
	{"/proc/kcore", "core"},
};

/* Hidden from programs, where the kernel has them. */
static const char *const masked[] = {
	"proc/acpi",
	"proc/asound",
	"proc/interrupts",
	"proc/kcore",
	"proc/keys",
	"proc/latency_stats",
	"proc/timer_list",
	"proc/timer_stats",
	"proc/sched_debug",
	"proc/scsi",
	"sys/firmware",
	"sys/devices/virtual/powercap",
};

static const char *const read_only[] = {
	"proc/bus",
	"proc/fs",
	"proc/irq",
	"proc/sys",
	"proc/sysrq-trigger",
};

static int stage_attach(const char *type, const char *dir, unsigned long flags, const char *options)
{
	return mount(type, dir, type, flags, options) < 0 ? -errno : 0;
}

/* A file system that a smaller kernel may lack. */
static int stage_attach_if_there(
	const char *type, const char *dir, unsigned long flags, const char *options)
{
	int r = stage_attach(type, dir, flags, options);

	return r == -ENODEV || r == -ENOENT ? 0 : r;
}

static int stage_build_dev(bool privileged)
{
	int r;

	r = privileged
		    ? stage_attach("devtmpfs", "dev", MS_NOSUID, NULL)
		    : stage_attach("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "size=64m,mode=755");
	if (r < 0)
		return r;
	for (size_t i = 0; !privileged && i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		char path[32];

		snprintf(path, sizeof(path), "dev/%s", nodes[i].name);
		if (mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) < 0)
			return -errno;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		char path[32];

		snprintf(path, sizeof(path), "dev/%s", links[i][1]);
		if (symlink(links[i][0], path) < 0 && errno != EEXIST)
			return -errno;
	}

	if ((mkdir("dev/pts", 0755) < 0 && errno != EEXIST) ||
		(mkdir("dev/shm", 01777) < 0 && errno != EEXIST) ||
		(mkdir("dev/mqueue", 0755) < 0 && errno != EEXIST))
		return -errno;
	r = stage_attach_if_there("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC,
		"newinstance,ptmxmode=0666,mode=0620,gid=5");
	if (r == 0)
		r = stage_attach("tmpfs", "dev/shm", CAREFUL, "mode=1777,size=" SHM_SIZE_TEXT);
	if (r == 0)
		r = stage_attach_if_there("mqueue", "dev/mqueue", CAREFUL, NULL);
	return r;
}

static int stage_mask(const char *path)
{
	if (mount("dev/null", path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTDIR)
		return -errno;
	return stage_attach("tmpfs", path, MS_RDONLY | CAREFUL, "size=0");
}

static int stage_protect(const char *path)
{
	if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | CAREFUL, NULL) < 0)
		return -errno;
	return 0;
}

static int stage_hide(const char **what)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(masked) / sizeof(masked[0]); i++) {
		*what = masked[i];
		r = stage_mask(masked[i]);
	}
	for (size_t i = 0; r == 0 && i < sizeof(read_only) / sizeof(read_only[0]); i++) {
		*what = read_only[i];
		r = stage_protect(read_only[i]);
	}
	return r;
}

int stage_build(const char *dir, bool privileged, const char **what)
{
	int r;

	*what = "the mount points of /dev, /proc and /sys";
	if (chdir(dir) < 0 || mkdir("dev", 0755) < 0 || mkdir("proc", 0555) < 0 ||
		mkdir("sys", 0555) < 0)
		return -errno;
	*what = "/dev";
	r = stage_build_dev(privileged);
	if (r < 0)
		return r;
	*what = "/proc";
	r = stage_attach("proc", "proc", CAREFUL, NULL);
	if (r < 0)
		return r;
	*what = "/sys";
	r = stage_attach("sysfs", "sys", CAREFUL, NULL);
	/* Of the mount only: all mounts of sysfs share what is set on the file system. */
	if (r == 0 && !privileged &&
		mount(NULL, "sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | CAREFUL, NULL) < 0)
		r = -errno;
	if (r == 0)
		r = stage_attach_if_there("cgroup2", "sys/fs/cgroup", CAREFUL, "nsdelegate");
	if (r == 0 && !privileged)
		r = stage_hide(what);
	if (r == 0 && chdir("/") < 0)
		r = -errno;
	return r;
}

int stage_pipe(bool to_program, int *theirs, int *ours)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*theirs = fds[to_program ? 0 : 1];
	*ours = fds[to_program ? 1 : 0];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

void stage_close_pipes(struct stage *stage)
{
	for (int i = 0; i < 2; i++) {
		close_keep_errno(steal_fd(&stage->theirs[i]));
		close_keep_errno(steal_fd(&stage->ours[i]));
	}
}

int stage_pipes(struct stage *stage)
{
	int r = 0;

	stage_close_pipes(stage);
	for (int i = 0; r == 0 && i < 2; i++)
		r = stage_pipe(false, &stage->theirs[i], &stage->ours[i]);
	return r;
}

/* Descriptors 0 to 2 may be closed: nothing of ours shall get their numbers. */
static int stage_fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -errno;
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

/*
 * Where there is nothing to do the kernel is not to wake: each time costs the host some fifteen
 * wakes of the VM's process. It would look twice a second whether memory could be tidied up ahead
 * of need; when it is needed it still is.
 */
static void stage_calm_kernel(int sysctl)
{
	int fd = openat(sysctl, "vm/compaction_proactiveness", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "0", 1) < 0)
		errno = 0;
	close_keep_errno(fd);
}

int stage_prepare(struct stage *stage, const char **what)
{
	static const char *const dirs[] = {
		"/dev", STAGE_DIR, PRIVILEGED_DIR, LOWER_DIR, UPPER_DIR, ROOT_DIR, SHARES_DIR};
	const struct rlimit files = {.rlim_cur = FILES_SOFT, .rlim_max = FILES_HARD};
	const gid_t group = 0;
	int r;

	/* As programs have them, and enough for three pipes of each process that can be. */
	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, NULL) < 0 ||
		syscall(SYS_setgroups, 1, &group) < 0)
		errno = 0;
	umask(0);
	stage->log = -1;
	for (int i = 0; i < 2; i++)
		stage->theirs[i] = stage->ours[i] = -1;
	*what = "make the directories of the initramfs";
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (mkdir(dirs[i], 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	*what = "mount /dev of the initramfs";
	r = stage_attach("devtmpfs", "/dev", 0, NULL);
	if (r == 0 || r == -EBUSY)
		r = stage_fill_stdio();
	if (r < 0)
		return r;

	/* These see the parts of /proc that programs will not. */
	*what = "mount /proc of the initramfs";
	if (mkdir("/proc", 0555) < 0 && errno != EEXIST)
		return -errno;
	r = stage_attach("proc", "/proc", CAREFUL, NULL);
	if (r < 0)
		return r;
	stage->sysctl = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC); /* or -1 */
	stage_calm_kernel(stage->sysctl);
	stage->vmstat = open("/proc/vmstat", O_RDONLY | O_CLOEXEC); /* or -1 */
	stage->oom_kills = stage_oom_kills(stage);

	r = stage_build(STAGE_DIR, false, what);
	if (r < 0)
		return r;
	*what = "open /dev/null";
	stage->null = open(STAGE_DIR "/dev/null", O_RDONLY | O_CLOEXEC);
	if (stage->null < 0)
		return -errno;

	*what = "mount the tmpfs for changes to the root";
	r = stage_attach("tmpfs", UPPER_DIR, 0, "mode=755");
	if (r == 0 && (mkdir(UPPER_DIR "/upper", 0755) < 0 || mkdir(UPPER_DIR "/work", 0755) < 0))
		r = -errno;
	stage->upper = open(UPPER_DIR "/upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* or -1 */
	stage->lower = -1;
	return r;
}

void stage_watch_log(struct stage *stage)
{
	/* A line of its own: the last of the kernel's may be open for more, and comes when it is
	 * not. */
	static const char line[] = "<7>arrow: the loader waits for a job\n";

	close_keep_errno(stage->log);
	stage->log = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (stage->log >= 0 && (write(stage->log, line, sizeof(line) - 1) < 0 ||
				       lseek(stage->log, 0, SEEK_END) < 0))
		close_keep_errno(steal_fd(&stage->log));
}

bool stage_log_grew(const struct stage *stage)
{
	char line[1];

	/* EINVAL: there is a line, which is longer. */
	return stage->log < 0 || read(stage->log, line, sizeof(line)) >= 0 || errno != EAGAIN;
}

uint64_t stage_oom_kills(const struct stage *stage)
{
	static const char name[] = "oom_kill ";
	char text[8192];
	ssize_t n = pread(stage->vmstat, text, sizeof(text) - 1, 0);
	uint64_t kills = 0;
	const char *line;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* By line: strstr() is large, and what is run for the first time is slow. */
	for (line = text; strncmp(line, name, sizeof(name) - 1) != 0; line++) {
		line = strchrnul(line, '\n');
		if (!*line)
			return 0;
	}
	for (line += sizeof(name) - 1; *line >= '0' && *line <= '9'; line++)
		kills = kills * 10 + (uint64_t)(*line - '0');
	return kills;
}
