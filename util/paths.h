/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_PATHS_H
#define ARROW_UTIL_PATHS_H

/*
 * Where Arrow keeps things.
 *   data: kernels, images; survives a reboot
 *   run:  the state of running Arrows, verdicts of this boot
 * Which directories these are is up to the door (cli/input/settings.h).
 */

#include "util/error.h"

struct arrow_settings;

#define ARROW_SYSTEM_DATA "/var/lib/arrow"

struct arrow_paths {
	char *data;
	char *run;
	/* Where kernels are looked for: data, then the system's. NULL-terminated; not owned. */
	const char *stores[3];
	/* What else a door has set (core/spec/settings.h), one allocation; owned. NULL: defaults.
	 */
	struct arrow_settings *settings;
};

/*
 * Fills it in, without settings, and makes the directories, run with mode 0700.
 *   data, run: absolute paths, copied
 * Errors: a directory that cannot be made, a run directory of somebody else.
 */
int arrow_paths_init(struct arrow_paths *paths, const char *data, const char *run,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The first of a data directory, which may be NULL, and the system's that holds `name`, as a path
 * that is owned by the caller; NULL where none does.
 */
char *arrow_paths_find(const char *data, const char *name);

void arrow_paths_release(struct arrow_paths *paths);

#endif
