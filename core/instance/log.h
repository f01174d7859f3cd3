/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_LOG_H
#define ARROW_CORE_INSTANCE_LOG_H

/*
 * The log of an Arrow: what its program writes to stdout and stderr, line by line.
 *
 *   json-file  DATA/arrows/<id>/log.json, one JSON object a line as Docker has it; rotated to
 *              log.json.1, log.json.2... by max-size (default: 10 MiB; -1: never) and max-file
 *              (default: 3; 1 if max-size is given). labels and env name labels and variables of
 *              the Arrow, separated by commas, that are written with each line
 *   journald   the host's journal, with Docker's fields
 *   none
 *
 * A line is written whole or not at all. On a full disk lines are dropped, and once there is room
 * again a line says how many; the program is never held up by it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/spec/spec.h"

#define ARROW_LOG_FILE "log.json"
#define ARROW_LOG_MAX_SIZE "10m" /* of json-file, where it is not given */
#define ARROW_LOG_MAX_FILE 3u
#define ARROW_LOG_LINE 16384u /* bytes; a longer line is parted, as Docker does */

enum log_driver { LOG_NONE, LOG_JSON_FILE, LOG_JOURNALD };

struct log_line {
	char *data; /* ARROW_LOG_LINE bytes, once there was one */
	size_t used;
};

struct log {
	enum log_driver driver;
	int dir_fd;              /* borrowed */
	int fd;                  /* of the file, or the journal's socket; -1 if it is not open */
	uint64_t size, max_size; /* bytes; a max_size of 0 is none */
	uint32_t max_file;
	uint64_t lost;           /* lines that found no room */
	struct log_line line[2]; /* the unfinished line of stdout and of stderr */
	char *attrs;             /* of each entry, as a part of its JSON; or NULL */
	const char *id, *name;   /* borrowed */
};

/*
 * Checks --log-driver and --log-opt of a spec, and reads them into a log if one is given.
 * Errors: an unknown driver or option, a value that makes no sense.
 */
int log_options(
	struct log *log, const struct arrow_spec *spec, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Opens the log of an Arrow.
 *   dir_fd, id, name: of the Arrow, borrowed until log_close()
 */
int log_open(struct log *log, const struct arrow_spec *spec, int dir_fd, const char *id,
	const char *name, struct arrow_error *error) ARROW_MUST_CHECK;

/* Takes bytes of stdout (fd 1) or stderr (fd 2). Never fails. */
void log_write(struct log *log, unsigned int fd, const void *data, size_t size);

/* Writes the lines that have no end yet. */
void log_finish(struct log *log);

void log_close(struct log *log);

#endif
