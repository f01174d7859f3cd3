/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_LAUNCH_H
#define ARROW_REGISTRY_LAUNCH_H

/*
 * Starts arrow-registry, the program that speaks to registries. It is one of its own because
 * libcurl takes longer to load than an Arrow to start, and so that what a registry sends is parsed
 * where no Arrow is. Nothing here needs libcurl.
 */

#include <stdbool.h>

#include "util/error.h"

/*
 * Becomes arrow-registry with these arguments: argv[0] is the command, "pull". Returns only with
 * an error.
 */
int registry_exec(char **argv, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Runs `arrow-registry pull NAME` to its end; what it shows goes to stderr. quiet: only errors do.
 * Returns 0, or -EIO without an error text (it has printed why), or an error of starting it.
 */
int registry_run_pull(const char *name, bool quiet, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
