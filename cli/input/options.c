// SPDX-License-Identifier: Apache-2.0
#include "cli/input/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"

void cli_parse(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input)
{
	error_t r;

	argp_err_exit_status = ARROW_STATUS_ERROR;
	r = argp_parse(argp, argc, argv, flags, NULL, input);
	if (r) {
		fprintf(stderr, "arrow: %s\n", strerror(r));
		exit(ARROW_STATUS_ERROR);
	}
}

bool cli_format_is_json(const char *value, const struct argp_state *state)
{
	bool json = strcmp(value, "json") == 0;

	if (!json && strcmp(value, "table") != 0)
		argp_error(state, "--format takes table or json, not '%s'", value);
	return json;
}
