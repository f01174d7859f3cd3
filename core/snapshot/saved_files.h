/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_SNAPSHOT_SAVED_FILES_H
#define ARROW_CORE_SNAPSHOT_SAVED_FILES_H

/* What reading (saved.c) and writing (saving.c) a saved Arrow share. */

#include <jansson.h>

#include "core/snapshot/saved.h"
#include "util/digest.h"

/* Changes when the files change their meaning. */
#define SAVED_FORMAT 1

/* What the engine says of itself: one line of its program, then the CPU. Owned by the caller. */
int saved_identity(const struct arrow_engine_choice *choice, char **text,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * SHA-256 of what arrow.json says but for its key "digest": of the text with sorted keys and no
 * space. Returns 0 or a negative errno.
 */
int saved_about_digest(const json_t *about, char hex[DIGEST_HEX]) ARROW_MUST_CHECK;

/* Bytes of memory of a VM. */
uint64_t saved_memory(const struct arrow_spec *spec);

#endif
