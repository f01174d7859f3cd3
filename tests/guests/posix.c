// SPDX-License-Identifier: Apache-2.0

/*
 * posix DIR [CHECK...]: what a program may expect of files, as root: run on a directory of the host
 * and on what serves it to a guest, it says the same. A line for each check: "ok NAME", or "not ok
 * NAME" with the line of this file and the errno.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *check_name;

static void fail(int line)
{
	printf("not ok %s: line %d, errno %d (%s)\n", check_name, line, errno, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* Each check is a process of its own in a directory of its own. */
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		errno = 0;                                                                         \
		if (!(x))                                                                          \
			fail(__LINE__);                                                            \
	} while (0)
#define FAILS(call, with) CHECK((call) < 0 && errno == (with))

static int make(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

static bool holds(int fd, const char *text)
{
	char buffer[256];
	ssize_t n = pread(fd, buffer, sizeof(buffer), 0);

	return n == (ssize_t)strlen(text) && !memcmp(buffer, text, (size_t)n);
}

static struct stat look(const char *name)
{
	struct stat st;

	CHECK(lstat(name, &st) == 0);
	return st;
}

/* In a process of its own; join() wants it to succeed. */
static pid_t spawn(void (*run)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		run();
		_exit(0);
	}
	return pid;
}

static void join(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

/* As another user without privileges. */
static void become(uid_t uid)
{
	CHECK(syscall(SYS_setgroups, 0, NULL) == 0);
	CHECK(syscall(SYS_setresgid, uid, uid, uid) == 0);
	CHECK(syscall(SYS_setresuid, uid, uid, uid) == 0);
}

static void append_lines(void)
{
	int fd = open("log", O_WRONLY | O_APPEND);

	CHECK(fd >= 0);
	for (int i = 0; i < 200; i++)
		CHECK(write(fd, "a line\n", 7) == 7);
}

static void check_append(void)
{
	pid_t a, b;
	int fd;

	close(make("log", ""));
	a = spawn(append_lines);
	b = spawn(append_lines);
	join(a);
	join(b);
	CHECK(look("log").st_size == 400 * 7);
	/* Set when the file is open already. */
	fd = make("late", "12345");
	CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK(write(fd, "6", 1) == 1);
	CHECK(holds(fd, "123456"));
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
	CHECK(pwrite(fd, "0", 1, 0) == 1);
	CHECK(holds(fd, "023456"));
}

static void check_truncate(void)
{
	int a = make("f", "hello world"), b = open("f", O_RDWR);
	char c[16];

	CHECK(ftruncate(b, 3) == 0);
	CHECK(holds(a, "hel"));
	CHECK(pread(a, c, 1, 3) == 0);
	CHECK(truncate("f", 0) == 0);
	CHECK(pread(a, c, 1, 0) == 0);
	CHECK(truncate("f", 5) == 0);
	CHECK(pread(a, c, 16, 0) == 5 && !memcmp(c, "\0\0\0\0\0", 5));
	FAILS(ftruncate(a, -1), EINVAL);
	CHECK(close(open("f", O_WRONLY | O_TRUNC)) == 0);
	CHECK(look("f").st_size == 0);
	FAILS(ftruncate(open("f", O_RDONLY), 1), EINVAL);
}

static void check_rename_over(void)
{
	int a = make("a", "four"), b = make("b", "sixsix");
	struct stat st;

	CHECK(rename("b", "a") == 0);
	CHECK(fstat(a, &st) == 0 && st.st_size == 4 && st.st_nlink == 0);
	CHECK(holds(a, "four"));
	CHECK(fstat(b, &st) == 0 && st.st_size == 6 && st.st_nlink == 1);
	CHECK(look("a").st_ino == st.st_ino);
	FAILS(open("b", O_RDONLY), ENOENT);
	CHECK(mkdir("d", 0755) == 0);
	FAILS(rename("a", "d"), EISDIR);
	FAILS(rename("d", "d/e"), EINVAL);
}

static void check_unlinked(void)
{
	const struct timespec t[2] = {{1, 2}, {3, 4}};
	int fd = make("gone", "text"), other;
	struct stat st;
	char path[64];

	CHECK(unlink("gone") == 0);
	CHECK(ftruncate(fd, 2) == 0);
	CHECK(fchmod(fd, 0600) == 0);
	CHECK(fchown(fd, 5, 6) == 0);
	CHECK(futimens(fd, t) == 0);
	CHECK(fsetxattr(fd, "user.x", "y", 1, 0) == 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK(st.st_size == 2 && (st.st_mode & 07777) == 0600 && st.st_uid == 5 && st.st_gid == 6);
	CHECK(st.st_nlink == 0 && st.st_mtim.tv_sec == 3 && st.st_mtim.tv_nsec == 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, O_RDWR);
	CHECK(other >= 0 && holds(other, "te"));
	CHECK(close(fd) == 0);
	CHECK(holds(other, "te"));
	CHECK(mkdir("dir", 0755) == 0);
	CHECK(chdir("dir") == 0);
	CHECK(rmdir("../dir") == 0);
	CHECK(stat(".", &st) == 0 && st.st_nlink == 0);
	FAILS(open("new", O_CREAT | O_WRONLY, 0600), ENOENT);
}

static int pipe_ends[2];

static void hold_flock(void)
{
	int fd = open("lock", O_RDWR);

	CHECK(flock(fd, LOCK_EX) == 0);
	CHECK(write(pipe_ends[1], "x", 1) == 1);
	pause();
}

static void wait_flock(void)
{
	int fd = open("lock", O_RDWR);

	CHECK(flock(fd, LOCK_EX) == 0);
}

/* A process that waits for a lock waits still. Returns its number. */
static pid_t waiting(void (*run)(void))
{
	pid_t pid = spawn(run);

	usleep(100000);
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	return pid;
}

static void check_flock(void)
{
	int a = make("lock", ""), b = open("lock", O_RDONLY);
	pid_t holder, waiter;
	char c;

	CHECK(pipe(pipe_ends) == 0);
	CHECK(flock(a, LOCK_SH) == 0 && flock(b, LOCK_SH) == 0);
	FAILS(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK(flock(b, LOCK_UN) == 0);
	CHECK(flock(a, LOCK_EX | LOCK_NB) == 0);
	CHECK(close(a) == 0);
	holder = spawn(hold_flock);
	CHECK(read(pipe_ends[0], &c, 1) == 1);
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	waiter = waiting(wait_flock);
	CHECK(kill(holder, SIGKILL) == 0 && waitpid(holder, NULL, 0) == holder);
	join(waiter);
	/* A program that waits can be killed, and does not get the lock later. */
	CHECK(flock(b, LOCK_EX) == 0);
	waiter = waiting(wait_flock);
	CHECK(kill(waiter, SIGKILL) == 0 && waitpid(waiter, NULL, 0) == waiter);
	CHECK(flock(b, LOCK_UN) == 0);
	CHECK(flock(open("lock", O_RDWR), LOCK_EX | LOCK_NB) == 0);
}

static struct flock range(short type, off_t start, off_t length)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static void hold_range(void)
{
	struct flock l = range(F_WRLCK, 10, 10);

	CHECK(fcntl(open("lock", O_RDWR), F_SETLK, &l) == 0);
	CHECK(write(pipe_ends[1], "x", 1) == 1);
	pause();
}

static void wait_range(void)
{
	struct flock l = range(F_WRLCK, 0, 0);

	CHECK(fcntl(open("lock", O_RDWR), F_SETLKW, &l) == 0);
}

static void on_alarm(int signal)
{
}

static void wait_interrupted(void)
{
	const struct sigaction a = {.sa_handler = on_alarm};
	const struct itimerval t = {.it_value.tv_usec = 200000, .it_interval.tv_usec = 200000};
	struct flock l = range(F_WRLCK, 0, 0);

	CHECK(sigaction(SIGALRM, &a, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	FAILS(fcntl(open("lock", O_RDWR), F_SETLKW, &l), EINTR);
}

static void check_fcntl_locks(void)
{
	int fd = make("lock", "");
	struct flock l;
	pid_t holder, waiter;
	char c;

	CHECK(pipe(pipe_ends) == 0);
	holder = spawn(hold_range);
	CHECK(read(pipe_ends[0], &c, 1) == 1);
	l = range(F_WRLCK, 0, 0);
	FAILS(fcntl(fd, F_SETLK, &l), EAGAIN);
	CHECK(fcntl(fd, F_GETLK, &l) == 0);
	CHECK(l.l_type == F_WRLCK && l.l_start == 10 && l.l_len == 10 && l.l_pid == holder);
	l = range(F_WRLCK, 20, 0);
	CHECK(fcntl(fd, F_SETLK, &l) == 0);
	l = range(F_RDLCK, 0, 10);
	CHECK(fcntl(fd, F_SETLK, &l) == 0);
	l = range(F_UNLCK, 0, 0);
	CHECK(fcntl(fd, F_SETLK, &l) == 0);
	join(spawn(wait_interrupted));
	waiter = waiting(wait_range);
	CHECK(kill(holder, SIGKILL) == 0 && waitpid(holder, NULL, 0) == holder);
	join(waiter);
	/* Closing any descriptor of the file releases those of the process. */
	l = range(F_WRLCK, 0, 1);
	CHECK(fcntl(fd, F_SETLK, &l) == 0);
	waiter = waiting(wait_range);
	CHECK(close(open("lock", O_RDONLY)) == 0);
	join(waiter);
	l = range(F_WRLCK, 0, 1);
	FAILS(fcntl(open("lock", O_RDONLY), F_SETLK, &l), EBADF);
}

static void check_ofd_locks(void)
{
	int a = make("lock", ""), b = open("lock", O_RDWR);
	struct flock l = range(F_WRLCK, 0, 0);

	CHECK(fcntl(a, F_OFD_SETLK, &l) == 0);
	FAILS(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
	FAILS(fcntl(b, F_SETLK, &l), EAGAIN);
	CHECK(close(a) == 0);
	CHECK(fcntl(b, F_OFD_SETLK, &l) == 0);
}

static void check_special(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	struct stat st;

	CHECK(bind(a, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(a, 1) == 0);
	CHECK(connect(b, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(S_ISSOCK(look("socket").st_mode));
	CHECK(mkfifo("fifo", 0640) == 0);
	fd = open("fifo", O_RDWR);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
	CHECK(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	st = look("null");
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	CHECK(mknod("large", S_IFBLK | 0600, makedev(259, 70000)) == 0);
	CHECK(look("large").st_rdev == makedev(259, 70000));
	CHECK(mknod("plain", S_IFREG | 0600, 0) == 0);
	CHECK(S_ISREG(look("plain").st_mode));
}

static void check_times(void)
{
	struct timespec t[2] = {{-1, 999999999}, {-2000000000, 1}};
	struct stat st;

	close(make("f", ""));
	CHECK(utimensat(AT_FDCWD, "f", t, 0) == 0);
	st = look("f");
	CHECK(st.st_atim.tv_sec == -1 && st.st_atim.tv_nsec == 999999999);
	CHECK(st.st_mtim.tv_sec == -2000000000 && st.st_mtim.tv_nsec == 1);
	t[0].tv_nsec = UTIME_OMIT;
	t[1] = (struct timespec){5, 6};
	CHECK(utimensat(AT_FDCWD, "f", t, 0) == 0);
	st = look("f");
	CHECK(st.st_atim.tv_sec == -1 && st.st_mtim.tv_sec == 5 && st.st_mtim.tv_nsec == 6);
	CHECK(utimensat(AT_FDCWD, "f", NULL, 0) == 0);
	CHECK(look("f").st_mtim.tv_sec > 1000000000);
	CHECK(symlink("f", "link") == 0);
	CHECK(utimensat(AT_FDCWD, "link", t, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(look("link").st_mtim.tv_sec == 5 && look("f").st_mtim.tv_sec != 5);
}

static void check_xattr(void)
{
	char large[4000], back[8192], name[300];

	close(make("f", ""));
	memset(large, 'v', sizeof(large));
	CHECK(setxattr("f", "user.empty", "", 0, 0) == 0);
	CHECK(getxattr("f", "user.empty", NULL, 0) == 0);
	CHECK(getxattr("f", "user.empty", back, sizeof(back)) == 0);
	CHECK(setxattr("f", "user.large", large, 3000, XATTR_CREATE) == 0);
	FAILS(setxattr("f", "user.large", large, 1, XATTR_CREATE), EEXIST);
	FAILS(setxattr("f", "user.none", large, 1, XATTR_REPLACE), ENODATA);
	CHECK(getxattr("f", "user.large", NULL, 0) == 3000);
	FAILS(getxattr("f", "user.large", back, 10), ERANGE);
	CHECK(getxattr("f", "user.large", back, sizeof(back)) == 3000 &&
		!memcmp(back, large, 3000));
	CHECK(listxattr("f", NULL, 0) == 22);
	CHECK(listxattr("f", back, sizeof(back)) == 22);
	CHECK(removexattr("f", "user.large") == 0);
	FAILS(getxattr("f", "user.large", back, 1), ENODATA);
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = '\0';
	FAILS(setxattr("f", name, "", 0, 0), ERANGE);
	CHECK(symlink("f", "link") == 0);
	FAILS(lsetxattr("link", "user.x", "", 0, 0), EPERM);
	CHECK(mkdir("d", 0755) == 0 && setxattr("d", "user.x", "y", 1, 0) == 0);
}

/* The forms of Linux: version 2; tag, permissions, id. */
struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};
struct acl {
	uint32_t version;
	struct acl_entry e[5];
};

static void open_as_42(void)
{
	become(42);
	CHECK(open("d/f", O_RDONLY) >= 0);
	FAILS(open("d/f", O_WRONLY), EACCES);
}

static void open_as_43(void)
{
	become(43);
	FAILS(open("d/f", O_RDONLY), EACCES);
}

static void check_acl(void)
{
	const struct acl a = {
		2, {{1, 6, -1u}, {2, 4, 42}, {4, 0, -1u}, {16, 4, -1u}, {32, 0, -1u}}};
	struct acl back;

	umask(077);
	CHECK(mkdir("d", 0755) == 0 && chmod("d", 0755) == 0);
	CHECK(chmod(".", 0755) == 0);
	CHECK(setxattr("d", "system.posix_acl_default", &a, sizeof(a), 0) == 0);
	/* The default ACL takes the place of the umask. */
	close(open("d/f", O_CREAT | O_WRONLY, 0666));
	CHECK((look("d/f").st_mode & 0777) == 0640);
	CHECK(getxattr("d/f", "system.posix_acl_access", &back, sizeof(back)) == sizeof(back));
	CHECK(!memcmp(&a, &back, sizeof(a)));
	join(spawn(open_as_42));
	join(spawn(open_as_43));
	CHECK(chmod("d/f", 0600) == 0);
	join(spawn(open_as_43));
	CHECK(removexattr("d/f", "system.posix_acl_access") == 0);
	FAILS(getxattr("d/f", "system.posix_acl_access", &back, sizeof(back)), ENODATA);
}

static void check_capability(void)
{
	/* struct vfs_cap_data, version 2, effective: CAP_NET_RAW */
	const uint32_t cap[5] = {0x02000001, 1u << 13};
	uint32_t back[6];
	int fd = make("f", "x");

	CHECK(fsetxattr(fd, "security.capability", cap, sizeof(cap), 0) == 0);
	CHECK(fgetxattr(fd, "security.capability", back, sizeof(back)) == sizeof(cap));
	CHECK(!memcmp(cap, back, sizeof(cap)));
	CHECK(pwrite(fd, "y", 1, 0) == 1);
	FAILS(fgetxattr(fd, "security.capability", back, sizeof(back)), ENODATA);
}

static void write_as_other(void)
{
	int fd;

	become(99);
	fd = open("suid", O_RDWR);
	CHECK(fd >= 0 && pwrite(fd, "y", 1, 0) == 1);
	FAILS(chmod("suid", 0), EPERM);
}

static void truncate_as_other(void)
{
	become(99);
	CHECK(truncate("suid", 0) == 0);
}

static void check_suid(void)
{
	int fd = make("suid", "x");

	CHECK(chmod(".", 0755) == 0);
	CHECK(fchmod(fd, 06777) == 0);
	CHECK(pwrite(fd, "z", 1, 0) == 1);
	CHECK((look("suid").st_mode & 07777) == 06777);
	join(spawn(write_as_other));
	CHECK((look("suid").st_mode & 07777) == 0777);
	CHECK(fchmod(fd, 06777) == 0);
	join(spawn(truncate_as_other));
	CHECK((look("suid").st_mode & 07777) == 0777);
	CHECK(fchmod(fd, 06777) == 0 && fchown(fd, 7, 7) == 0);
	CHECK((look("suid").st_mode & 07777) == 0777);
}

static void create_as_other(void)
{
	become(99);
	CHECK(mkdir("open/dir", 0777) == 0);
	CHECK(symlink("x", "open/link") == 0);
	CHECK(mkfifo("open/fifo", 0666) == 0);
	close(open("open/file", O_CREAT | O_EXCL | O_WRONLY, 0666));
	FAILS(open("closed/file", O_CREAT | O_WRONLY, 0666), EACCES);
	FAILS(unlink("sticky/file"), EPERM);
	FAILS(chown("open/file", 1, 1), EPERM);
}

static void check_owners(void)
{
	struct stat st;

	CHECK(chmod(".", 0755) == 0);
	CHECK(mkdir("open", 0) == 0 && chmod("open", 02777) == 0 && chown("open", 0, 77) == 0);
	CHECK(chmod("open", 02777) == 0);
	CHECK(mkdir("closed", 0755) == 0 && mkdir("sticky", 0) == 0 && chmod("sticky", 01777) == 0);
	close(make("sticky/file", ""));
	umask(027);
	join(spawn(create_as_other));
	st = look("open/file");
	CHECK(st.st_uid == 99 && st.st_gid == 77 && (st.st_mode & 07777) == 0640);
	st = look("open/dir");
	CHECK(st.st_uid == 99 && st.st_gid == 77 && (st.st_mode & 07777) == 02750);
	CHECK(look("open/link").st_uid == 99);
	CHECK((look("open/fifo").st_mode & 07777) == 0640);
	CHECK(lchown("open/link", 3, 4) == 0 && look("open/link").st_uid == 3);
}

static void check_space(void)
{
	int fd = make("f", "");
	char c[4096];

	CHECK(fallocate(fd, 0, 0, 1 << 20) == 0);
	CHECK(look("f").st_size == 1 << 20 && look("f").st_blocks >= 2048);
	CHECK(fallocate(fd, 1 /* KEEP_SIZE */, 1 << 20, 4096) == 0);
	CHECK(look("f").st_size == 1 << 20);
	memset(c, 'd', sizeof(c));
	CHECK(pwrite(fd, c, 4096, 512 << 10) == 4096);
	CHECK(fallocate(fd, 3 /* PUNCH_HOLE */, 512 << 10, 4096) == 0);
	CHECK(pread(fd, c, 4096, 512 << 10) == 4096 && c[0] == 0 && c[4095] == 0);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(open("f", O_RDONLY), 0, 0, 1), EBADF);
}

static void check_holes(void)
{
	int fd = make("f", "");

	CHECK(ftruncate(fd, 1 << 20) == 0);
	CHECK(pwrite(fd, "x", 1, 512 << 10) == 1);
	CHECK(lseek(fd, 0, SEEK_DATA) == 512 << 10);
	CHECK(lseek(fd, 0, SEEK_HOLE) == 0);
	CHECK(lseek(fd, 512 << 10, SEEK_HOLE) == (512 << 10) + 4096);
	FAILS(lseek(fd, 1 << 20, SEEK_DATA), ENXIO);
}

static void check_tmpfile(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);
	char path[64];

	CHECK(fd >= 0 && write(fd, "text", 4) == 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
	CHECK(holds(open("named", O_RDONLY), "text"));
	CHECK((look("named").st_mode & 0777) == 0640 && look("named").st_nlink == 1);
}

static int rename_at(const char *from, const char *to, unsigned int flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void check_rename_flags(void)
{
	int a = make("a", "a"), b = make("b", "b");

	FAILS(rename_at("a", "b", 1 /* NOREPLACE */), EEXIST);
	CHECK(rename_at("a", "b", 2 /* EXCHANGE */) == 0);
	CHECK(holds(open("a", O_RDONLY), "b") && holds(open("b", O_RDONLY), "a"));
	CHECK(holds(a, "a") && holds(b, "b"));
	CHECK(rename_at("a", "c", 1) == 0);
	CHECK(mkdir("d", 0755) == 0);
	CHECK(rename_at("d", "c", 2) == 0);
	CHECK(S_ISDIR(look("c").st_mode) && S_ISREG(look("d").st_mode));
	FAILS(rename_at("c", "d", 3), EINVAL);
}

static void check_copy_range(void)
{
	int a = make("a", "hello world"), b = make("b", "");
	loff_t from = 6, to = 1;

	CHECK(syscall(SYS_copy_file_range, a, &from, b, &to, 100, 0) == 5);
	CHECK(from == 11 && to == 6);
	CHECK(look("b").st_size == 6 && pwrite(b, "_", 1, 0) == 1 && holds(b, "_world"));
}

static void check_direct(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_DIRECT, 0644);
	char *p;

	CHECK(fd >= 0 && posix_memalign((void **)&p, 4096, 65536) == 0);
	memset(p, 'd', 65536);
	CHECK(pwrite(fd, p, 65536, 0) == 65536);
	memset(p, 0, 65536);
	CHECK(pread(fd, p, 65536, 0) == 65536 && p[0] == 'd' && p[65535] == 'd');
	CHECK(pread(fd, p, 65536, 61440) == 4096);
}

static void check_mapping(void)
{
	int fd = make("f", ""), other;
	char *p, *q;

	CHECK(ftruncate(fd, 8192) == 0);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	strcpy(p, "mapped");
	strcpy(p + 4096, "second");
	CHECK(msync(p, 8192, MS_SYNC) == 0);
	other = open("f", O_RDWR);
	CHECK(pread(other, (char[8]){0}, 6, 4096) == 6);
	q = mmap(NULL, 8192, PROT_READ, MAP_SHARED, other, 0);
	CHECK(q != MAP_FAILED && !strcmp(q, "mapped"));
	strcpy(p, "again");
	CHECK(!strcmp(q, "again"));
	CHECK(munmap(p, 8192) == 0 && munmap(q, 8192) == 0);
	CHECK(pread(other, (char[8]){0}, 5, 0) == 5 && look("f").st_size == 8192);
	/* What is mapped is written where it is, also by a descriptor that appends. */
	other = open("f", O_RDWR | O_APPEND);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	strcpy(p, "append");
	CHECK(msync(p, 8192, MS_SYNC) == 0 && munmap(p, 8192) == 0);
	CHECK(look("f").st_size == 8192 && write(other, "x", 1) == 1 && look("f").st_size == 8193);
}

static void check_sync(void)
{
	int fd = make("f", "x"), dir = open(".", O_RDONLY | O_DIRECTORY);

	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0 && fsync(dir) == 0 && syncfs(dir) == 0);
	fd = open("f", O_WRONLY | O_SYNC);
	CHECK(write(fd, "y", 1) == 1);
	fd = open("f", O_WRONLY | O_DSYNC | O_APPEND);
	CHECK(write(fd, "z", 1) == 1);
	CHECK(holds(open("f", O_RDONLY), "yz"));
}

static void check_links(void)
{
	char name[300], path[4096], back[4096];
	int fd = make("a", "text");

	CHECK(link("a", "b") == 0);
	CHECK(look("a").st_nlink == 2 && look("a").st_ino == look("b").st_ino);
	CHECK(unlink("a") == 0 && look("b").st_nlink == 1 && holds(fd, "text"));
	CHECK(rename("b", "c") == 0 && holds(fd, "text") && chmod("c", 0600) == 0);
	memset(path, 'p', sizeof(path));
	path[4095] = '\0';
	CHECK(symlink(path, "long") == 0);
	CHECK(readlink("long", back, sizeof(back)) == 4095 && look("long").st_size == 4095);
	CHECK(link("long", "longer") == 0 && S_ISLNK(look("longer").st_mode));
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	FAILS(mkdir(name, 0755), ENAMETOOLONG);
	name[255] = '\0';
	CHECK(mkdir(name, 0755) == 0 && rmdir(name) == 0);
	CHECK(symlink("loop", "loop") == 0);
	FAILS(open("loop", O_RDONLY), ELOOP);
	FAILS(link(".", "dir"), EPERM);
	FAILS(rmdir("c"), ENOTDIR);
	FAILS(unlink("nothing"), ENOENT);
	FAILS(open("c/x", O_RDONLY), ENOTDIR);
	FAILS(open("c", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
}

static void check_listing(void)
{
	bool seen[3000] = {false};
	char name[32];
	struct dirent *e;
	long where = 0;
	int n = 0;
	DIR *d;

	CHECK(mkdir("d", 0755) == 0 && chdir("d") == 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		CHECK(mknod(name, S_IFREG | 0644, 0) == 0);
	}
	d = opendir(".");
	CHECK(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		CHECK(!seen[atoi(e->d_name)] && e->d_type == DT_REG);
		seen[atoi(e->d_name)] = true;
		if (++n == 1000)
			where = telldir(d);
		CHECK(n % 100 != 0 || unlink(e->d_name) == 0);
	}
	CHECK(n == 3000);
	seekdir(d, where);
	CHECK(readdir(d) != NULL);
	rewinddir(d);
	for (n = 0; readdir(d);)
		n++;
	CHECK(n == 2970 + 2);
}

static void check_trees(void)
{
	int fd, dir;

	for (int i = 0; i < 300; i++)
		CHECK(mkdir("d", 0755) == 0 && chdir("d") == 0);
	fd = make("file", "deep");
	for (int i = 0; i < 150; i++)
		CHECK(chdir("..") == 0);
	dir = open(".", O_RDONLY | O_DIRECTORY);
	CHECK(rename("d", "e") == 0 && holds(fd, "deep"));
	CHECK(mkdirat(dir, "e/new", 0755) == 0 && unlinkat(dir, "e/new", AT_REMOVEDIR) == 0);
	FAILS(unlinkat(dir, "e", AT_REMOVEDIR), ENOTEMPTY);
}

static void check_many_open(void)
{
	char name[32];
	int fds[900];

	for (int i = 0; i < 900; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fds[i] = make(name, name);
	}
	for (int i = 0; i < 900; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CHECK(holds(fds[i], name) && unlink(name) == 0 && close(fds[i]) == 0);
	}
}

static void check_attributes(void)
{
	struct statvfs v;
	struct stat st;
	int fd = make("f", "x");

	CHECK(statvfs(".", &v) == 0 && v.f_namemax == 255 && v.f_blocks > 0);
	CHECK(chmod("f", 04711) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 04711);
	CHECK(st.st_ino == look("f").st_ino && st.st_dev == look(".").st_dev);
	CHECK(access("f", R_OK | W_OK | X_OK) == 0);
	CHECK(fcntl(fd, F_GETFL) == (O_RDWR | (int)(fcntl(fd, F_GETFL) & ~O_ACCMODE)));
	CHECK(pwritev(fd, (struct iovec[]){{"ab", 2}, {"cd", 2}}, 2, 0) == 4 && holds(fd, "abcd"));
}

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {
	{"append", check_append},
	{"truncate", check_truncate},
	{"rename-over", check_rename_over},
	{"unlinked", check_unlinked},
	{"flock", check_flock},
	{"fcntl-locks", check_fcntl_locks},
	{"ofd-locks", check_ofd_locks},
	{"special", check_special},
	{"times", check_times},
	{"xattr", check_xattr},
	{"acl", check_acl},
	{"capability", check_capability},
	{"suid", check_suid},
	{"owners", check_owners},
	{"space", check_space},
	{"holes", check_holes},
	{"tmpfile", check_tmpfile},
	{"rename-flags", check_rename_flags},
	{"copy-range", check_copy_range},
	{"direct", check_direct},
	{"mapping", check_mapping},
	{"sync", check_sync},
	{"links", check_links},
	{"listing", check_listing},
	{"trees", check_trees},
	{"many-open", check_many_open},
	{"attributes", check_attributes},
};

static bool wanted(const char *name, char **names)
{
	bool all = !*names;

	for (; *names; names++)
		all |= !strcmp(name, *names);
	return all;
}

int main(int argc, char **argv)
{
	int failed = 0, status;
	char here[300];

	if (argc < 2 || chdir(argv[1]) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		pid_t pid;

		check_name = checks[i].name;
		if (!wanted(check_name, argv + 2))
			continue;
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			/* Its children end with it. */
			setpgid(0, 0);
			alarm(60);
			umask(022);
			snprintf(here, sizeof(here), "check-%s", check_name);
			CHECK(mkdir(here, 0755) == 0 && chdir(here) == 0);
			checks[i].run();
			printf("ok %s\n", check_name);
			fflush(stdout);
			_exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			printf("not ok %s: ended with status %d\n", check_name, status);
		failed |= status;
		kill(-pid, SIGKILL);
	}
	return failed != 0;
}
