/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TESTS_UNIT_KILLED_H
#define ARROW_TESTS_UNIT_KILLED_H

/* Runs something that is killed at a certain step; include it behind "unit.h". */

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* True for a system call that may leave something, in files or interfaces. */
static inline bool killed_is_change(const struct __ptrace_syscall_info *info)
{
	static const long changes[] = {SYS_sendto, SYS_mkdir, SYS_mkdirat, SYS_mknod, SYS_mknodat,
		SYS_unlink, SYS_unlinkat, SYS_rename, SYS_renameat, SYS_renameat2, SYS_write,
		SYS_rmdir, SYS_clone};

	if (info->entry.nr == SYS_openat)
		return info->entry.args[2] & O_CREAT;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
		if (info->entry.nr == (uint64_t)changes[i])
			return true;
	return false;
}

/*
 * Runs what(arg), which returns 0, in a child that is killed before its change number `when`.
 * Returns true if it came to its end before that.
 */
static inline bool killed_run(int (*what)(void *arg), void *arg, unsigned int when)
{
	struct __ptrace_syscall_info info;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(what(arg) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	for (int signal = 0;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)signal), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		signal = 0;
		if (WIFEXITED(status))
			return WEXITSTATUS(status) == 0;
		if (!WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			signal = WSTOPSIG(status);
			continue;
		}
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0 ||
			info.op != PTRACE_SYSCALL_INFO_ENTRY || !killed_is_change(&info) ||
			--when > 0)
			continue;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		return false;
	}
}

#endif
