// SPDX-License-Identifier: Apache-2.0
#include "util/fds.h"

#include <sys/syscall.h>
#include <unistd.h>

void close_all_but(const int *keep, size_t n)
{
	unsigned int next = 3, least;

	/* The system call itself: musl, with which the loader is built, has no function for it. */
	do {
		least = ~0u;
		for (size_t i = 0; i < n; i++)
			if (keep[i] >= (int)next && (unsigned int)keep[i] < least)
				least = (unsigned int)keep[i];
		if (least > next)
			syscall(SYS_close_range, next, least == ~0u ? least : least - 1, 0);
		next = least + 1;
	} while (least != ~0u);
}
