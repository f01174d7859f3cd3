/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_LOG_READER_H
#define ARROW_CORE_INSTANCE_LOG_READER_H

/* Reads the logs that core/instance/log.c writes, also while they grow and are rotated. */

#include <stdbool.h>
#include <time.h>

#include "util/error.h"
#include "util/paths.h"

struct log_query {
	bool follow;                  /* go on as long as the Arrow runs */
	struct timespec since, until; /* 0: not limited */
	long tail;                    /* so many lines from the end of what there is; -1 for all */
};

struct log_entry {
	int fd;            /* 1 or 2 */
	const char *time;  /* RFC 3339, UTC, with nanoseconds */
	const char *attrs; /* labels and variables of --log-opt, as Docker shows them:
			      "KEY=VALUE,..." */
	const char *text;  /* with its newline, if it is the end of a line */
	size_t size;
};

/*
 * Reads the log of an Arrow, by name or id.
 *   each: takes an entry, or NULL before it is waited for more; a negative errno ends the reading,
 *         and is returned
 * Errors: -ENOENT (no such Arrow), -ENOTSUP (it has no log that can be read).
 */
int arrow_logs(const struct arrow_paths *paths, const char *name, const struct log_query *query,
	int (*each)(const struct log_entry *entry, void *arg), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * A point in time as Docker has it: seconds since 1970, a time back from now such as 1h30m, or a
 * date such as 2026-11-24T15:00:00Z, of the host's zone where it names none.
 */
int log_parse_time(
	const char *text, struct timespec *when, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
