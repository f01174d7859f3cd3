/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_LIST_H
#define ARROW_CORE_INSTANCE_LIST_H

#include <jansson.h>
#include <stdbool.h>

#include "core/instance/instance.h"
#include "util/error.h"
#include "util/paths.h"

/*
 * What is known of an Arrow, as one object: all of state.json ("status", "exit_code", "started",
 * "finished", "error", "engine"...), and "id", "name", "created", "program", "rootfs", "args",
 * "labels" (an object), "memory", "millicpus"; "spec" is the spec as stored. Text that is not UTF-8
 * has '?' in it, but in "spec". Owned by the caller.
 * Errors: -ENOENT (there is none by this id), -EINVAL (damaged).
 */
int arrow_describe(const struct arrow_paths *paths, const char *id, json_t **description,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * All Arrows that there are: an array of such objects, the newest first, owned by the caller.
 *   all: also those that do not run
 * Errors: a data directory that cannot be read.
 */
int arrow_list(const struct arrow_paths *paths, bool all, json_t **list,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The same with other objects.
 *   describe: makes one, NULL when out of memory; such an Arrow is left out
 *   created:  the key of its time, by which they are put in order
 */
int arrow_list_as(const struct arrow_paths *paths, bool all,
	json_t *(*describe)(const struct arrow_instance *, const struct arrow_spec *),
	const char *created, json_t **list, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
