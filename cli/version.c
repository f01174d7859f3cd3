// SPDX-License-Identifier: Apache-2.0
/* arrow version: which Arrow this is. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/output/print.h"

static error_t version_parse(int key, char *value, struct argp_state *state)
{
	bool *json = state->input;

	if (key != CLI_FORMAT_KEY)
		return ARGP_ERR_UNKNOWN;
	*json = cli_format_is_json(value, state);
	return 0;
}

static const struct argp_option options[] = {CLI_FORMAT_OPTION, {0}};

static const struct argp version_argp = {
	options, version_parse, NULL, "Print the version of Arrow.", NULL, NULL, NULL};

int cmd_version(int argc, char **argv)
{
	bool as_json = false;
	json_t *json;
	int status;

	cli_parse(&version_argp, argc, argv, 0, &as_json);
	if (!as_json) {
		puts("arrow " ARROW_VERSION);
		return cli_flush();
	}
	json = json_pack("{s:s}", "version", ARROW_VERSION);
	status = cli_print_json(json);
	json_decref(json);
	return status;
}
