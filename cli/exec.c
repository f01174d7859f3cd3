// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "cli/signals.h"
#include "core/client/client.h"
#include "core/client/exec.h"
#include "core/spec/parse.h"
#include "util/cleanup.h"

enum { OPT_ENV_FILE = 256, OPT_PRIVILEGED, OPT_DETACH_KEYS };

/* clang-format off */
static const struct argp_option options[] = {
	{"detach", 'd', 0, 0, "Run the command in the background; its output is discarded", 0},
	{"interactive", 'i', 0, 0, "Attach stdin", 0},
	{"tty", 't', 0, 0, "Allocate a terminal", 0},
	{"detach-keys", OPT_DETACH_KEYS, "KEYS", 0, "Key sequence that detaches (ctrl-p,ctrl-q)", 0},
	{"env", 'e', "NAME[=VALUE]", 0, "Set an environment variable; NAME alone passes on yours", 0},
	{"env-file", OPT_ENV_FILE, "FILE", 0, "Read environment variables from a file, one per line", 0},
	{"workdir", 'w', "DIR", 0, "Working directory of the command", 0},
	{"user", 'u', "USER[:GROUP]", 0, "User name or id", 0},
	{"privileged", OPT_PRIVILEGED, 0, 0, "Give all capabilities", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

struct input {
	const char *name;
	struct arrow_exec exec;
	struct arrow_spec spec; /* takes the environment */
	struct arrow_error error;
};

static int exec_parse_value(struct input *in, int key, char *arg)
{
	uint8_t keys[CLIENT_KEYS_MAX];

	switch (key) {
	case 'e':
		return arrow_parse_env(&in->spec, arg, cli_settings_variable, &in->error);
	case OPT_ENV_FILE:
		return arrow_parse_env_file(&in->spec, arg, cli_settings_variable, &in->error);
	case 'w':
		/* As Docker: "" is as if the option were not given. */
		if (*arg && arg[0] != '/')
			return arrow_fail(&in->error, EINVAL,
				"the working directory '%s' is not an absolute path", arg);
		in->exec.workdir = *arg ? arg : NULL;
		return 0;
	case 'u':
		in->exec.user = *arg ? arg : NULL;
		return 0;
	case OPT_DETACH_KEYS:
		if (*arg && client_parse_keys(arg, keys, &in->error) < 0)
			return -EINVAL;
		in->exec.detach_keys = *arg ? arg : NULL;
		return 0;
	default:
		return 1;
	}
}

static int exec_take_command(struct input *in, char *arg, struct argp_state *state)
{
	int r = 0;

	if (!in->name) {
		in->name = arg;
		/* All that follows is the command's, with or without a dash. */
		while (r == 0 && state->next < state->argc)
			r = arrow_strings_add(&in->exec.args, state->argv[state->next++]);
	}
	return r < 0 ? arrow_fail(&in->error, ENOMEM, "out of memory") : 0;
}

static error_t exec_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	/* One line, from the first thing that is wrong. */
	if (in->error.text)
		return 0;
	switch (key) {
	case 'd':
		in->exec.detach = true;
		return 0;
	case 'i':
		in->exec.interactive = true;
		return 0;
	case 't':
		in->exec.tty = true;
		return 0;
	case OPT_PRIVILEGED:
		in->exec.privileged = true;
		return 0;
	case ARGP_KEY_ARG:
		(void)exec_take_command(in, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (in->exec.args.n == 0)
			(void)arrow_fail_status(&in->error, CLI_FAILED, EINVAL,
				"requires an Arrow and a command, as in 'arrow exec web ls /'");
		return 0;
	default:
		if (exec_parse_value(in, key, arg) == 1)
			return ARGP_ERR_UNKNOWN;
		cli_name_option(state, key, &in->error);
		return 0;
	}
}

static const struct argp exec_argp = {
	options,
	exec_parse,
	"ARROW COMMAND [ARG...]",
	"Execute a command in a running Arrow.\v"
	"ARROW is a name, an id or a unique prefix of an id. "
	"Environment, working directory, user and limits are those of the program, unless options say otherwise. "
	"Exit status: that of the command, 128+N if signal N ended it, 1 if there is no such Arrow or it is not running, 126 if the command cannot be executed, 127 if there is no such command. "
	"The command is killed when 'arrow exec' is killed and when the Arrow ends.",
	NULL,
	NULL,
	NULL,
};

int cmd_exec(int argc, char **argv)
{
	struct input in = {.exec.take_signals = cli_take_signals, .error = ARROW_ERROR_INIT};
	struct arrow_paths paths = {0};
	int status = 0, r;

	arrow_spec_init(&in.spec);
	cli_parse(&exec_argp, argc, argv, ARGP_IN_ORDER, &in);
	in.exec.env = in.spec.process.env;
	r = in.error.text ? -EINVAL : cli_paths_init(&paths, &in.error);
	if (r == 0)
		r = arrow_exec(&paths, in.name, &in.exec, &status, &in.error);
	if (r < 0)
		status = cli_error_of_program(&in.error);
	arrow_paths_release(&paths);
	arrow_strings_release(&in.exec.args);
	arrow_spec_release(&in.spec);
	return status;
}
