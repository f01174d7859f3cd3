/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_START_BOOT_H
#define ARROW_CORE_START_BOOT_H

/* Arrows that are started again: by a command, and with the host. */

#include <stdint.h>

#include "util/error.h"
#include "util/paths.h"

/*
 * Stops an Arrow, by name or id, and starts it again; starts one that does not run.
 *   signal, seconds: as of arrow_stop()
 */
int arrow_restart(const struct arrow_paths *paths, const char *name, uint32_t signal,
	uint32_t seconds, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Starts those that are to run again after the host went down: with a restart policy always, or
 * unless-stopped and not stopped by hand, or on-failure and killed as the host went down.
 *   each: is told of every start, with its error or NULL
 */
int arrow_boot_start(const struct arrow_paths *paths,
	void (*each)(const char *name, const struct arrow_error *failure, void *arg), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Stops all that run, at the same time, as the host goes down: not by hand. */
int arrow_boot_stop(const struct arrow_paths *paths, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
