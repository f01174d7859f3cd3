/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_PATHS_H
#define ARROW_UTIL_PATHS_H

/*
 * Where Arrow keeps things.
 *   data: kernels, images; survives a reboot. /var/lib/arrow, or without root
 *         $XDG_DATA_HOME/arrow (~/.local/share/arrow). ARROW_DATA_DIR overrides.
 *   run:  the state of running Arrows, verdicts of this boot. /run/arrow, or without root
 *         $XDG_RUNTIME_DIR/arrow (/tmp/arrow-UID). ARROW_RUN_DIR overrides.
 */

#include "util/error.h"

#define ARROW_SYSTEM_DATA "/var/lib/arrow"

struct arrow_paths {
	char *data;
	char *run;
	/* Where kernels are looked for: data, then the system's. NULL-terminated; not owned. */
	const char *stores[3];
};

/*
 * Fills it in and makes the directories, run with mode 0700.
 * Errors: no home, a directory that cannot be made, a run directory of somebody else.
 */
int arrow_paths_init(struct arrow_paths *paths, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The first of the data directory and the system's that holds `name`, as a path that is owned by
 * the caller; NULL where none does.
 */
char *arrow_paths_find(const char *name);

void arrow_paths_release(struct arrow_paths *paths);

#endif
