/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_REMOVE_H
#define ARROW_PACKAGE_REMOVE_H

/* Removing images, and checking the store that holds them. */

#include <jansson.h>

#include "core/spec/spec.h"
#include "image/oci/store.h"
#include "util/paths.h"

/*
 * Takes a name away, and with the last one the image.
 *   force: also an image with several names (by its id), or that an Arrow uses
 *   log:   gets lines as docker prints them: "Untagged: ...", "Deleted: ..."
 * Errors: -ENOENT, -EBUSY (used or named otherwise).
 */
int arrow_images_remove(const struct arrow_paths *paths, const char *name, bool force,
	struct arrow_strings *log, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes images without a name, or (all) those that no Arrow uses, then everything that no image
 * reaches; bytes gets what that gave back.
 *   wanted: whether one may go, by its row of arrow_images_list(); or NULL
 */
int arrow_images_prune(const struct arrow_paths *paths, bool all,
	bool (*wanted)(const json_t *row, void *arg), void *wanted_arg, struct arrow_strings *log,
	uint64_t *bytes, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Checks the store: every blob against its digest, every image for blobs that it misses, and what
 * nothing reaches. each() is called with a digest and what is wrong with it.
 *   fix:     remove damaged blobs and what nothing reaches
 *   checked: gets the number of blobs
 *   left:    gets the number of files that nothing reaches
 * A store that was never used has nothing to check.
 */
int arrow_images_verify(const struct arrow_paths *paths, bool fix, unsigned int *checked,
	unsigned int *left, void (*each)(const char *digest, const char *what, void *arg),
	void *arg, struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes what a failed import left; failing to do so leaves it to the next prune. */
void arrow_images_tidy(struct oci_store *store, const struct arrow_paths *paths);

#endif
