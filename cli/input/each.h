/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_INPUT_EACH_H
#define ARROW_CLI_INPUT_EACH_H

/* Commands that do one thing to each Arrow that they name, as `docker stop A B`. */

#include <argp.h>

#include "core/spec/spec.h"

/* Names given on the command line; borrowed of argv. */
struct cli_names {
	char *const *v;
	int n;
};

/* For ARGP_KEY_ARG: takes this argument and all that follow it. */
void cli_take_names(struct cli_names *names, char *first, struct argp_state *state);

/*
 * For the keys that a command's own parser does not know: takes the names of Arrows, and wants one
 * at least; or the name of just one, borrowed of argv.
 */
error_t cli_parse_names(int key, char *value, struct argp_state *state, struct cli_names *names);
error_t cli_parse_name(int key, char *value, struct argp_state *state, const char **name);

/* What a command does. Returns 0 or a status to exit with, or a negative errno with an error. */
typedef int (*cli_work)(const struct arrow_paths *paths, void *arg, struct arrow_error *error);

/* Does it, and prints what went wrong. Returns the exit status of the command. */
int cli_with_paths(cli_work work, void *arg);

/*
 * Does something to each, and prints its name as it was given, or what went wrong; nothing where
 * work() returns 1. Returns the exit status of the command: 0, or 1 if something went wrong with
 * any.
 */
int cli_each(const struct cli_names *names,
	int (*work)(const struct arrow_paths *paths, const char *name, void *arg,
		struct arrow_error *error),
	void *arg);

#endif
