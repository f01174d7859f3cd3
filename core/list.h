/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_LIST_H
#define ARROW_CORE_LIST_H

#include <jansson.h>

#include "util/error.h"
#include "util/paths.h"

/*
 * The Arrows that run: a JSON array of their state.json objects, the newest first. Those are whole:
 * each has the strings "id", "name", "created", "status", "engine" and "accel", the array "args" of
 * strings, and the object "labels". The array is owned by the caller.
 * Errors: a run directory that cannot be read.
 */
int arrow_list(
	const struct arrow_paths *paths, json_t **list, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
