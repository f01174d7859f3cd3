/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_UPDATE_H
#define ARROW_CORE_CLIENT_UPDATE_H

#include "core/spec/spec.h"

/* What `arrow update` changes; the values are those of a spec. */
enum arrow_update_field {
	ARROW_UPDATE_MEMORY = 1u << 0,
	ARROW_UPDATE_MEMORY_SWAP = 1u << 1,
	ARROW_UPDATE_CPUS = 1u << 2, /* 0: all the time of its vCPUs */
	ARROW_UPDATE_CPU_SHARES = 1u << 3,
	ARROW_UPDATE_CPUSET = 1u << 4,
	ARROW_UPDATE_PIDS = 1u << 5,
	ARROW_UPDATE_BLKIO_WEIGHT = 1u << 6,
	ARROW_UPDATE_RESTART = 1u << 7,
};

/*
 * Changes an Arrow, by name or id: what is stored, and what runs. Where one of the two fails,
 * neither is changed.
 *   fields: of enum arrow_update_field, that are taken from values
 * Errors: -EBUSY (it runs, and its VM was started with less memory or fewer CPUs, or uses the
 * memory), -EINVAL (values that do not go together), -ENOSYS (its guest's kernel has no such
 * limit).
 */
int arrow_update(const struct arrow_paths *paths, const char *name, const struct arrow_spec *values,
	unsigned int fields, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
