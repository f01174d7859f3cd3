// SPDX-License-Identifier: Apache-2.0
/*
 * What a keeper gives up once its program runs. It starts the next VM itself, mends networks and
 * cleans up, so it keeps what that takes; what neither does, nor a VM ever may, goes for good. The
 * filter is a list of what is refused: the keeper's work is that of many libraries.
 */
#include "core/keeper/drop.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/bpf.h"
#include "util/caps.h"

/* Files of other users, their processes and limits; jails; networks. */
#define KEPT                                                                                       \
	(CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_DAC_READ_SEARCH) |        \
		CAPS_BIT(CAP_FOWNER) | CAPS_BIT(CAP_FSETID) | CAPS_BIT(CAP_MKNOD) |                \
		CAPS_BIT(CAP_SETFCAP) | CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_SYS_NICE) |              \
		CAPS_BIT(CAP_SYS_RESOURCE) | CAPS_BIT(CAP_SYS_PTRACE) | CAPS_BIT(CAP_SETUID) |     \
		CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETPCAP) | CAPS_BIT(CAP_SYS_ADMIN) |           \
		CAPS_BIT(CAP_SYS_CHROOT) | CAPS_BIT(CAP_NET_ADMIN) | CAPS_BIT(CAP_NET_RAW) |       \
		CAPS_BIT(CAP_NET_BIND_SERVICE))

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

static void drop_calls(void)
{
	struct bpf_filter filter;

	bpf_begin(&filter, BPF_REFUSE(EPERM));
	bpf_answer_calls(&filter, refused, sizeof(refused) / sizeof(refused[0]), BPF_REFUSE(EPERM));
	bpf_answer(&filter, SECCOMP_RET_ALLOW);
	(void)bpf_install(&filter, 0);
}

void keeper_drop(void)
{
	/* A kernel that can do less of it is no reason to end. */
	(void)!caps_keep(KEPT);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		drop_calls();
}
