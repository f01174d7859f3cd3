/* SPDX-License-Identifier: Apache-2.0 */
/* The initramfs with the loader, as data of whatever links it. See blob.h. */
	.section .rodata
	.balign 4096
	.globl arrow_initramfs
	.type arrow_initramfs, @object
arrow_initramfs:
	.incbin ARROW_INITRAMFS
	.globl arrow_initramfs_end
	.type arrow_initramfs_end, @object
arrow_initramfs_end:
	.size arrow_initramfs, arrow_initramfs_end - arrow_initramfs

	.globl arrow_initramfs_digest
	.type arrow_initramfs_digest, @object
arrow_initramfs_digest:
	.incbin ARROW_INITRAMFS_DIGEST
	.byte 0
	.size arrow_initramfs_digest, . - arrow_initramfs_digest

	.section .note.GNU-stack, "", @progbits
