/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_MANAGE_H
#define ARROW_CORE_CLIENT_MANAGE_H

/* What is done to Arrows that exist, by name or id, or a prefix of the id. */

#include <jansson.h>

#include "core/spec/spec.h"

#define ARROW_OWN_TIMEOUT (UINT32_MAX - 1) /* that of the Arrow's spec */

/*
 * Stops an Arrow: its stop signal, then SIGKILL. Returns once it has ended; one that does not run
 * is left alone.
 *   signal:  0 for the Arrow's own
 *   seconds: until SIGKILL; ARROW_FOREVER, or ARROW_OWN_TIMEOUT
 */
int arrow_stop(const struct arrow_paths *paths, const char *name, uint32_t signal, uint32_t seconds,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Stops it and starts it again; starts one that does not run. */
int arrow_restart(const struct arrow_paths *paths, const char *name, uint32_t signal,
	uint32_t seconds, struct arrow_error *error) ARROW_MUST_CHECK;

/* Sends a signal to its program. Errors: -ESRCH (it does not run). */
int arrow_kill(const struct arrow_paths *paths, const char *name, uint32_t signal,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Stops its processors, or lets them go on; its clock is right afterwards.
 * Errors: -ESRCH (it does not run), -EBUSY (it is so already, or is being saved).
 */
int arrow_pause(const struct arrow_paths *paths, const char *name, bool pause,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Saves one that runs to a directory, from which arrow_run() starts others (core/snapshot/saved.h).
 * It goes on, or is killed once all is on the disk. Errors: -ESRCH (it does not run), -EBUSY (it is
 * paused, or has volumes), -EEXIST (there is something in dir), a full disk.
 */
int arrow_save(const struct arrow_paths *paths, const char *name, const char *dir, bool stop,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes it. Errors: -EBUSY (it runs, and force is not set). */
int arrow_remove(const struct arrow_paths *paths, const char *name, bool force,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Waits until it does not run. status gets its exit code. */
int arrow_wait(const struct arrow_paths *paths, const char *name, int *status,
	struct arrow_error *error) ARROW_MUST_CHECK;

int arrow_rename(const struct arrow_paths *paths, const char *name, const char *new_name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes all that do not run, and tells each() their ids. bytes gets what they took on disk.
 *   wanted: whether one may go, by what arrow_list() says of it
 */
int arrow_prune(const struct arrow_paths *paths, bool (*wanted)(const json_t *row, void *arg),
	void *wanted_arg, void (*each)(const char *id, void *arg), void *arg,
	unsigned long long *bytes, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes part in one that runs, until it ends or the user leaves; otherwise as arrow_run().
 * Errors: -ESRCH (it does not run).
 */
int arrow_attach(const struct arrow_paths *paths, const char *name, const struct arrow_attach *how,
	int *status, struct arrow_error *error) ARROW_MUST_CHECK;

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
