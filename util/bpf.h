/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_BPF_H
#define ARROW_UTIL_BPF_H

/*
 * Filters of system calls, as programs for the kernel
 * (Documentation/userspace-api/seccomp_filter.rst of Linux). Not through libseccomp: that would be
 * loaded by every `arrow run`, and takes longer to make a list than a start may cost.
 */

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#define BPF_INSNS_MAX 700u

#define BPF_REFUSE(err) (SECCOMP_RET_ERRNO | (uint32_t)(err))

/* The low half of an argument of the call. */
#define BPF_ARG(n) ((uint32_t)offsetof(struct seccomp_data, args[n]))

struct bpf_filter {
	struct sock_filter insns[BPF_INSNS_MAX];
	unsigned short n;
};

/*
 * Begins a filter, with the number of the call at hand. The only interface is that of 64 bits:
 * calls of that of 32 get `foreign` (SECCOMP_RET_*), those of x32 are EPERM.
 */
void bpf_begin(struct bpf_filter *filter, uint32_t foreign);

/* One instruction. What is too much shows in bpf_install(). */
void bpf_add(struct bpf_filter *filter, uint16_t code, uint8_t yes, uint8_t no, uint32_t k);

/* Answers, for all that comes here. */
void bpf_answer(struct bpf_filter *filter, uint32_t answer);

/* Answers these calls. */
void bpf_answer_calls(
	struct bpf_filter *filter, const unsigned short *calls, size_t n, uint32_t answer);

/*
 * Allows a call if the low half of an argument is one of n values (250 at most), else it is EPERM.
 */
void bpf_allow_values(struct bpf_filter *filter, uint32_t call, unsigned int arg,
	const uint32_t *values, uint8_t n);

/*
 * Sets the filter for this process and what it executes. Returns what seccomp(2) does with these
 * flags, or a negative errno.
 */
int bpf_install(const struct bpf_filter *filter, unsigned int flags);

#endif
