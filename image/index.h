/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_INDEX_H
#define ARROW_IMAGE_INDEX_H

/*
 * What program makes which image: one file a program, with the identities of all files that
 * decided it, and of those that were looked for in vain. An entry is advice: one that is damaged
 * or out of date is as good as none.
 */

#include "image/closure.h"
#include "image/store.h"
#include "util/digest.h"

struct index_key {
	const char *program;      /* its real path */
	const char *name;         /* in the image */
	const char *library_path; /* LD_LIBRARY_PATH or NULL */
};

/* The digest of the image, if nothing has changed since. Returns 0 or -ENOENT. */
int index_find(const struct image_store *store, const struct index_key *key,
	char digest[DIGEST_HEX]) ARROW_MUST_CHECK;

/* Notes it. Returns 0 or a negative errno, which means no more than a slower next time. */
int index_write(struct image_temp *temp, const struct index_key *key, const char *digest,
	const struct closure *closure);

#endif
