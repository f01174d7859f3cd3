/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_INSPECT_H
#define ARROW_CORE_INSTANCE_INSPECT_H

#include <jansson.h>

#include "core/spec/spec.h"

/*
 * An Arrow as `docker inspect` shows a container: Docker's names for what both have, so that
 * scripts find it (the ContainerInspect schema of the Docker Engine API), and what only an Arrow
 * has under "Arrow". id:     whole object: owned by the caller Errors: -ENOENT (there is none by
 * this id), -EINVAL (damaged).
 */
int arrow_inspect(const struct arrow_paths *paths, const char *id, json_t **object,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* What a list shows of all Arrows, by the same names, the newest first; else as arrow_list(). */
int arrow_inspect_all(const struct arrow_paths *paths, bool all, json_t **list,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* "name" of a restart policy, as --restart takes it, without its count. */
const char *arrow_restart_text(uint32_t restart);

#endif
