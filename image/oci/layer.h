/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_LAYER_H
#define ARROW_IMAGE_OCI_LAYER_H

/*
 * Layers: tar archives, plain or packed with gzip or zstd, by layer.md of the OCI image
 * specification. They are read with libarchive; what packs one is told from its bytes.
 */

#include "image/oci/reference.h"
#include "image/oci/rootfs.h"
#include "util/error.h"

struct layer {
	int fd;              /* at its start */
	uint32_t number;     /* of the layer, from 1; a whiteout hides those with a lower one */
	const char *what;    /* for errors: "layer 2 of busybox" */
	const char *diff_id; /* what the tar must have, or NULL */
	bool plain;          /* ".wh." names are names, as in an archive of a root file system */
	char found[OCI_DIGEST_SIZE]; /* gets the digest of the tar */
};

/*
 * Puts a layer on top of a tree. The content of its files is written at once.
 * Errors: -EBADMSG (not a tar, truncated, another diff id), -EINVAL (an entry that must not be, by
 * its name), -EFBIG (larger than allowed), -ENOSPC.
 */
int layer_apply(struct rootfs *fs, struct layer *layer, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Reads a layer to its end without a tree: whether it is an archive, and its diff id in
 * layer->found. Errors: as layer_apply(), but for what single entries are.
 */
int layer_scan(struct layer *layer, const struct arrow_image_limits *limits,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
