/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_KERNEL_STORE_H
#define ARROW_KERNEL_STORE_H

/* What the parts of kernel/ share about STORE/kernels. */

#include <jansson.h>
#include <stdbool.h>

#include "util/digest.h"
#include "util/error.h"

/* What is half made or half removed. */
#define KERNEL_TEMP_PREFIX ".build-"
#define KERNEL_ID_MIN 8 /* digits that a prefix of an id needs */

/*
 * Opens STORE/kernels; makes it if asked. Returns the descriptor, owned by the caller.
 * Errors: -ENOENT and others of open(), with no text: the caller knows what it means.
 */
int kernel_store_open(const char *store, bool make) ARROW_MUST_CHECK;

/*
 * Takes the lock that builds and removals hold. Returns the descriptor that holds it.
 * Does not wait. Errors: -EWOULDBLOCK (held; no text), others with a text.
 */
int kernel_store_lock(int kernels_fd, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Counts what a killed build or removal left, and removes it if asked. The caller holds the lock.
 */
unsigned int kernel_store_clean(int kernels_fd, bool remove);

/*
 * The id that a profile's name, an id, or a prefix of one stands for. Returns 0, -ENOENT, or
 * -ENOTUNIQ for a prefix of several; no text.
 */
int kernel_store_resolve(int kernels_fd, const char *name, char id[DIGEST_HEX]) ARROW_MUST_CHECK;

/* Whether a text is a whole id, and not a name or a left-over. */
bool kernel_is_id(const char *name);

/* Reads <id>/kernel.json. Returns NULL if it is missing or is not what a build writes. */
json_t *kernel_store_read(int kernels_fd, const char *id) ARROW_MUST_CHECK;

#endif
