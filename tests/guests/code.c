// SPDX-License-Identifier: Apache-2.0
/* Fills memory with code that it writes, runs and writes anew: code MIB. Prints "ok". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

/* mov $n, %eax; ret */
static void write_code(unsigned char *at, unsigned int n)
{
	at[0] = 0xb8;
	memcpy(at + 1, &n, sizeof(n));
	at[5] = 0xc3;
}

int main(int argc, char **argv)
{
	size_t pages = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1) * 256;
	unsigned char *code = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (code == MAP_FAILED)
		return 1;
	for (unsigned int round = 0; round < 3; round++) {
		for (size_t i = 0; i < pages; i++)
			write_code(code + i * PAGE, (unsigned int)i * 7 + round);
		for (size_t i = 0; i < pages; i++) {
			unsigned int (*f)(void) = (unsigned int (*)(void))(code + i * PAGE);

			if (f() != (unsigned int)i * 7 + round) {
				printf("page %zu, round %u\n", i, round);
				return 1;
			}
		}
	}
	puts("ok");
	return 0;
}
