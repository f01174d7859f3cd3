/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_START_START_H
#define ARROW_CORE_START_START_H

/* From a spec to an Arrow that runs. */

#include "core/client/client.h"
#include "core/spec/spec.h"

/*
 * Makes an Arrow and starts it.
 *   spec:    its paths are made absolute
 *   cidfile: a file that gets the id, and must not be there; or NULL
 *   id:      gets its id, or "" if it is gone again
 *   status:  gets the exit status of the program (128+n for signal n), or 0 for one that was left
 * Errors: with the status that Docker gives for it.
 */
int arrow_run(const struct arrow_paths *paths, struct arrow_spec *spec, const char *cidfile,
	const struct arrow_attach *how, char id[ARROW_ID_HEX], int *status,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Makes an Arrow that does not run yet; otherwise as arrow_run(). */
int arrow_create(const struct arrow_paths *paths, struct arrow_spec *spec, const char *cidfile,
	char id[ARROW_ID_HEX], struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Starts an Arrow that does not run, by its name or id. One that runs is left alone, and is an
 * error (-EBUSY) only if the command is to take part in it.
 */
int arrow_start(const struct arrow_paths *paths, const char *name, const struct arrow_attach *how,
	int *status, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
