/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_SWEEP_H
#define ARROW_IMAGE_OCI_SWEEP_H

/* What nothing reaches, and what is damaged. Both are found by walking from index.json. */

#include "image/oci/store.h"

struct sweep {
	uint64_t bytes;     /* given back, or that could be */
	unsigned int blobs; /* that no image reaches */
	unsigned int parts; /* half written, of writers that are gone */
	unsigned int roots; /* root images of no image that is there */
};

/*
 * Removes what nothing reaches: blobs, parts that nobody writes and root images. Waits for those
 * who use the store until deadline_ms from now. data:   the data directory used:   digests of root
 * images that stay, NULL-terminated, or NULL others: also root images of programs and directories;
 * they are made again when needed remove: else they are only counted Errors: -EBUSY (somebody used
 * the store all the time).
 */
int oci_store_sweep(struct oci_store *store, const char *data, const char *const *used, bool others,
	bool remove, unsigned int deadline_ms, struct sweep *found,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Reads every blob and compares it with its name, and looks for blobs that images miss. Calls
 * each() with what is wrong: digest, and "damaged" or "missing from NAME".
 *   remove: take damaged blobs away, so that a pull or load brings them again
 */
int oci_store_verify(const struct oci_store *store, bool remove, unsigned int *checked,
	void (*each)(const char *digest, const char *what, void *arg), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
