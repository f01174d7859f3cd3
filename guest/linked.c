// SPDX-License-Identifier: Apache-2.0
/*
 * A program of the rehearsal that has a linker, and that linker: so that the kernel has loaded such
 * ones. The linker is what runs, and it only ends.
 */
void _start(void);

void _start(void)
{
	__asm__ volatile("syscall" : : "a"(231 /* exit_group */), "D"(0) : "rcx", "r11", "memory");
	__builtin_unreachable();
}
