// SPDX-License-Identifier: Apache-2.0
#include "util/bpf.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __x86_64__
#error "filters are for the interface of x86_64"
#endif

/* Set in the numbers of the x32 interface, which the kernel counts to this architecture. */
#define X32_BIT (1u << 30)

void bpf_add(struct bpf_filter *f, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
	if (f->n < BPF_INSNS_MAX)
		f->insns[f->n++] = (struct sock_filter){code, yes, no, k};
}

void bpf_answer(struct bpf_filter *f, uint32_t answer)
{
	bpf_add(f, BPF_RET | BPF_K, 0, 0, answer);
}

void bpf_begin(struct bpf_filter *f, uint32_t foreign)
{
	f->n = 0;
	bpf_add(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offsetof(struct seccomp_data, arch));
	bpf_add(f, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64);
	bpf_answer(f, foreign);
	bpf_add(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offsetof(struct seccomp_data, nr));
	bpf_add(f, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
	bpf_answer(f, BPF_REFUSE(EPERM));
}

void bpf_answer_calls(struct bpf_filter *f, const unsigned short *calls, size_t n, uint32_t answer)
{
	for (size_t i = 0; i < n; i++) {
		bpf_add(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, calls[i]);
		bpf_answer(f, answer);
	}
}

void bpf_allow_values(
	struct bpf_filter *f, uint32_t call, unsigned int arg, const uint32_t *values, uint8_t n)
{
	bpf_add(f, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(n + 3), call);
	bpf_add(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, BPF_ARG(arg));
	for (uint8_t i = 0; i < n; i++)
		bpf_add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)(n - i), 0, values[i]);
	bpf_answer(f, BPF_REFUSE(EPERM));
	bpf_answer(f, SECCOMP_RET_ALLOW);
}

int bpf_install(const struct bpf_filter *f, unsigned int flags)
{
	const struct sock_fprog program = {.filter = (struct sock_filter *)f->insns, .len = f->n};
	long r;

	if (f->n == BPF_INSNS_MAX)
		return -E2BIG;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	return r < 0 ? -errno : (int)r;
}
