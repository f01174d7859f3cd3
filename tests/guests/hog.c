// SPDX-License-Identifier: Apache-2.0
/* Takes memory until it is ended: in QEMU's place it meets the limit of the host. */
#include <stdlib.h>
#include <string.h>

int main(void)
{
	const size_t size = 16u << 20;

	for (int i = 0; i < 1024; i++) {
		char *p = malloc(size);

		if (!p)
			return 3;
		memset(p, 1, size);
	}
	return 4;
}
