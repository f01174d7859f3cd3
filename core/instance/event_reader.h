/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_EVENT_READER_H
#define ARROW_CORE_INSTANCE_EVENT_READER_H

/* Reads the events that core/instance/event.c writes, also while others are added. */

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

#include "util/error.h"
#include "util/paths.h"

struct events_query {
	bool past;             /* also those that there are, from `since` on */
	struct timespec since; /* 0: the oldest that are kept */
	struct timespec until; /* 0: goes on until each() ends it */
};

/*
 * Calls each() for every event.
 *   each: a negative errno ends the reading, and is returned
 * Errors: a data directory that cannot be read.
 */
int arrow_events(const struct arrow_paths *paths, const struct events_query *query,
	int (*each)(const json_t *event, void *arg), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
