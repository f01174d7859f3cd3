/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_ARCHIVE_H
#define ARROW_IMAGE_OCI_ARCHIVE_H

/*
 * Images in files: archives of `docker save` and `podman save` (manifest.json), OCI layouts as an
 * archive or a directory, and root file systems.
 */

#include "image/oci/build.h"
#include "image/oci/store.h"
#include "image/limits.h"

enum oci_archive {
	OCI_ARCHIVE_ROOTFS, /* neither of the others */
	OCI_ARCHIVE_DOCKER,
	OCI_ARCHIVE_LAYOUT,
};

/*
 * What an archive holds, told by the names in it; fd is at its start afterwards, so it has to be
 * seekable. It may be packed with gzip or zstd.
 * Errors: -EBADMSG (it is no archive, or damaged).
 */
int oci_archive_look(int fd, enum oci_archive *kind, struct arrow_error *error) ARROW_MUST_CHECK;

/* Called for every image that is stored: its whole name or NULL, and what it is. */
typedef void (*oci_loaded)(const char *name, const struct oci_descriptor *descriptor, void *arg);

/*
 * Stores all images of an archive, under the names that they have there. One that is damaged does
 * not keep the others out: each() is called for these, and the error tells of the first bad one.
 * Errors: -EBADMSG (damaged, wrong digests, a layer that is missing), -ENOENT (no image in it). The
 * caller sweeps what a failure leaves.
 *   name: for a single image, instead of its own names; or NULL
 */
int oci_archive_load(const struct oci_store *store, int fd, enum oci_archive kind,
	const struct oci_reference *name, oci_loaded each, void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The same for a directory with an OCI layout. */
int oci_layout_load(const struct oci_store *store, const char *path,
	const struct oci_reference *name, oci_loaded each, void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes an archive of a root file system as a layer, as it is, and checks that it can be unpacked.
 * It is stored packed as it came.
 */
int oci_rootfs_layer(const struct oci_store *store, int fd, const struct arrow_image_limits *limits,
	struct oci_layer *layer, struct arrow_error *error) ARROW_MUST_CHECK;

/* An image to write: what the store has of it, and the names it is to have. */
struct oci_saved {
	const struct oci_image *image;
	char **names; /* whole; NULL-terminated */
};

/*
 * Writes images as one tar, which is an OCI layout and an archive for `docker load` at once.
 * The same images give the same bytes.
 */
int oci_archive_save(const struct oci_store *store, const struct oci_saved *images, size_t n,
	int fd, struct arrow_error *error) ARROW_MUST_CHECK;

/* Writes images as an OCI layout into a directory, which must be empty or missing. */
int oci_layout_save(const struct oci_store *store, const struct oci_saved *images, size_t n,
	const char *path, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
