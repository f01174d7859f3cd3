// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for QEMU and tries to get out of its jail. What it must not be able to do and can is a
 * breach; all of them are told in one line on stderr, which `arrow run` shows.
 *
 * Or it stands in for the server of volumes (arrow-fs), which has a jail of the same kind.
 *
 * With an argument it is in a fork of a zygote that was taken over (takeover.c):
 *
 *   fork      the same, but for what a fork is killed for at once
 *   deadly N  that: number N of these calls, which it must not survive; "none" beyond the last
 *   live      lets go of all that it has, and lives on
 *
 * Built with the host's objects to attack: SECRET (a file that everybody may read and write),
 * VICTIM (a process of the same user), ABSTRACT (name of an abstract socket that listens), PORT (a
 * loopback port that listens).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char line[1500];
static unsigned int breaches;
static int forked;

static void breach(const char *what, const char *detail)
{
	size_t used = strlen(line);

	breaches++;
	snprintf(line + used, sizeof(line) - used, " [%s%s%s]", what, detail ? " " : "",
		detail ? detail : "");
}

/* A call that has to fail. */
#define MUST_FAIL(what, call)                                                                      \
	do {                                                                                       \
		if ((call) != -1)                                                                  \
			breach(what, NULL);                                                        \
	} while (0)

/* One that kills a fork, where it is tried apart. */
#define MUST_FAIL_OR_DIE(what, call)                                                               \
	do {                                                                                       \
		if (!forked)                                                                       \
			MUST_FAIL(what, call);                                                     \
	} while (0)

static int can_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void read_files(void)
{
	static const char *const roads[] = {"", "/proc/self/root", "/proc/1/root", "/proc/1/cwd",
		"/proc/self/cwd/../../../../..", "/volumes/0/../../..", "/volumes/f0/../../..",
		"/proc/self/task/../../../..", "/../../.."};
	char path[512];

	for (size_t i = 0; i < sizeof(roads) / sizeof(roads[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", roads[i], SECRET);
		if (can_open(path, O_RDONLY))
			breach("reads", path);
		snprintf(path, sizeof(path), "%s/etc/passwd", roads[i]);
		if (can_open(path, O_RDONLY))
			breach("reads", path);
		snprintf(path, sizeof(path), "/proc/%d/root" SECRET, VICTIM);
		if (can_open(path, O_RDONLY))
			breach("reads", path);
	}
}

/* Walks up from a directory that it holds, as a descriptor of the host's would let it. */
static void walk_up(int fd)
{
	char link[64], target[256];
	struct stat st;
	int dir, up;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	if (n <= 0) /* a fork has no /proc */
		snprintf(target, sizeof(target), "descriptor %d", fd);
	if (fstat(fd, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		breach("holds a directory", target);
		dir = openat(fd, "../../../../../../../..", O_PATH | O_DIRECTORY);
		up = dir < 0 ? -1 : openat(dir, SECRET + 1, O_RDONLY);
		if (up >= 0)
			breach("walks up from", target);
		return;
	}
	/* Of the files only what is its own may be written: a memory file, or a device. */
	/* The file for translated blocks, which has no name any more: nobody maps that one. */
	if (forked && st.st_nlink == 0)
		return;
	if (S_ISREG(st.st_mode) && strncmp(target, "/memfd:", 7) != 0) {
		void *map;

		if (can_open(link, O_RDWR))
			breach("reopens for writing", target);
		if (pwrite(fd, "x", 1, 0) == 1)
			breach("writes", target);
		map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map != MAP_FAILED)
			breach("maps for writing", target);
		MUST_FAIL("changes a mode", fchmod(fd, st.st_mode & 07777));
	}
	if (strncmp(target, "/memfd:", 7) == 0 && pwrite(fd, "x", 1, 0) == 1)
		breach("writes", target);
}

static void descriptors(void)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			walk_up(fd);
}

/* What a clone is given for its memory when it opens any file so. */
static void ask_for_memory(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/anything", O_RDWR);

	if (fd >= 0)
		walk_up(fd);
	else if (errno != ENOENT && !(forked && errno == ENOSYS)) /* whose memory is mapped */
		breach("is refused its memory", strerror(errno));
}

static void write_files(const char *dir)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/breach", dir);
	if (can_open(path, O_WRONLY | O_CREAT))
		breach("makes a file in", dir);
	MUST_FAIL("makes a directory", mkdir(path, 0700));
	if (can_open(dir, O_TMPFILE | O_RDWR))
		breach("makes a nameless file in", dir);
}

/* Every file of the root has to be one of a few, and none can be written. */
static void walk_root(const char *dir, int depth)
{
	static const char *const known[] = {"proc", "dev", "volumes", "files", "usr", "lib",
		"lib64", "tmp", "var", "bin", "etc", "arrow-fs"};
	DIR *d = opendir(*dir ? dir : "/");
	struct dirent *e;
	char path[300];

	write_files(*dir ? dir : "/");
	while (d && (e = readdir(d))) {
		int fine = depth > 0;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			fine |= strcmp(e->d_name, known[i]) == 0;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (!fine)
			breach("sees", path);
		if (strcmp(path, "/proc") == 0)
			continue;
		if (e->d_type == DT_DIR && depth < 6)
			walk_root(path, depth + 1);
		else if (strncmp(path, "/volumes/", 9) != 0 && strcmp(path, "/dev/kvm") != 0 &&
			 can_open(path, O_WRONLY))
			breach("can write", path);
	}
	if (d)
		closedir(d);
}

/* In /proc there is nobody but itself. */
static void see_others(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && strcmp(e->d_name, "self") != 0)
			breach("sees /proc/", e->d_name);
	if (d)
		closedir(d);
	if (can_open("/proc/self/oom_score_adj", O_WRONLY))
		breach("can write /proc/self", NULL);
}

static void reach_others(void)
{
	char buf[8];
	struct iovec here = {buf, sizeof(buf)}, there = {(void *)0x400000, sizeof(buf)};
	const int pids[] = {VICTIM, 1, 2, -1, -VICTIM, (int)getppid()};

	/* Signal 0 harms nobody, should it get through. */
	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++)
		if (pids[i] != 0)
			MUST_FAIL_OR_DIE("signals", kill(pids[i], 0));
	MUST_FAIL_OR_DIE("signals a thread", syscall(SYS_tgkill, VICTIM, VICTIM, 0));
	MUST_FAIL_OR_DIE("signals a thread", syscall(SYS_tkill, VICTIM, 0));
	MUST_FAIL_OR_DIE("takes a pidfd", syscall(SYS_pidfd_open, VICTIM, 0));
	MUST_FAIL_OR_DIE("queues a signal", syscall(SYS_rt_sigqueueinfo, VICTIM, 0, NULL));
	MUST_FAIL_OR_DIE("traces", ptrace(PTRACE_ATTACH, VICTIM, NULL, NULL));
	MUST_FAIL_OR_DIE("traces itself", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	MUST_FAIL_OR_DIE("reads memory", process_vm_readv(VICTIM, &here, 1, &there, 1, 0));
	MUST_FAIL_OR_DIE("writes memory", process_vm_writev(VICTIM, &here, 1, &there, 1, 0));
	MUST_FAIL("limits others", syscall(SYS_prlimit64, VICTIM, 0, NULL, buf));
	MUST_FAIL("lowers others", setpriority(0, VICTIM, 19));
	MUST_FAIL("signals by an owner", fcntl(2, F_SETOWN, VICTIM));
	MUST_FAIL_OR_DIE("makes a process", fork());
}

static void reach_network(void)
{
	const struct sockaddr_in loopback = {.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int families[] = {
		AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG};
	/* TUNSETIFF, TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP: musl has no headers of the kernel. */
	const int of_taps[] = {(int)_IOW('T', 202, int), (int)_IOW('T', 203, int),
		(int)_IOW('T', 204, int), (int)_IOW('T', 206, int)};
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fds[2], fd;

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		MUST_FAIL("makes a socket", socket(families[i], SOCK_STREAM, 0));
	MUST_FAIL("makes sockets", socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	/* Should a socket be had in some other way. */
	strcpy(name.sun_path + 1, ABSTRACT);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST_FAIL("connects to an abstract socket",
		connect(fd, (struct sockaddr *)&name,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				    strlen(ABSTRACT))));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST_FAIL("connects to loopback", connect(fd, (const void *)&loopback, sizeof(loopback)));
	/* On any descriptor: the filter knows the request, not what it is for. */
	for (size_t i = 0; i < sizeof(of_taps) / sizeof(of_taps[0]); i++)
		if (ioctl(2, of_taps[i], 1) != -1 || errno != EPERM)
			breach("may change what a tap is", NULL);
	for (fd = 3; fd < 64; fd++)
		MUST_FAIL("connects with what it holds",
			connect(fd, (const void *)&loopback, sizeof(loopback)));
}

static void gain_rights(void)
{
	char *const argv[] = {(char *)"sh", NULL};
	const struct timeval time = {0};

	MUST_FAIL_OR_DIE("becomes root", setuid(0));
	MUST_FAIL_OR_DIE("becomes another", setresuid(1000, 1000, 1000));
	MUST_FAIL_OR_DIE("mounts", mount("none", "/volumes", "tmpfs", 0, NULL));
	MUST_FAIL_OR_DIE("unmounts", umount2("/proc/self", MNT_DETACH));
	MUST_FAIL("changes its root", chroot("/volumes"));
	MUST_FAIL("pivots", syscall(SYS_pivot_root, ".", "."));
	MUST_FAIL("opens a mount", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	MUST_FAIL_OR_DIE("makes namespaces", unshare(CLONE_NEWUSER));
	MUST_FAIL_OR_DIE("makes namespaces", unshare(CLONE_NEWNS));
	MUST_FAIL("loads bpf", syscall(SYS_bpf, 0, NULL, 0));
	MUST_FAIL("opens perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	MUST_FAIL("uses io_uring", syscall(SYS_io_uring_setup, 8, NULL));
	MUST_FAIL("uses userfaultfd", syscall(SYS_userfaultfd, 0));
	MUST_FAIL("uses keys", syscall(SYS_keyctl, 0, -3, 0));
	MUST_FAIL("adds keys", syscall(SYS_add_key, "user", "a", "b", 1, -3));
	MUST_FAIL("loads modules", syscall(SYS_init_module, NULL, 0, ""));
	MUST_FAIL("opens by handle", syscall(SYS_open_by_handle_at, 3, NULL, 0));
	MUST_FAIL("sets the clock", settimeofday(&time, NULL));
	MUST_FAIL("sets the name", sethostname("breach", 6));
	MUST_FAIL("shares memory", syscall(SYS_shmget, 1, 4096, 01666));
	/* That of a fork is a descriptor: see live_on(). */
	MUST_FAIL_OR_DIE("loosens its tie", prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
	MUST_FAIL("raises capabilities", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
	MUST_FAIL_OR_DIE("executes", execve("/bin/sh", argv, NULL));
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		breach("may gain privileges", NULL);
}

/* What it has: "uid NUMBER", for the test to look at, and no name of the host. */
static void tell_self(char *text, size_t size)
{
	char name[65] = "", caps[32] = "?", status[4096];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, status, sizeof(status) - 1);
	const char *eff;

	status[n > 0 ? n : 0] = '\0';
	eff = strstr(status, "CapEff:\t");
	if (eff)
		snprintf(caps, sizeof(caps), "%.16s", eff + 8);
	gethostname(name, sizeof(name));
	snprintf(text, size, "uid %u gid %u pid %d caps %s host %s environment %s", getuid(),
		getgid(), (int)getpid(), caps, name, getenv("HOME") ? "leaks" : "clean");
}

/* Tries what a fork must not survive. */
static void die_of(int n)
{
	char *const argv[] = {(char *)"sh", NULL};
	char buf[8];
	struct iovec here = {buf, sizeof(buf)};

	switch (n) {
	case 0:
		kill(VICTIM, 0);
		break;
	case 1:
		syscall(SYS_tgkill, VICTIM, VICTIM, 0);
		break;
	case 2:
		syscall(SYS_pidfd_open, VICTIM, 0);
		break;
	case 3:
		ptrace(PTRACE_ATTACH, VICTIM, NULL, NULL);
		break;
	case 4:
		process_vm_readv(VICTIM, &here, 1, &here, 1, 0);
		break;
	case 5:
		fork();
		break;
	case 6:
		syscall(SYS_setresuid, 0, 0, 0);
		break;
	case 7:
		unshare(CLONE_NEWUSER);
		break;
	case 8:
		umount2("/proc/self", MNT_DETACH);
		break;
	case 9:
		execve("/bin/sh", argv, NULL);
		break;
	case 10:
		mount("none", "/volumes", "tmpfs", 0, NULL);
		break;
	default:
		fprintf(stderr, "hostile: none\n");
		_exit(9);
	}
	fprintf(stderr, "hostile: survives number %d (%m)\n", n);
	_exit(9);
}

static void live_on(void)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	for (;;)
		sleep(1);
}

int main(int argc, char **argv)
{
	char self[256];

	forked = argc > 1;
	if (forked && strcmp(argv[1], "live") == 0)
		live_on();
	if (forked && strncmp(argv[1], "deadly ", 7) == 0)
		die_of(atoi(argv[1] + 7));

	tell_self(self, sizeof(self));
	read_files();
	descriptors();
	ask_for_memory();
	walk_root("", 0);
	see_others();
	reach_others();
	reach_network();
	gain_rights();
	fprintf(stderr, "hostile: %u breaches;%s %s\n", breaches, line, self);
	return 9;
}
