/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_NAME_SET_H
#define ARROW_CORE_CLIENT_NAME_SET_H

/*
 * Names of which only a keyed hash is kept: 64 bits each. Whoever chooses the names does not know
 * the key, so no two of them can be made to meet.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* All zero is an empty set. */
struct name_set {
	uint64_t key[2];
	uint64_t *slots; /* 0: free */
	size_t room, used;
};

/* Adds a name. Returns 0 or a negative errno. */
int name_set_add(struct name_set *set, const char *name) ARROW_MUST_CHECK;

bool name_set_has(const struct name_set *set, const char *name);

void name_set_release(struct name_set *set);

#define _cleanup_name_set_ __attribute__((cleanup(name_set_release)))

#endif
