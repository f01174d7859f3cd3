/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_HEALTH_H
#define ARROW_CORE_KEEPER_HEALTH_H

/*
 * The health check of a keeper's Arrow. At every interval a child of the keeper executes a command
 * in the Arrow, connected as any `arrow exec` is. As with Docker, failures count once the start
 * period is over or a check has succeeded, and a number of failures in a row makes the Arrow
 * unhealthy. The results are in the instance's state.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/instance/instance.h"
#include "core/spec/spec.h"
#include "util/paths.h"

#define HEALTH_OUTPUT_MAX 4096u /* bytes of a check's output that are kept, as Docker does */

struct health {
	const struct arrow_health *config;
	const struct arrow_paths *paths;
	struct arrow_instance *instance;
	pid_t pid; /* of the child that checks just now, or 0 */
	int pid_fd, out_fd;
	uint64_t begin, next, deadline; /* ms: of the run, of the next check, of this one */
	bool succeeded;                 /* one did, in this run */
	struct timespec started;        /* of this check */
	char output[HEALTH_OUTPUT_MAX + 1];
	size_t used;
};

/* The program has started. */
void health_begin(struct health *health);

/*
 * Takes the result of a check that ended, and starts one that is due.
 *   runs: the program runs and is not paused
 * Returns whether there was a result: then the state has changed.
 */
bool health_turn(struct health *health, bool runs);

/* When health_turn() has something to do, in ms; 0 for never. */
uint64_t health_time(const struct health *health, bool runs);

/* The run is over. */
void health_end(struct health *health);

#endif
