/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_MANAGE_H
#define ARROW_CORE_CLIENT_MANAGE_H

/* What is done to Arrows that exist, by name or id, or a prefix of the id. */

#include "core/client/client.h"

#define ARROW_OWN_TIMEOUT (UINT32_MAX - 1) /* that of the Arrow's spec */

/*
 * Stops an Arrow: its stop signal, then SIGKILL. Returns once it has ended; one that does not run
 * is left alone.
 *   signal:  0 for the Arrow's own
 *   seconds: until SIGKILL; ARROW_FOREVER, or ARROW_OWN_TIMEOUT
 */
int arrow_stop(const struct arrow_paths *paths, const char *name, uint32_t signal, uint32_t seconds,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Has the keeper of one that runs stop it and start it again.
 * Returns 0, or 1 if it does not run: arrow_start() starts it then. Errors: as arrow_stop().
 */
int arrow_restart_kept(const struct arrow_paths *paths, const char *name, uint32_t signal,
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
 * Removes it. Errors: -EBUSY (it runs, and force is not set).
 *   volumes: with its volumes without a name
 */
int arrow_remove(const struct arrow_paths *paths, const char *name, bool force, bool volumes,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Waits until it does not run. status gets its exit code. */
int arrow_wait(const struct arrow_paths *paths, const char *name, int *status,
	struct arrow_error *error) ARROW_MUST_CHECK;

int arrow_rename(const struct arrow_paths *paths, const char *name, const char *new_name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes part in one that runs, until it ends or the user leaves; otherwise as arrow_run().
 * Errors: -ESRCH (it does not run).
 */
int arrow_attach(const struct arrow_paths *paths, const char *name, const struct arrow_attach *how,
	int *status, struct arrow_error *error) ARROW_MUST_CHECK;

/* Records an event of an Arrow, by name or id, for a command that is not its keeper. */
void arrow_event_named(const struct arrow_paths *paths, const char *name, const char *action);

#endif
