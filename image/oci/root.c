// SPDX-License-Identifier: Apache-2.0
/* The root image of a container image: its layers, one EROFS file. */
#include "image/oci/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "image/oci/layer.h"
#include "image/oci/rootfs.h"
#include "image/store.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

/* First in what is hashed; another one makes all images anew. */
#define FORMAT "arrow-container-image 3"

int oci_root_digest(const struct oci_image *oci, char digest[DIGEST_HEX])
{
	_cleanup_free_ char *text = path_format(FORMAT " %s", oci->chain_id);
	char *const *volumes = oci->config.volumes;

	for (size_t i = 0; text && volumes && volumes[i]; i++) {
		char *longer = path_format("%s\n%s", text, volumes[i]);

		free(text);
		text = longer;
	}
	return text ? digest_data(text, strlen(text), digest) : -ENOMEM;
}

/*
 * Volumes that the layers lack are directories of root, mode 0755, as Docker makes them. One that
 * cannot be a directory is left to the program, which may never look at it.
 */
static int add_volumes(
	struct rootfs *fs, const struct oci_image *oci, const char *what, struct arrow_error *error)
{
	char *const *volumes = oci->config.volumes;
	struct rootfs_inode *directory;

	for (size_t i = 0; volumes && volumes[i]; i++) {
		int e = rootfs_walk(
			fs, volumes[i], true, (uint32_t)oci->manifest.n_layers + 1, &directory);

		if (e == -ENOMEM || e == -EFBIG || e == -EOVERFLOW)
			return arrow_fail(
				error, -e, "%s: cannot make its volume %s: %m", what, volumes[i]);
	}
	return 0;
}

static int apply_layers(struct rootfs *fs, const struct oci_store *store,
	const struct oci_image *oci, const char *what, struct arrow_error *error)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < oci->manifest.n_layers; i++) {
		_cleanup_free_ char *name = path_format("layer %zu of %s", i + 1, what);
		_cleanup_close_ int fd = -1;
		struct layer layer = {.number = (uint32_t)i + 1,
			.what = name ? name : "a layer",
			.diff_id = oci->config.diff_ids[i]};

		e = oci_blob_open(store, oci->manifest.layers[i].digest, &fd, error);
		layer.fd = fd;
		if (e == 0)
			e = layer_apply(fs, &layer, error);
	}
	return e;
}

static int make_root(struct arrow_image *image, const struct image_store *images,
	const struct oci_store *store, const struct oci_image *oci, const char *what,
	const struct arrow_image_limits *limits, struct arrow_error *error)
{
	_cleanup_temp_ struct image_temp temp = {.fd = -1};
	_cleanup_rootfs_ struct rootfs fs = {.fd = -1};
	_cleanup_close_ int fd = -1;
	int e = image_temp_begin(&temp, images, error);

	if (e < 0)
		return e;
	fd = openat(temp.fd, "image", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return image_store_fail(images, errno, error);
	e = rootfs_begin(&fs, fd, limits, error);
	if (e == 0)
		e = apply_layers(&fs, store, oci, what, error);
	if (e == 0)
		e = add_volumes(&fs, oci, what, error);
	if (e < 0)
		return e;
	e = rootfs_write(&fs, image->digest);
	if (e < 0)
		return image_store_fail(images, -e, error);
	return image_store_publish(&temp, image->digest, "container", what, &image->fd, error);
}

int oci_root_open(struct arrow_image *image, const char *data, const struct oci_store *store,
	const struct oci_image *oci, const char *what, const struct arrow_image_limits *limits,
	bool *made, struct arrow_error *error)
{
	_cleanup_store_ struct image_store images = {.fd = -1};
	_cleanup_close_ int turn = -1;
	int e;

	*image = (struct arrow_image){.fd = -1};
	*made = false;
	e = oci_root_digest(oci, image->digest);
	if (e < 0)
		return arrow_fail(error, -e, "%s: %m", what);
	e = image_store_open(&images, data, error);
	if (e < 0)
		return e;
	if (image_store_find(&images, image->digest, &image->fd) == 0)
		return 0;

	/* Two starts at once make one: the second waits, and finds it. */
	e = oci_blob_open(store, oci->manifest.config.digest, &turn, error);
	if (e < 0)
		return e;
	while (flock(turn, LOCK_EX) < 0)
		if (errno != EINTR)
			return arrow_fail(error, errno, "cannot lock the image %s: %m", what);
	if (image_store_find(&images, image->digest, &image->fd) == 0)
		return 0;
	e = make_root(image, &images, store, oci, what, limits, error);
	*made = e == 0;
	if (e < 0)
		arrow_image_release(image);
	return e;
}
