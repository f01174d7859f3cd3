// SPDX-License-Identifier: Apache-2.0
#include "cli/each.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/table.h"

void cli_take_names(struct cli_names *names, char *first, struct argp_state *state)
{
	names->v = state->argv + state->next - 1;
	names->n = state->argc - state->next + 1;
	state->next = state->argc;
}

int cli_each(const struct cli_names *names,
	int (*work)(const struct arrow_paths *paths, const char *name, void *arg,
		struct arrow_error *error),
	void *arg)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	int status = 0, flushed;

	if (arrow_paths_init(&paths, &error) < 0)
		return cli_error(&error);
	for (int i = 0; i < names->n; i++) {
		if (work(&paths, names->v[i], arg, &error) == 0) {
			puts(names->v[i]);
		} else {
			cli_error(&error);
			status = 1;
		}
		fflush(stdout); /* each as soon as it is done */
	}
	arrow_paths_release(&paths);
	flushed = cli_flush();
	return status ? status : flushed;
}
