/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_ROOT_H
#define ARROW_IMAGE_OCI_ROOT_H

#include "image/image.h"
#include "image/limits.h"
#include "image/oci/image.h"
#include "util/digest.h"

/* The name of an image's root in STORE/images. It depends on the diff ids only, so images of the
 * same layers share one. Returns 0 or -ENOMEM. */
int oci_root_digest(const struct oci_image *oci, char digest[DIGEST_HEX]) ARROW_MUST_CHECK;

/*
 * Finds or makes the root image of a container image. Two processes that want the same at once make
 * one. Nothing of a failed one stays.
 *   data: the data directory
 *   what: names the image in errors
 *   made: gets whether it was made just now
 * Errors: those of layer_apply(), a blob that is missing.
 */
int oci_root_open(struct arrow_image *image, const char *data, const struct oci_store *store,
	const struct oci_image *oci, const char *what, const struct arrow_image_limits *limits,
	bool *made, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
