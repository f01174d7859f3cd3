// SPDX-License-Identifier: Apache-2.0

/* Any bytes as a layer on top of a small tree: it becomes an image, or is refused with a line. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/oci/layer.h"
#include "image/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct rootfs *fs, const char *name, uint32_t mode, const char *target)
{
	struct rootfs_inode *inode = rootfs_inode(mode);

	if (!inode || (target && !(inode->target = strdup(target))) ||
		rootfs_put(fs, fs->root, name, inode, 1) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char digest[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const struct arrow_image_limits limits = {.max_size = 4 << 20, .max_files = 1000};
	struct arrow_error e = ARROW_ERROR_INIT;
	struct rootfs fs;
	int in = memfd_create("layer", MFD_CLOEXEC), out = memfd_create("image", MFD_CLOEXEC);
	struct layer layer = {.fd = in, .number = 2, .what = "layer"};
	int r;

	if (in < 0 || out < 0 || pwrite(in, data, size, 0) != (ssize_t)size ||
		rootfs_begin(&fs, out, &limits, &e) < 0)
		abort();
	put(&fs, "d", S_IFDIR | 0755, NULL);
	put(&fs, "l", S_IFLNK | 0777, "d/../d");
	put(&fs, "f", S_IFREG | 0644, NULL);
	r = layer_apply(&fs, &layer, &e);
	if ((r < 0) != (e.text != NULL) || (e.text && strchr(e.text, '\n')))
		abort();
	if (r == 0 && rootfs_write(&fs, digest) < 0)
		abort();
	arrow_error_clear(&e);
	rootfs_release(&fs);
	close(in);
	close(out);
	return 0;
}
