// SPDX-License-Identifier: Apache-2.0
#include "cli/input/each.h"

#include <stdio.h>

#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"

void cli_take_names(struct cli_names *names, char *first, struct argp_state *state)
{
	names->v = state->argv + state->next - 1;
	names->n = state->argc - state->next + 1;
	state->next = state->argc;
}

error_t cli_parse_names(int key, char *value, struct argp_state *state, struct cli_names *names)
{
	if (key == ARGP_KEY_ARG)
		cli_take_names(names, value, state);
	else if (key != ARGP_KEY_END)
		return ARGP_ERR_UNKNOWN;
	else if (names->n == 0)
		cli_argument_error(state, "requires an Arrow, by name or id");
	return 0;
}

error_t cli_parse_name(int key, char *value, struct argp_state *state, const char **name)
{
	if (key == ARGP_KEY_ARG) {
		if (*name)
			cli_argument_error(state, "too many arguments: '%s'", value);
		*name = value;
	} else if (key != ARGP_KEY_END) {
		return ARGP_ERR_UNKNOWN;
	} else if (!*name) {
		cli_argument_error(state, "requires an Arrow, by name or id");
	}
	return 0;
}

int cli_with_paths(cli_work work, void *arg)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	int r = cli_paths_init(&paths, &error);

	if (r == 0)
		r = work(&paths, arg, &error);
	if (r < 0)
		r = cli_error(&error);
	arrow_paths_release(&paths);
	return r;
}

int cli_each(const struct cli_names *names,
	int (*work)(const struct arrow_paths *paths, const char *name, void *arg,
		struct arrow_error *error),
	void *arg)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	int status = 0, flushed;

	if (cli_paths_init(&paths, &error) < 0)
		return cli_error(&error);
	for (int i = 0; i < names->n; i++) {
		int r = work(&paths, names->v[i], arg, &error);

		if (r == 0) {
			puts(names->v[i]);
		} else if (r < 0) {
			cli_error(&error);
			status = 1;
		}
		fflush(stdout); /* each as soon as it is done */
	}
	arrow_paths_release(&paths);
	flushed = cli_flush();
	return status ? status : flushed;
}
