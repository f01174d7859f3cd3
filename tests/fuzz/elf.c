// SPDX-License-Identifier: Apache-2.0

/* Any bytes as an ELF file: the reader must end with a result or a reason, and own nothing after.
 */

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image/elf_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct elf_info info;
	const char *why = NULL;
	int e;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();

	e = elf_info_read(&info, fd, &why);
	if (e < 0) {
		/* A memfd has no errors of its own. */
		if (!why || info.needed)
			abort();
		return 0;
	}
	if (!info.needed)
		abort();
	elf_info_release(&info);
	return 0;
}
