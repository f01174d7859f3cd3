// SPDX-License-Identifier: Apache-2.0
#include "engine/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/jail_filter.h"
#include "engine/jail_ram.h"
#include "util/caps.h"
#include "util/cleanup.h"
#include "util/io.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET)

/* What serving files with any owner takes (9p, security model passthrough). */
#define VOLUME_CAPS                                                                                \
	(CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_FOWNER) |                 \
		CAPS_BIT(CAP_FSETID) | CAPS_BIT(CAP_MKNOD) | CAPS_BIT(CAP_SETFCAP))

/*
 * What a server that acts for the guest's users has beside: it becomes each of them for the files
 * that it makes. Not CAP_DAC_READ_SEARCH, which opens by its handle any file of a file system that
 * a volume is a part of.
 */
#define SERVER_CAPS (VOLUME_CAPS | CAPS_BIT(CAP_SETUID) | CAPS_BIT(CAP_SETGID))

/* What a process that makes others has for them alone: namespaces, a user, and losing all of it. */
#define FORK_CAPS                                                                                  \
	(CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_SETUID) | CAPS_BIT(CAP_SETGID) |                   \
		CAPS_BIT(CAP_SETPCAP))

/* Of a server: as many files open as docs/limits.md says, and what it needs for itself. */
#define DESCRIPTORS_MAX 81920

/* A user of its own cannot fill the table of processes: QEMU's threads are far fewer. */
#define THREADS_MAX 1024

/* ---- fork ---- */

/* The system call itself: glibc's fork() knows no flags. The caller has one thread. */
static pid_t jail_clone(unsigned long flags)
{
	pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

	return pid < 0 ? -errno : pid;
}

/*
 * Namespaces of processes are for children only, and only within the user namespace: so a helper
 * enters that one, and its child becomes a child of the caller.
 */
static pid_t jail_clone_in_userns(int userns_fd, unsigned long flags)
{
	_cleanup_close_ int out = -1;
	int report[2];
	pid_t helper, pid = -EIO;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	out = report[1];
	helper = fork();
	if (helper < 0) {
		close_keep_errno(report[0]);
		return -errno;
	}
	if (helper == 0) {
		if (setns(userns_fd, CLONE_NEWUSER) < 0 || setresgid(0, 0, 0) < 0 ||
			setresuid(0, 0, 0) < 0)
			pid = -errno;
		else
			pid = jail_clone(flags | CLONE_PARENT);
		if (pid == 0) {
			close(report[0]);
			return 0;
		}
		_exit(write(out, &pid, sizeof(pid)) != (ssize_t)sizeof(pid));
	}
	close(steal_fd(&out));
	if (read_full(report[0], &pid, sizeof(pid)) != (ssize_t)sizeof(pid))
		pid = -EIO;
	close(report[0]);
	while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		;
	return pid;
}

pid_t arrow_jail_fork(struct arrow_jail *jail)
{
	unsigned long flags = NAMESPACES & ~(jail->network ? (unsigned long)CLONE_NEWNET : 0) &
			      ~(jail->forks ? (unsigned long)CLONE_NEWPID : 0);
	pid_t pid = -EPERM;

	jail->namespaces = true;
	jail->own_users = false;
	jail->uid = geteuid();
	jail->gid = getegid();
	if (jail->userns_fd >= 0)
		return jail_clone_in_userns(jail->userns_fd, flags);
	if (jail->uid == 0)
		pid = jail_clone(flags);
	/* An ordinary user; or a root without rights, as in a container. */
	if (pid == -EPERM) {
		jail->own_users = true;
		pid = jail_clone(flags | CLONE_NEWUSER);
	}
	if (pid >= 0 || jail->n_mounts)
		return pid;
	/* No user namespaces here. */
	jail->namespaces = false;
	jail->own_users = false;
	return jail_clone(0);
}

void arrow_jail_probe(bool *namespaces, bool *own_user)
{
	struct arrow_jail jail = {.userns_fd = -1, .ram_fd = -1, .write_fd = -1};
	pid_t pid = arrow_jail_fork(&jail);

	if (pid == 0)
		_exit(0);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	*namespaces = pid > 0 && jail.namespaces;
	*own_user = *namespaces && !jail.own_users && jail.uid == 0;
}

/* ---- users ---- */

static int jail_write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_full(fd, text, strlen(text));
}

/* The own ids, and no others. */
static int jail_map_self(uid_t uid, gid_t gid)
{
	char text[48];
	int r;

	snprintf(text, sizeof(text), "%u %u 1\n", uid, uid);
	r = jail_write_text("/proc/self/uid_map", text);
	if (r == 0)
		r = jail_write_text("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1\n", gid, gid);
	return r < 0 ? r : jail_write_text("/proc/self/gid_map", text);
}

uid_t arrow_jail_uid_base(unsigned long asked)
{
	return asked < 0x10000 || asked > UINT32_MAX - 2 * ARROW_JAIL_UID_COUNT
		       ? ARROW_JAIL_UID_BASE
		       : (uid_t)asked;
}

/* Of /dev/kvm, where it is the host's node, which others than its group may not use. */
static size_t jail_find_kvm_group(const struct arrow_jail *jail, gid_t *group)
{
	struct stat st;

	if (!jail->kvm || stat("/dev/kvm", &st) < 0 || (st.st_mode & 0006) == 0006)
		return 0;
	*group = st.st_gid;
	return 1;
}

static int jail_change_user(const struct arrow_jail *jail, uid_t uid, const char **what)
{
	uint64_t caps = (jail->serves            ? SERVER_CAPS
				: jail->n_mounts ? VOLUME_CAPS
						 : 0) |
			(jail->forks && jail->namespaces ? FORK_CAPS : 0);
	struct rlimit threads = {THREADS_MAX, THREADS_MAX};
	gid_t group;

	/* Or it would lose some each time that it acts as another user. */
	*what = "keep its capabilities";
	if (jail->serves && prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
		return -errno;
	*what = "change its user";
	caps_bound(caps);
	if (uid) {
		if (jail->write_fd >= 0 && fchown(jail->write_fd, uid, (gid_t)-1) < 0)
			return -errno;
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
			setgroups(jail_find_kvm_group(jail, &group), &group) < 0 ||
			setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			return -errno;
		if (setrlimit(RLIMIT_NPROC, &threads) < 0)
			return -errno;
	}
	*what = "drop its capabilities";
	return caps_pass_on(caps);
}

/* ---- root ---- */

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static int jail_open_tree(int dir, const char *path, unsigned int flags)
{
	int fd = open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);

	return fd < 0 ? -errno : fd;
}

static int jail_set_mount_flags(int tree, uint64_t flags, unsigned int recursive)
{
	struct mount_attr attr = {.attr_set = flags};

	return mount_setattr(tree, "", AT_EMPTY_PATH | recursive, &attr, sizeof(attr)) < 0 ? -errno
											   : 0;
}

/* Mounts a detached tree on a path. */
static int jail_mount_tree(int tree, uint64_t flags, unsigned int recursive, const char *path)
{
	int r = jail_set_mount_flags(tree, flags, recursive);

	if (r < 0)
		return r;
	return move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int jail_bind(const char *source, uint64_t flags, const char *target)
{
	_cleanup_close_ int tree = jail_open_tree(AT_FDCWD, source, 0);

	return tree < 0 ? tree : jail_mount_tree(tree, flags, 0, target);
}

/*
 * A bind mount takes files of the own mount namespace only, and a volume was opened in the one
 * before: so it is opened again by its path, and must still be the same file.
 */
static int jail_reopen(int fd)
{
	char link[32], path[PATH_MAX];
	_cleanup_close_ int again = -1;
	struct stat before, after;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	again = open(path, O_PATH | O_CLOEXEC);
	if (again < 0 || fstat(fd, &before) < 0 || fstat(again, &after) < 0)
		return -errno;
	if (before.st_dev != after.st_dev || before.st_ino != after.st_ino)
		return -ESTALE;
	return steal_fd(&again);
}

/*
 * A descriptor for reading, on a read-only mount of that file alone: so its owner and who has the
 * capabilities for volumes cannot make it writable by /proc/self/fd either. One of a file without a
 * name, that was removed meanwhile, or of memory, is left: nobody else will open that.
 */
static int jail_open_read_only(int fd)
{
	_cleanup_close_ int again = jail_reopen(fd), tree = -1;
	char link[32];
	int twin, r;

	if (again == -ENOENT || again == -ESTALE)
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (again < 0)
		return again;
	tree = jail_open_tree(again, "", AT_EMPTY_PATH);
	if (tree < 0)
		return tree;
	r = jail_set_mount_flags(tree, MOUNT_ATTR_RDONLY, 0);
	if (r < 0)
		return r;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", tree);
	twin = open(link, O_RDONLY | O_CLOEXEC);
	return twin < 0 ? -errno : twin;
}

static int jail_make_read_only(const struct arrow_jail *jail)
{
	for (unsigned int i = 0; i < jail->n_read_only; i++) {
		int fd = jail->read_only[i];
		_cleanup_close_ int twin = jail_open_read_only(fd);

		if (twin < 0)
			return twin;
		if (dup3(twin, fd, O_CLOEXEC) < 0)
			return -errno;
	}
	return 0;
}

/* Volumes, in the root that is the current directory. */
static int jail_mount_volumes(const struct arrow_jail *jail)
{
	for (unsigned int i = 0; i < jail->n_mounts; i++) {
		const struct arrow_jail_mount *m = &jail->mounts[i];
		uint64_t flags = SAFE | (m->read_only ? MOUNT_ATTR_RDONLY : 0);
		_cleanup_close_ int fd = -1, tree = -1;
		char path[64];
		int r;

		if (m->fd < 0)
			continue;
		fd = jail_reopen(m->fd);
		if (fd < 0)
			return fd;
		/* With what is mounted below it, as Docker does. */
		tree = jail_open_tree(fd, "", AT_EMPTY_PATH | AT_RECURSIVE);
		if (tree < 0)
			return tree;
		snprintf(path, sizeof(path), m->file ? ARROW_JAIL_FILE : ARROW_JAIL_DIR, i);
		r = jail_mount_tree(tree, flags, AT_RECURSIVE, path + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * /dev/kvm, in the root that is the current directory. Only its group may use the host's node: root
 * makes one that the jail's user may use. An ordinary user, and a root that may make no devices,
 * takes the host's.
 */
static int jail_mount_kvm(const struct arrow_jail *jail)
{
	static const char options[] = "size=0,nr_inodes=3,mode=755";
	int r = 0;

	if (jail->uid != 0 || jail->own_users)
		return jail_bind("/dev/kvm", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "dev/kvm");
	if (mount("arrow", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, options) < 0) {
		r = -errno;
	} else if (mknod("dev/kvm", S_IFCHR | 0666, makedev(10, 232)) < 0) {
		r = -errno;
		/* It hides the file that the node would be mounted on. */
		if (umount2("dev", MNT_DETACH) < 0)
			return -errno;
	} else if (chmod("dev/kvm", 0666) < 0 ||
		   mount(NULL, "dev", NULL,
			   MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0) {
		return -errno;
	}
	return r == -EPERM ? jail_bind("/dev/kvm", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "dev/kvm")
			   : r;
}

static int jail_enter_root(const struct arrow_jail *jail, const char **what)
{
	static const char name[] = "arrow";
	int r;

	*what = "make its mounts private";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	*what = "reopen its files read-only";
	r = jail_make_read_only(jail);
	if (r < 0)
		return r;
	*what = "mount its root";
	r = jail_bind(
		jail->root, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY, jail->root);
	if (r == 0 && chdir(jail->root) < 0)
		r = -errno;
	/* Of this process alone: the link /proc/self leads to where it is in the host's /proc. */
	*what = "mount /proc/self";
	if (r == 0)
		r = jail_bind("/proc/self", SAFE | MOUNT_ATTR_RDONLY, "proc/self");
	*what = jail->kvm && r == 0 ? "mount /dev/kvm" : *what;
	if (r == 0 && jail->kvm)
		r = jail_mount_kvm(jail);
	*what = jail->network && r == 0 ? "mount /etc/resolv.conf" : *what;
	if (r == 0 && jail->network && access("/etc/resolv.conf", R_OK) == 0)
		r = jail_bind("/etc/resolv.conf", SAFE | MOUNT_ATTR_RDONLY, "etc/resolv.conf");
	*what = r == 0 ? "mount the volumes" : *what;
	if (r == 0)
		r = jail_mount_volumes(jail);
	if (r < 0)
		return r;
	*what = "change its root";
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
		chdir(jail->serves ? ARROW_JAIL_VOLUMES : "/") < 0)
		return -errno;
	return sethostname(name, sizeof(name) - 1) < 0 ? -errno : 0;
}

/* ---- all of it ---- */

/* Never to outlive the keeper: which may have ended already. */
static int jail_tie_to_keeper(int keeper)
{
	struct pollfd gone = {.fd = keeper, .events = POLLIN};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return poll(&gone, 1, 0) != 0 ? -EOWNERDEAD : 0;
}

/* As many as can be had. */
static void jail_raise_descriptors(void)
{
	struct rlimit most = {DESCRIPTORS_MAX, DESCRIPTORS_MAX};

	if (setrlimit(RLIMIT_NOFILE, &most) == 0 || getrlimit(RLIMIT_NOFILE, &most) < 0)
		return;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
}

static int jail_install_filter(const struct arrow_jail *jail, const char **what)
{
	/* Without namespaces there is no file that cannot be opened again. */
	bool waits = jail->ram_fd >= 0 && jail->namespaces;
	_cleanup_close_ int listener = -1;
	int r;

	*what = "install the system call filter";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = arrow_jail_filter(
		&(struct arrow_jail_calls){
			.volumes = jail->n_mounts > 0,
			.serves = jail->serves,
			.network = jail->network,
			.forks = jail->forks,
		},
		waits ? &listener : NULL);
	*what = r == 0 ? "pass on the template's memory" : *what;
	return r < 0 || !waits ? r : arrow_jail_hand_over(jail->ram_socket, listener, jail->ram_fd);
}

/* Control groups, CPUs and the place among those that are killed when memory is short. */
static int jail_apply_limits(const struct arrow_vm_limits *l, const char **what)
{
	char score[16];
	int r;

	*what = "enter its control group";
	for (unsigned int i = 0; i < l->n_procs; i++)
		if (write(l->procs[i], "0", 1) < 0)
			return -errno;
	*what = "set its CPU affinity";
	if (l->cpus && sched_setaffinity(0, sizeof(*l->cpus), l->cpus) < 0)
		return -errno;
	if (l->oom_score_adj == 0)
		return 0;
	*what = "set its OOM score";
	snprintf(score, sizeof(score), "%d", l->oom_score_adj);
	r = jail_write_text("/proc/self/oom_score_adj", score);
	return r;
}

int arrow_jail_enter(const struct arrow_jail *jail, int keeper, const char **what)
{
	uid_t uid = 0;
	char pid[16] = "";
	int r = 0;

	*what = "close inherited descriptors";
	if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	/* The process id as the host has it. */
	if (jail->uid == 0 && !jail->own_users && jail->namespaces) {
		*what = "read its process ID";
		if (readlink("/proc/self", pid, sizeof(pid) - 1) < 0)
			return -errno;
		uid = arrow_jail_uid_base(jail->uid_base) + (uid_t)strtoul(pid, NULL, 10);
	}
	r = jail->limits ? jail_apply_limits(jail->limits, what) : 0;
	if (r < 0)
		return r;
	*what = "map its user ID";
	if (jail->own_users)
		r = jail_map_self(jail->uid, jail->gid);
	if (r == 0 && jail->namespaces)
		r = jail_enter_root(jail, what);
	if (r < 0)
		return r;
	setsid();
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (jail->serves)
		jail_raise_descriptors();
	r = jail_change_user(jail, uid, what);
	if (r < 0)
		return r;
	*what = "set its parent-death signal";
	r = jail_tie_to_keeper(keeper);
	if (r < 0)
		return r;
	return jail_install_filter(jail, what);
}
