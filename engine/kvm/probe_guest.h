/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_KVM_PROBE_GUEST_H
#define ARROW_ENGINE_KVM_PROBE_GUEST_H

/* What the probe and its guest, which is written in assembly, agree on. */

#define PROBE_PORT 0x42
#define PROBE_LOOPS 1000000

/* The steps, in their order. */
#define PROBE_STARTED 1
#define PROBE_SSE 2
#define PROBE_CMPXCHG16B 3
#define PROBE_XSAVE 4
#define PROBE_LOOP_BEGIN 5
#define PROBE_LOOP_END 6
#define PROBE_DONE 7
#define PROBE_WRONG 8 /* the step after the last one gave a wrong result */

#ifndef __ASSEMBLER__
extern const unsigned char arrow_kvm_probe_guest[], arrow_kvm_probe_guest_end[];
void arrow_kvm_probe_loop(unsigned int count);
#endif

#endif
