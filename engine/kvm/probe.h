/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_KVM_PROBE_H
#define ARROW_ENGINE_KVM_PROBE_H

#include <stdbool.h>

/* Whether KVM works on this host. */
struct arrow_kvm_verdict {
	bool usable;
	char reason[160]; /* one line, why or why not */
	char mend[128];   /* the command that would make it usable; "" if there is none */
};

/*
 * Runs a few instructions of a real guest on /dev/kvm (SSE, cmpxchg16b, xsave, a timed loop) in a
 * child, with a deadline of under a second and one more try where that passed. Takes a verdict of
 * this boot from cache_dir, and leaves one there once a guest was tried; NULL asks afresh and
 * leaves none. Never fails: what goes wrong is the verdict.
 */
void arrow_kvm_probe(const char *cache_dir, struct arrow_kvm_verdict *verdict);

#endif
