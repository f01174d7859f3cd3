/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_UPKEEP_PRUNE_H
#define ARROW_CORE_UPKEEP_PRUNE_H

#include <jansson.h>
#include <stdbool.h>

#include "util/error.h"
#include "util/paths.h"

/*
 * Removes all that do not run, and tells each() their ids. bytes gets what they took on disk.
 *   wanted: whether one may go, by what arrow_list() says of it
 */
int arrow_prune(const struct arrow_paths *paths, bool (*wanted)(const json_t *row, void *arg),
	void *wanted_arg, void (*each)(const char *id, void *arg), void *arg,
	unsigned long long *bytes, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes the volumes that no Arrow uses.
 *   all:    those with a name, too
 *   wanted: which of them, by "created" (RFC 3339) and "labels" (an object)
 *   each:   called with the name of each that is removed
 *   bytes:  gets what they took on disk
 */
int arrow_prune_volumes(const struct arrow_paths *paths, bool all,
	bool (*wanted)(const json_t *row, void *arg), void *wanted_arg,
	void (*each)(const char *name, void *arg), void *arg, unsigned long long *bytes,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
