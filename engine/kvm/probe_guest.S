/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest of the KVM probe. It is copied to where its VM expects it, so it addresses nothing
 * of its own but by distance; probe.c lays out the memory. It runs in 64-bit mode, has no
 * interrupt table (an exception ends the VM) and tells each step it has done by writing the
 * step's number to the port.
 *
 *   in: %rsi  scratch memory, 64-byte aligned: 64 bytes, then the XSAVE area
 *       %ebx  1 if there is XSAVE
 */
#include "engine/kvm/probe_guest.h"

.macro step number
	mov	$\number, %al
	out	%al, $PROBE_PORT
.endm

	.text
	.globl	arrow_kvm_probe_guest, arrow_kvm_probe_guest_end, arrow_kvm_probe_loop
	.type	arrow_kvm_probe_guest, @function
	.type	arrow_kvm_probe_loop, @function

arrow_kvm_probe_guest:
	step	PROBE_STARTED

	/* Integers and doubles in SSE registers. */
	mov	$0x11111111, %eax
	movd	%eax, %xmm0
	pshufd	$0, %xmm0, %xmm0
	movdqa	%xmm0, %xmm1
	paddd	%xmm1, %xmm1
	movdqa	%xmm1, (%rsi)
	cmpl	$0x22222222, 12(%rsi)
	jne	wrong
	mov	$21, %eax
	cvtsi2sd %eax, %xmm2
	addsd	%xmm2, %xmm2
	cvttsd2si %xmm2, %eax
	cmp	$42, %eax
	jne	wrong
	step	PROBE_SSE

	/* 16 bytes at (%rsi) are 0x22..: exchange them for 1, 2 in one step. */
	push	%rbx
	mov	(%rsi), %rax
	mov	8(%rsi), %rdx
	mov	$1, %ebx
	mov	$2, %ecx
	lock cmpxchg16b (%rsi)
	pop	%rbx
	jne	wrong
	cmpq	$1, (%rsi)
	jne	wrong
	cmpq	$2, 8(%rsi)
	jne	wrong
	step	PROBE_CMPXCHG16B

	/* x87 and SSE state: save, spoil, restore. */
	test	$1, %ebx
	jz	1f
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$3, %eax
	xsetbv
	xgetbv
	cmp	$3, %eax
	jne	wrong
	xor	%edx, %edx
	xsave	64(%rsi)
	pxor	%xmm0, %xmm0
	xrstor	64(%rsi)
	movd	%xmm0, %eax
	cmp	$0x11111111, %eax
	jne	wrong
	step	PROBE_XSAVE

	/* The loop, as often as the host wants it. */
1:	rdtsc
	shl	$32, %rdx
	or	%rax, %rdx
	mov	%rdx, %r8
	step	PROBE_LOOP_BEGIN
	mov	$PROBE_LOOPS, %edi
	call	arrow_kvm_probe_loop
	step	PROBE_LOOP_END
	rdtsc
	shl	$32, %rdx
	or	%rax, %rdx
	cmp	%r8, %rdx
	jbe	wrong
	in	$PROBE_PORT, %al
	test	%al, %al
	jnz	1b

	step	PROBE_DONE
	hlt
wrong:
	step	PROBE_WRONG
	hlt

/* void arrow_kvm_probe_loop(unsigned int count), called by the host as well to compare. */
arrow_kvm_probe_loop:
	mov	%edi, %eax
1:	imul	$5, %eax, %eax
	add	%edi, %eax
	dec	%edi
	jnz	1b
	ret
	.size	arrow_kvm_probe_loop, . - arrow_kvm_probe_loop
arrow_kvm_probe_guest_end:
	.size	arrow_kvm_probe_guest, . - arrow_kvm_probe_guest

	.section .note.GNU-stack, "", @progbits
