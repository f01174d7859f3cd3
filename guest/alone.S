/* SPDX-License-Identifier: Apache-2.0 */
/* The initramfs of exported Arrows, as data of whatever links it. See blob.h. */
	.section .rodata
	.balign 16
	.globl arrow_alone_initramfs
	.type arrow_alone_initramfs, @object
arrow_alone_initramfs:
	.incbin ARROW_INITRAMFS
	.globl arrow_alone_initramfs_end
	.type arrow_alone_initramfs_end, @object
arrow_alone_initramfs_end:
	.size arrow_alone_initramfs, arrow_alone_initramfs_end - arrow_alone_initramfs

	.section .note.GNU-stack, "", @progbits
