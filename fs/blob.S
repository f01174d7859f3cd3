/* SPDX-License-Identifier: Apache-2.0 */
/* The server of volumes, as data of whatever links it. See blob.h. */
	.section .rodata
	.balign 16
	.globl arrow_fs_program
	.type arrow_fs_program, @object
arrow_fs_program:
	.incbin ARROW_FS
	.globl arrow_fs_program_end
	.type arrow_fs_program_end, @object
arrow_fs_program_end:
	.size arrow_fs_program, arrow_fs_program_end - arrow_fs_program

	.globl arrow_fs_digest
	.type arrow_fs_digest, @object
arrow_fs_digest:
	.incbin ARROW_FS_DIGEST
	.byte 0
	.size arrow_fs_digest, . - arrow_fs_digest

	.section .note.GNU-stack, "", @progbits
