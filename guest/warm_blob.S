/* SPDX-License-Identifier: Apache-2.0 */
/* The root image of the rehearsal, as data of whatever links it. See blob.h. */
	.section .rodata
	.balign 4096
	.globl arrow_warm_image
	.type arrow_warm_image, @object
arrow_warm_image:
	.incbin ARROW_WARM_IMAGE
	.globl arrow_warm_image_end
	.type arrow_warm_image_end, @object
arrow_warm_image_end:
	.size arrow_warm_image, arrow_warm_image_end - arrow_warm_image

	.section .note.GNU-stack, "", @progbits
