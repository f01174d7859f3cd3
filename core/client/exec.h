/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_EXEC_H
#define ARROW_CORE_CLIENT_EXEC_H

/* Processes beside the program of an Arrow that runs: commands, and workers of its loader. */

#include <stdio.h>
#include <sys/types.h>

#include "core/job/exec.h"
#include "core/spec/spec.h"

/*
 * Executes something in an Arrow, by name or id, with the caller's stdin, stdout and stderr.
 *   status: gets its exit status (128+n for signal n), or 0 if it was left
 * Errors: with the status that Docker gives: 1 (no such Arrow, or it does not run), 126, 127;
 * -ETIMEDOUT if the guest does not start it within 60 s.
 */
int arrow_exec(const struct arrow_paths *paths, const char *name, const struct arrow_exec *exec,
	int *status, struct arrow_error *error) ARROW_MUST_CHECK;

/* A worker of an Arrow's loader that runs. */
struct arrow_worker {
	int in, out;   /* its stdin, or -1, and its stdout; blocking; owned */
	int words;     /* why it could not start, if so; owned */
	pid_t carrier; /* the process that carries its streams */
};

enum arrow_worker_flags {
	ARROW_WORKER_INPUT = 1u << 0, /* it gets a stdin */
	ARROW_WORKER_SHORT = 1u << 1, /* all that it says comes at once: 60 s for the whole of it */
};

/*
 * Starts a worker of an Arrow. Its carrier ends it, with an error, once the guest has said nothing
 * for 60 s while we waited for it; so what is read from it always ends. How much is read is up to
 * the caller.
 *   argv:  NULL-terminated
 *   flags: enum arrow_worker_flags
 * Errors: as of arrow_exec().
 */
int arrow_worker_start(const struct arrow_paths *paths, const char *name, const char *const *argv,
	unsigned int flags, struct arrow_worker *worker,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Ends a worker at once, whatever it does. Fine for one that has ended. */
void arrow_worker_stop(struct arrow_worker *worker);

/*
 * Closes its streams and waits for its end. What was wrong with the worker itself replaces an error
 * that is set already, which is then only a consequence. Returns r or the worker's error.
 */
int arrow_worker_end(
	struct arrow_worker *worker, int r, struct arrow_error *error) ARROW_MUST_CHECK;

/* What comes up to the end, `max` bytes at most, and a NUL; owned. Errors: -EFBIG. */
int arrow_worker_read(
	int fd, size_t max, char **text, size_t *size, struct arrow_error *error) ARROW_MUST_CHECK;

/* All that a worker without input writes within 60 s, `max` bytes at most, and a NUL; owned. */
int arrow_worker_output(const struct arrow_paths *paths, const char *name, const char *const *argv,
	size_t max, char **text, size_t *size, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
