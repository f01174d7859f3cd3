// SPDX-License-Identifier: Apache-2.0
/*
 * What a keeper gives up once its program runs. It starts the next VM itself, mends networks and
 * cleans up, so it keeps what that takes; what neither does, nor a VM ever may, goes for good. The
 * filter is a list of what is refused: the keeper's work is that of many libraries.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/keeper/state.h"

#define CAP(n) (1ull << (n))

/* Files of other users, their processes and limits; jails; networks. */
#define KEPT                                                                                       \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) |     \
		CAP(CAP_FSETID) | CAP(CAP_MKNOD) | CAP(CAP_SETFCAP) | CAP(CAP_KILL) |              \
		CAP(CAP_SYS_NICE) | CAP(CAP_SYS_RESOURCE) | CAP(CAP_SYS_PTRACE) |                  \
		CAP(CAP_SETUID) | CAP(CAP_SETGID) | CAP(CAP_SETPCAP) | CAP(CAP_SYS_ADMIN) |        \
		CAP(CAP_SYS_CHROOT) | CAP(CAP_NET_ADMIN) | CAP(CAP_NET_RAW) |                      \
		CAP(CAP_NET_BIND_SERVICE))

static const unsigned short refused[] = {
	/* the host's kernel */
	SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load,
	SYS_reboot, SYS_bpf, SYS_perf_event_open, SYS_iopl, SYS_ioperm, SYS_syslog, SYS_acct,
	SYS_swapon, SYS_swapoff, SYS_quotactl, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
	SYS_clock_adjtime,
	/* other processes */
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp,
	/* what is reached past the names of files, or past this filter; keys */
	SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_io_uring_setup, SYS_io_uring_enter,
	SYS_io_uring_register, SYS_userfaultfd, SYS_add_key, SYS_request_key, SYS_keyctl};

#define N_REFUSED (sizeof(refused) / sizeof(refused[0]))

static void refuse_calls(void)
{
	struct sock_filter f[6 + N_REFUSED + 2];
	struct sock_fprog program = {.filter = f};
	unsigned short n = 0;

	/* The only interface is that of 64 bits: x32 has numbers of its own, with bit 30 set. */
	f[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	f[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	f[n++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 1u << 30, N_REFUSED + 1, 0);
	for (size_t i = 0; i < N_REFUSED; i++)
		f[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, refused[i], (uint8_t)(N_REFUSED - i), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program.len = n;
	(void)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

void keeper_drop(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	/* A kernel that can do less of it is no reason to end. */
	for (unsigned long n = 0; n < 64; n++)
		if (!(KEPT & CAP(n)) && prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0)
			break; /* the last one was before, or an ordinary user has none to lose */
	if (syscall(SYS_capget, &head, data) == 0) {
		for (unsigned int i = 0; i < 2; i++) {
			data[i].effective &= (uint32_t)(KEPT >> 32 * i);
			data[i].permitted &= (uint32_t)(KEPT >> 32 * i);
			data[i].inheritable &= (uint32_t)(KEPT >> 32 * i);
		}
		(void)syscall(SYS_capset, &head, data);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		refuse_calls();
}
