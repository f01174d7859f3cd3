/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_IMAGE_H
#define ARROW_IMAGE_OCI_IMAGE_H

/* Images of the store: found by a reference or id, for a platform. */

#include "image/oci/store.h"

struct oci_image {
	struct oci_descriptor top;        /* what the reference names: a manifest or an index */
	struct oci_descriptor descriptor; /* the manifest for the platform */
	struct oci_manifest manifest;
	struct oci_config config;
	char *name; /* the reference that found it, whole; NULL for an id; owned */
	char chain_id[OCI_DIGEST_SIZE]; /* of the diff ids, config.md, "Layer ChainID" */
};

/*
 * Finds a local image: NAME[:TAG], NAME@DIGEST, or the first digits (2 or more) of its id, which is
 * the digest of its configuration, or of its manifest.
 *   architecture: "amd64", or NULL for this host's
 * Errors: -ENOENT, status 125 (there is none, or not for the platform), -EINVAL (not a reference,
 * an ambiguous id), -EBADMSG (damaged).
 */
int oci_image_find(struct oci_image *image, const struct oci_store *store, const char *text,
	const char *architecture, struct arrow_error *error) ARROW_MUST_CHECK;

/* Reads the image that a line of index.json describes. */
int oci_image_read(struct oci_image *image, const struct oci_store *store,
	const struct oci_descriptor *top, const char *what, const char *architecture,
	struct arrow_error *error) ARROW_MUST_CHECK;

void oci_image_release(struct oci_image *image);
#define _cleanup_oci_image_ __attribute__((cleanup(oci_image_release)))

#endif
