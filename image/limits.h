/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_LIMITS_H
#define ARROW_IMAGE_LIMITS_H

#include <stdint.h>

#define IMAGE_MAX_SIZE (64ull << 30)
#define IMAGE_MAX_FILES 2000000ull
#define IMAGE_MAX_MEMORY (384ull << 20)

/*
 * The most that a container image may have: bytes of content, and of a layer; and files.
 * 0 for IMAGE_MAX_SIZE and IMAGE_MAX_FILES. From ARROW_IMAGE_MAX_SIZE, ARROW_IMAGE_MAX_FILES.
 * max_memory: bytes that names, targets of links and xattrs may take while an image is made; 0 for
 * IMAGE_MAX_MEMORY. A layer of a few kilobytes can unpack to gigabytes of them.
 */
struct arrow_image_limits {
	uint64_t max_size, max_files, max_memory;
};

#endif
