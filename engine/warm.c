// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"
#include "guest/blob.h"
#include "util/cleanup.h"
#include "util/io.h"

int arrow_warm_disk(void)
{
	_cleanup_close_ int fd = memfd_create("arrow-rehearsal", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = write_full(fd, arrow_warm_image, (size_t)(arrow_warm_image_end - arrow_warm_image));
	if (r == 0 && ftruncate(fd, ARROW_TEMPLATE_DISK) < 0)
		r = -errno;
	return r < 0 ? r : steal_fd(&fd);
}
