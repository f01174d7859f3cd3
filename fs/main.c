// SPDX-License-Identifier: Apache-2.0

/*
 * arrow-fs [--exclusive]: serves the current directory to the guest at the other end of the socket
 * that is descriptor 3, and ends when that hangs up. --exclusive: nobody else changes these files,
 * until it gets SIGUSR2.
 *
 * What it needs beside its files:
 *   /proc/self/fd  where it opens files anew by their descriptors
 *   capabilities   CHOWN DAC_OVERRIDE FOWNER FSETID MKNOD SETFCAP SETGID SETUID; SETPCAP only if
 *                  SECBIT_NO_SETUID_FIXUP is not set already
 *   system calls   capget capset chdir clone close copy_file_range dup exit exit_group fallocate
 *                  fchmodat fchownat fcntl fdatasync flock fstatfs fsync ftruncate futex getdents64
 *                  getegid geteuid getxattr linkat listxattr lseek madvise mkdirat mknodat mmap
 *                  mprotect munmap open openat prctl (PR_GET_PDEATHSIG, PR_SET_PDEATHSIG,
 *                  PR_SET_SECUREBITS) pread64 prlimit64 pwrite64 readlinkat recvfrom removexattr
 *                  renameat2 rt_sigaction rt_sigprocmask rt_sigreturn sendmsg setfsgid setfsuid
 *                  setsockopt setxattr statx symlinkat syncfs tkill umask unlinkat utimensat
 * rt_sigpending, and what musl does for memory, threads and clocks Without prctl and setsockopt it
 * works on.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/server.h"
#include "util/cleanup.h"

#define SOCKET 3
#define FILES_LEAST 256u

static void main_do_nothing(int signal)
{
}

static void main_set_signals(void)
{
	/* Interrupts a thread that waits for a lock: no SA_RESTART. */
	const struct sigaction interrupt = {.sa_handler = main_do_nothing};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigset_t share;

	sigemptyset(&share);
	sigaddset(&share, SIGUSR2);
	sigprocmask(SIG_BLOCK, &share, NULL);
	sigaction(SIGUSR1, &interrupt, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL); /* the write fails, which the guest is told */
}

/* As many descriptors as are allowed. Returns their number. */
static uint32_t main_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return FILES_LEAST;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < INT32_MAX ? (uint32_t)limit.rlim_cur : INT32_MAX;
}

static int main_serve(bool exclusive, struct arrow_error *e)
{
	struct fs_options o = {.socket = SOCKET,
		.interrupt_signal = SIGUSR1,
		.share_signal = SIGUSR2,
		.exclusive = exclusive};
	struct fs_state s;
	struct stat st;
	int r;

	if (fstat(SOCKET, &st) < 0 || !S_ISSOCK(st.st_mode))
		return arrow_fail(e, EINVAL,
			"descriptor 3 is not a socket; this program is started by arrow");
	o.root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (o.root < 0)
		return arrow_fail(e, errno, "cannot open the current directory: %m");
	if (chdir("/proc/self/fd") < 0)
		return arrow_fail(e, errno, "cannot enter /proc/self/fd: %m; mount /proc");
	o.files_max = main_raise_files();
	if (o.files_max < FILES_LEAST)
		return arrow_fail(e, EMFILE, "the limit of open files is %u; raise it to %u",
			o.files_max, FILES_LEAST);
	r = state_init(&s, &o);
	if (r < 0)
		return arrow_fail(e, -r, "cannot prepare the files: %m");
	r = server_run(&s);
	if (r < 0)
		return arrow_fail(e, -r, "cannot read from the VM: %m");
	return 0; /* what is open, and what is locked, ends with the process */
}

int main(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	bool exclusive = argc == 2 && !strcmp(argv[1], "--exclusive");

	if (argc > 2 || (argc == 2 && !exclusive)) {
		fprintf(stderr, "usage: arrow-fs [--exclusive]\n");
		return 1;
	}
	main_set_signals();
	if (main_serve(exclusive, &e) < 0) {
		fprintf(stderr, "arrow-fs: %s\n", e.text);
		return 1;
	}
	return 0;
}
