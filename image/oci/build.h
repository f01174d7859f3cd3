/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_BUILD_H
#define ARROW_IMAGE_OCI_BUILD_H

/* New images: a layer of files, a configuration, a manifest. */

#include "image/oci/image.h"

struct oci_layer {
	struct oci_descriptor blob;
	char diff_id[OCI_DIGEST_SIZE];
};

void oci_layer_release(struct oci_layer *layer);
#define _cleanup_layer_ __attribute__((cleanup(oci_layer_release)))

struct oci_tree_options {
	const char *path; /* of the directory that becomes the root */
	bool all_root;    /* all of root */
	int64_t mtime;    /* of everything; or -1: as it is */
	const char *skip; /* a path whose tree is left out, or NULL */
};

/*
 * Packs a directory as a gzip layer: entries sorted, owners, modes, xattrs, hard links and devices
 * kept. The same tree gives the same digest.
 * Errors: a file that cannot be read or changes as it is read, by its name.
 */
int oci_layer_from_tree(const struct oci_store *store, const struct oci_tree_options *options,
	struct oci_layer *layer, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Packs a program with all that it needs to start, and nothing else.
 *   data:       the data directory
 *   mtime:      of everything
 *   entrypoint: gets the program's path in the image; owned by the caller
 */
int oci_layer_from_program(const struct oci_store *store, const char *data, const char *path,
	const char *library_path, int64_t mtime, struct oci_layer *layer, char **entrypoint,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* What an image of one or two layers is made of. Lists are NULL-terminated or NULL. */
struct oci_recipe {
	const struct oci_layer *base, *layer; /* base: below it, or NULL */
	char *const *entrypoint,
		*const *cmd, *const *env,
				     *const *volumes,
					     *const *ports,
						     *const *labels,
							     *const *annotations; /* these two:
										     "key=value" */
	const char *user, *workdir, *stop_signal;                                 /* or NULL */
	const char *created_by; /* for the history */
	const char *base_created_by;
	const char *comment; /* or NULL */
	int64_t created;     /* seconds since 1970 */
};

/* Stores configuration and manifest. Errors: a full disk, text that is not UTF-8. */
int oci_image_build(const struct oci_store *store, const struct oci_recipe *recipe,
	struct oci_descriptor *manifest, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
