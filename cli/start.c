// SPDX-License-Identifier: Apache-2.0
/* arrow start. */
#include <errno.h>
#include <stdbool.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "cli/signals.h"
#include "core/client/client.h"
#include "core/client/manage.h"
#include "core/start/start.h"

enum { OPT_DETACH_KEYS = 256 };

/* clang-format off */
static const struct argp_option options[] = {
	{"attach", 'a', 0, 0, "Show its output, forward signals, and exit with its status", 0},
	{"interactive", 'i', 0, 0, "Attach stdin", 0},
	{"detach-keys", OPT_DETACH_KEYS, "KEYS", 0, "Key sequence that detaches (ctrl-p,ctrl-q)", 0},
	{0},
};
/* clang-format on */

struct input {
	struct cli_names names;
	struct arrow_attach how;
};

static error_t start_parse(int key, char *value, struct argp_state *state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	uint8_t keys[CLIENT_KEYS_MAX];
	struct input *in = state->input;

	switch (key) {
	case 'a':
		in->how.output = in->how.proxy = true;
		return 0;
	case 'i':
		in->how.input = in->how.output = in->how.proxy = true;
		return 0;
	case OPT_DETACH_KEYS:
		if (*value && client_parse_keys(value, keys, &error) < 0) {
			cli_name_option(state, key, &error);
			argp_error(state, "%s", error.text);
		}
		in->how.detach_keys = *value ? value : NULL;
		return 0;
	case ARGP_KEY_END:
		if (in->names.n > 1 && in->how.output)
			cli_argument_error(state, "only one Arrow can be attached to at once");
		break;
	default:
		break;
	}
	return cli_parse_names(key, value, state, &in->names);
}

static const struct argp start_argp = {options, start_parse, "ARROW...",
	"Start Arrows that are not running. Their files are as at their first start.", NULL, NULL,
	NULL};

static int start_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	int status;

	return arrow_start(paths, name, &in->how, &status, error);
}

int cmd_start(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {.how.take_signals = cli_take_signals};
	int status = 0, r;

	cli_parse(&start_argp, argc, argv, 0, &in);
	if (!in.how.output)
		return cli_each(&in.names, start_one, &in);
	r = cli_paths_init(&paths, &error);
	if (r == 0)
		r = arrow_start(&paths, in.names.v[0], &in.how, &status, &error);
	/* As Docker: who comes to one that runs is attached to it. */
	if (r == -EBUSY) {
		arrow_error_clear(&error);
		r = arrow_attach(&paths, in.names.v[0], &in.how, &status, &error);
	}
	if (r < 0)
		status = cli_error(&error);
	arrow_paths_release(&paths);
	return status;
}
