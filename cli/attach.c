// SPDX-License-Identifier: Apache-2.0
/* arrow attach. */
#include <stdbool.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "cli/signals.h"
#include "core/client/client.h"
#include "core/client/manage.h"
#include "util/text.h"

enum { OPT_DETACH_KEYS = 256, OPT_NO_STDIN, OPT_SIG_PROXY };

/* clang-format off */
static const struct argp_option options[] = {
	{"detach-keys", OPT_DETACH_KEYS, "KEYS", 0, "Key sequence that detaches (ctrl-p,ctrl-q)", 0},
	{"no-stdin", OPT_NO_STDIN, 0, 0, "Do not attach stdin", 0},
	{"sig-proxy", OPT_SIG_PROXY, "true|false", OPTION_ARG_OPTIONAL, "Forward signals to the program (true)", 0},
	{0},
};
/* clang-format on */

struct input {
	const char *name;
	struct arrow_attach how;
};

static error_t attach_parse(int key, char *value, struct argp_state *state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	uint8_t keys[CLIENT_KEYS_MAX];
	struct input *in = state->input;
	int truth;

	switch (key) {
	case OPT_DETACH_KEYS:
		if (*value && client_parse_keys(value, keys, &error) < 0) {
			cli_name_option(state, key, &error);
			argp_error(state, "%s", error.text);
		}
		in->how.detach_keys = *value ? value : NULL;
		return 0;
	case OPT_NO_STDIN:
		in->how.input = false;
		return 0;
	case OPT_SIG_PROXY:
		truth = text_parse_bool(value);
		if (truth < 0)
			argp_error(state, "--sig-proxy takes true or false, not '%s'", value);
		in->how.proxy = truth == 1;
		return 0;
	default:
		return cli_parse_name(key, value, state, &in->name);
	}
}

static const struct argp attach_argp = {options, attach_parse, "ARROW",
	"Attach to a running Arrow: show its output from now on, and pass input to it.", NULL, NULL,
	NULL};

int cmd_attach(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {.how = {.input = true,
				   .output = true,
				   .proxy = true,
				   .take_signals = cli_take_signals}};
	struct arrow_paths paths = {0};
	int status = 0;

	cli_parse(&attach_argp, argc, argv, 0, &in);
	if (cli_paths_init(&paths, &error) < 0 ||
		arrow_attach(&paths, in.name, &in.how, &status, &error) < 0)
		status = cli_error(&error);
	arrow_paths_release(&paths);
	return status;
}
