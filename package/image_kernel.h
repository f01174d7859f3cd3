/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_IMAGE_KERNEL_H
#define ARROW_PACKAGE_IMAGE_KERNEL_H

/*
 * Kernels as layers of images. The layer has .arrow/kernel/vmlinux and kernel.json and nothing
 * else, so all images that bring the same kernel share it. The annotation names it by its digest,
 * under which the kernel is kept in the store: what an image brings is run by no other image, but
 * those that bring exactly the same.
 */

#include "core/spec/spec.h"
#include "image/oci/build.h"

/* Packs the kernel of a profile, or one by its id. when: the time of its files. */
int arrow_image_kernel_pack(const struct oci_store *store, const struct arrow_paths *paths,
	const char *name, int64_t when, struct oci_layer *layer,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The id in the store of the kernel that an image brings; NULL if it brings none. Borrowed. */
const char *arrow_image_kernel_id(const struct oci_image *image);

/*
 * Puts it there, if it is what the spec runs on and no store has it.
 * Errors: -EBADMSG (a wrong digest, or something else in the layer), a full disk.
 */
int arrow_image_kernel_install(const struct arrow_paths *paths, const struct oci_store *store,
	const struct oci_image *image, const char *wanted,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
