// SPDX-License-Identifier: Apache-2.0
/* arrow stop, restart, kill, pause and unpause. */
#include <signal.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "core/client/manage.h"
#include "core/spec/parse.h"
#include "core/start/boot.h"

struct input {
	struct cli_names names;
	uint32_t signal, seconds;
	uint32_t usual_signal; /* what an empty --signal stands for */
};

/* clang-format off */
static const struct argp_option stop_options[] = {
	{"signal", 's', "SIGNAL", 0, "Signal to send instead of the Arrow's stop signal", 0},
	{"time", 't', "SECONDS", 0, "Seconds to wait before killing it (10); -1 for ever", 0},
	{"timeout", 't', 0, OPTION_ALIAS, 0, 0},
	{0},
};

static const struct argp_option kill_options[] = {
	{"signal", 's', "SIGNAL", 0, "Signal to send (KILL)", 0},
	{0},
};
/* clang-format on */

static error_t stop_parse(int key, char *value, struct argp_state *state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input *in = state->input;

	switch (key) {
	case 's':
		if (*value == '\0') {
			in->signal = in->usual_signal;
		} else if (arrow_parse_signal(value, &in->signal, &error) < 0) {
			cli_name_option(state, key, &error);
			argp_failure(state, 1, 0, "%s", error.text);
		}
		return 0;
	case 't':
		if (arrow_parse_stop_timeout(value, &in->seconds, &error) < 0) {
			cli_name_option(state, key, &error);
			argp_error(state, "%s", error.text);
		}
		return 0;
	default:
		return cli_parse_names(key, value, state, &in->names);
	}
}

static const struct argp stop_argp = {stop_options, stop_parse, "ARROW...",
	"Stop Arrows by their stop signal, or by SIGKILL after a timeout.", NULL, NULL, NULL};

static const struct argp restart_argp = {stop_options, stop_parse, "ARROW...",
	"Stop Arrows and start them again.", NULL, NULL, NULL};

static const struct argp kill_argp = {kill_options, stop_parse, "ARROW...",
	"Send a signal to the programs of Arrows.", NULL, NULL, NULL};

static int stop_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;

	return arrow_stop(paths, name, in->signal, in->seconds, error);
}

static int restart_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;

	return arrow_restart(paths, name, in->signal, in->seconds, error);
}

static int kill_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;

	return arrow_kill(paths, name, in->signal, error);
}

static const struct argp pause_argp = {NULL, stop_parse, "ARROW...",
	"Pause Arrows.\vTheir CPUs stop until 'arrow unpause'; the clock is right again then.",
	NULL, NULL, NULL};

static const struct argp unpause_argp = {
	NULL, stop_parse, "ARROW...", "Resume paused Arrows.", NULL, NULL, NULL};

static int pause_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	return arrow_pause(paths, name, true, error);
}

static int unpause_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	return arrow_pause(paths, name, false, error);
}

int cmd_stop(int argc, char **argv)
{
	struct input in = {.seconds = ARROW_OWN_TIMEOUT};

	cli_parse(&stop_argp, argc, argv, 0, &in);
	return cli_each(&in.names, stop_one, &in);
}

int cmd_restart(int argc, char **argv)
{
	struct input in = {.seconds = ARROW_OWN_TIMEOUT};

	cli_parse(&restart_argp, argc, argv, 0, &in);
	return cli_each(&in.names, restart_one, &in);
}

int cmd_kill(int argc, char **argv)
{
	struct input in = {.signal = SIGKILL, .usual_signal = SIGKILL};

	cli_parse(&kill_argp, argc, argv, 0, &in);
	return cli_each(&in.names, kill_one, &in);
}

int cmd_pause(int argc, char **argv)
{
	struct input in = {0};

	cli_parse(&pause_argp, argc, argv, 0, &in);
	return cli_each(&in.names, pause_one, &in);
}

int cmd_unpause(int argc, char **argv)
{
	struct input in = {0};

	cli_parse(&unpause_argp, argc, argv, 0, &in);
	return cli_each(&in.names, unpause_one, &in);
}
