// SPDX-License-Identifier: Apache-2.0
/* arrow version: which Arrow this is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/output/format.h"
#include "cli/output/print.h"

static error_t version_parse(int key, char *value, struct argp_state *state)
{
	const char **format = state->input;

	if (key == ARGP_KEY_ARG)
		cli_argument_error(state, "too many arguments: '%s'", value);
	if (key != CLI_FORMAT_KEY && key != 'f')
		return ARGP_ERR_UNKNOWN;
	*format = value;
	return 0;
}

static const struct argp_option options[] = {
	{"format", 'f', "FORMAT", 0, "table, json, or a Go template as in Docker", 0}, {0}};

static const struct argp version_argp = {
	options, version_parse, NULL, "Print the version of Arrow.", NULL, NULL, NULL};

/* There is no server: what a script asks of Docker's is the same program here. */
static json_t *version_make_json(void)
{
	struct utsname host;
	json_t *of, *all;

	if (uname(&host) < 0)
		return NULL;
	of = json_pack("{s:s, s:s, s:s, s:s}", "Version", ARROW_VERSION, "Os", "linux", "Arch",
		strcmp(host.machine, "x86_64") == 0 ? "amd64" : host.machine, "KernelVersion",
		host.release);
	all = json_pack("{s:s, s:O, s:O}", "version", ARROW_VERSION, "Client", of, "Server", of);
	json_decref(of);
	return all;
}

int cmd_version(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	const char *format = NULL;
	json_t *json;
	int r;

	cli_parse(&version_argp, argc, argv, 0, &format);
	if (!format || !*format || strcmp(format, "table") == 0) {
		puts("arrow " ARROW_VERSION);
		return cli_flush();
	}
	json = version_make_json();
	r = json ? cli_format_object(format, json, &error)
		 : arrow_fail(&error, ENOMEM, "out of memory");
	json_decref(json);
	return r < 0 ? cli_error(&error) : cli_flush();
}
