/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_START_VOLUMES_H
#define ARROW_CORE_START_VOLUMES_H

/* From the volumes of a spec to directories of the host. */

#include "core/spec/spec.h"

/*
 * For a new Arrow: adds those of --volumes-from, makes the named ones that are missing and the
 * directories of the host, and writes into the spec where each is. Of one that fails, the volumes
 * that were made without a name are the caller's to drop (core/instance/volumes.h).
 *   lock: gets a descriptor that keeps the volumes from being removed, or -1 where there are none;
 *         held until the Arrow's config is written
 * Errors: two mounts at one place, an invalid name.
 */
int run_make_volumes(const struct arrow_paths *paths, struct arrow_spec *spec, int *lock,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Opens what is mounted of one, by O_PATH. Returns a descriptor or a negative errno. */
int run_open_volume(const struct arrow_volume *volume, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
