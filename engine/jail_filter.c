// SPDX-License-Identifier: Apache-2.0
/*
 * What a VM's process may ask of the kernel: a list of what QEMU needs; all else is EPERM.
 *
 * Left out on purpose: whatever reaches another process (ptrace, process_vm_*, kill, pidfd_*),
 * makes one (fork), mounts, loads (bpf, modules, kexec), names things in the kernel (keyctl, IPC),
 * takes work past this filter (io_uring), makes or opens a socket.
 */
#include "engine/jail_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/bpf.h"

#define LARGEFILE 0100000u /* which glibc adds nowhere, and musl everywhere */

/* Linux 6.6; the headers may be older. */
#define FCHMODAT2 452

/* No argument of these reaches outside of what the process has. */
/* clang-format off */
static const unsigned short always[] = {
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv,
	SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_lseek, SYS_close, SYS_close_range, SYS_open,
	SYS_stat, SYS_fstat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs,
	SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_getdents64,
	SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_umask, SYS_flock, SYS_dup, SYS_dup2,
	SYS_dup3, SYS_pipe, SYS_pipe2, SYS_ftruncate, SYS_fallocate, SYS_fadvise64, SYS_fsync,
	SYS_fdatasync, SYS_sync_file_range, SYS_sendfile, SYS_splice, SYS_copy_file_range,
	/* memory */
	SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_msync,
	SYS_mincore, SYS_mlock, SYS_mlock2, SYS_munlock, SYS_memfd_create, SYS_mbind,
	SYS_set_mempolicy, SYS_get_mempolicy, SYS_membarrier,
	/* events and time */
	SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl,
	SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2, SYS_signalfd4,
	SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_timer_create,
	SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_delete,
	SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres,
	SYS_gettimeofday, SYS_time, SYS_times, SYS_alarm, SYS_setitimer, SYS_getitimer,
	SYS_restart_syscall,
	/* threads and itself */
	SYS_futex, SYS_set_tid_address, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq,
	SYS_arch_prctl, SYS_exit, SYS_exit_group, SYS_execve, SYS_execveat, SYS_sched_yield,
	SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_rt_sigaction,
	SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigsuspend,
	SYS_rt_sigtimedwait, SYS_sigaltstack, SYS_pause, SYS_getpid, SYS_gettid, SYS_getppid,
	SYS_getpgrp, SYS_getpgid, SYS_getsid, SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid,
	SYS_getresuid, SYS_getresgid, SYS_getgroups, SYS_capget, SYS_getrlimit, SYS_getrusage,
	SYS_uname, SYS_sysinfo, SYS_getcpu, SYS_getrandom, SYS_seccomp,
	/* descriptors of sockets that it was given */
	SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
	SYS_shutdown, SYS_getsockopt, SYS_setsockopt, SYS_getsockname, SYS_getpeername,
};
/* clang-format on */

/* Where there are volumes, which its user may change. Elsewhere nothing can be written anyway. */
/* clang-format off */
static const unsigned short with_volumes[] = {
	SYS_mkdir, SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_unlink,
	SYS_unlinkat, SYS_rename, SYS_renameat, SYS_renameat2, SYS_truncate, SYS_chmod,
	SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_lchown, SYS_fchown, SYS_fchownat,
	SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_getxattr, SYS_lgetxattr,
	SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_removexattr,
	SYS_lremovexattr, SYS_fremovexattr, SYS_openat2,
};
/* clang-format on */

/* What a server of volumes does for the guest, and 9p does not. */
/* clang-format off */
static const unsigned short when_serving[] = {
	SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_syncfs, SYS_tkill, SYS_capset, FCHMODAT2,
};
/* clang-format on */

/* clang-format off */
static const unsigned short with_network[] = {
	SYS_bind, SYS_connect, SYS_listen, SYS_accept, SYS_accept4,
};
/* clang-format on */

/* All but accept4 and fcntl the copies' own filter (hypervisor/, qemu-seccomp.c) forbids again. */
static const unsigned short with_forks[] = {
	SYS_clone,
	SYS_accept4,
	SYS_setsid,
	SYS_pidfd_open,
	SYS_prctl,
	SYS_fcntl,
	SYS_unshare,
	SYS_umount2,
	SYS_setresuid,
	SYS_setresgid,
	SYS_capset,
};

#define ALLOW_ALL(p, list)                                                                         \
	bpf_answer_calls(p, list, sizeof(list) / sizeof((list)[0]), SECCOMP_RET_ALLOW)

#define ALLOW_VALUES(p, call, arg, ...)                                                            \
	do {                                                                                       \
		const uint32_t values_[] = {__VA_ARGS__};                                          \
		bpf_allow_values(p, call, arg, values_, sizeof(values_) / sizeof(*values_));       \
	} while (0)

/* A call is allowed, but for some values of an argument. */
static void filter_refuse_values(
	struct bpf_filter *p, uint32_t call, unsigned int arg, const uint32_t *values, uint8_t n)
{
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(n + 3), call);
	bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, BPF_ARG(arg));
	for (uint8_t i = 0; i < n; i++)
		bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)(n - i), 0, values[i]);
	bpf_answer(p, SECCOMP_RET_ALLOW);
	bpf_answer(p, BPF_REFUSE(EPERM));
}

#define REFUSE_VALUES(p, call, arg, ...)                                                           \
	do {                                                                                       \
		const uint32_t values_[] = {__VA_ARGS__};                                          \
		filter_refuse_values(p, call, arg, values_, sizeof(values_) / sizeof(*values_));   \
	} while (0)

/*
 * It ends with its keeper, and may say so again, as the kernel forgets it when a process acts as
 * another user. What else is asked of prctl is left to what follows.
 */
static void filter_add_tie(struct bpf_filter *p)
{
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 8, SYS_prctl);
	bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, BPF_ARG(0));
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 4, 0, PR_GET_PDEATHSIG);
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, PR_SET_PDEATHSIG);
	bpf_add(p, BPF_JMP | BPF_JA, 0, 0, 3);
	bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, BPF_ARG(1));
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SIGKILL);
	bpf_answer(p, SECCOMP_RET_ALLOW);
	bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offsetof(struct seccomp_data, nr));
}

static void filter_add_own_calls(struct bpf_filter *p)
{
	/* Threads, no processes. clone3 hides its flags: glibc takes clone where there is none. */
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_clone3);
	bpf_answer(p, BPF_REFUSE(ENOSYS));
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, SYS_clone);
	bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, BPF_ARG(0));
	bpf_add(p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, CLONE_THREAD);
	bpf_answer(p, SECCOMP_RET_ALLOW);
	bpf_answer(p, BPF_REFUSE(EPERM));

	/* Signals to its own threads. */
	ALLOW_VALUES(p, SYS_tgkill, 0, (uint32_t)getpid());
	/* Nothing that would loosen the tie to the keeper or bring a capability back. */
	ALLOW_VALUES(p, SYS_prctl, 0, PR_SET_NAME, PR_GET_NAME, PR_SET_TIMERSLACK,
		PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_GET_SECCOMP,
		PR_CAPBSET_READ, PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_TSC);
	/* Of itself only. */
	ALLOW_VALUES(p, SYS_prlimit64, 0, 0, (uint32_t)getpid());

	/* No signals to whom it likes by way of a descriptor's owner, and no leases on files of a
	 * volume, which make others wait who open them. */
	REFUSE_VALUES(p, SYS_fcntl, 1, F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY);
	/*
	 * Anything but words put into the mouth of a terminal, such owners, and of a tap what would
	 * let it outlive the Arrow, give it to somebody, or make it another.
	 */
	REFUSE_VALUES(p, SYS_ioctl, 1, TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP, TUNSETIFF,
		TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP, TUNSETLINK, TUNSETQUEUE, TUNSETIFINDEX,
		TUNSETTXFILTER, TUNSETSTEERINGEBPF, TUNSETFILTEREBPF, TUNSETCARRIER);
}

/* openat(AT_FDCWD, path, O_RDWR) waits; every other is allowed. */
static void filter_add_open(struct bpf_filter *p, bool waits)
{
	bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, waits ? 7 : 1, SYS_openat);
	if (waits) {
		bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, BPF_ARG(0));
		bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, (uint32_t)AT_FDCWD);
		bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, BPF_ARG(2));
		bpf_add(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, ~LARGEFILE);
		bpf_add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, O_RDWR);
		bpf_add(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF);
	}
	bpf_answer(p, SECCOMP_RET_ALLOW);
}

static void filter_build(struct bpf_filter *p, const struct arrow_jail_calls *calls, bool waits)
{
	bpf_begin(p, SECCOMP_RET_KILL_PROCESS);
	filter_add_open(p, waits);
	ALLOW_ALL(p, always);
	if (calls->volumes)
		ALLOW_ALL(p, with_volumes);
	if (calls->serves)
		ALLOW_ALL(p, when_serving);
	if (calls->network) {
		ALLOW_ALL(p, with_network);
		ALLOW_VALUES(p, SYS_socket, 0, AF_INET, AF_INET6);
	}
	if (calls->forks)
		ALLOW_ALL(p, with_forks);
	if (calls->serves)
		filter_add_tie(p);
	filter_add_own_calls(p);
	bpf_answer(p, BPF_REFUSE(EPERM));
}

int arrow_jail_filter(const struct arrow_jail_calls *calls, int *listener)
{
	struct bpf_filter filter;
	int r;

	filter_build(&filter, calls, listener != NULL);
	r = bpf_install(&filter, listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
	if (r >= 0 && listener)
		*listener = r;
	return r < 0 ? r : 0;
}
