// SPDX-License-Identifier: Apache-2.0
/* arrow boot: what the systemd unit does as the host comes up and goes down. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/output/print.h"
#include "core/client/manage.h"

enum work { NONE, START, STOP };

static error_t parse(int key, char *value, struct argp_state *state)
{
	enum work *work = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*work == NONE && strcmp(value, "start") == 0)
			*work = START;
		else if (*work == NONE && strcmp(value, "stop") == 0)
			*work = STOP;
		else
			argp_error(state, "say start or stop, not '%s'", value);
		return 0;
	case ARGP_KEY_END:
		if (*work == NONE)
			argp_error(state, "say start or stop");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp boot_argp = {NULL, parse, "start|stop",
	"Start the Arrows that are to run again, as the host comes up; stop all, as it goes down.\v"
	"'start' starts those with the restart policy always, those with unless-stopped that were not stopped by hand, and those with on-failure that ran when the host went down. "
	"'stop' stops all that run, each with its own stop signal and time, and not as if by hand. arrow.service does both: "
	"'systemctl enable --now arrow'.",
	NULL, NULL, NULL};

static void show(const char *name, const struct arrow_error *failure, void *arg)
{
	int *status = arg;

	if (failure) {
		fprintf(stderr, "arrow: cannot start %s: %s\n", name, failure->text);
		*status = 1;
	} else {
		puts(name);
		fflush(stdout);
	}
}

int cmd_boot(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	enum work work = NONE;
	int r, status = 0;

	cli_parse(&boot_argp, argc, argv, 0, &work);
	r = arrow_paths_init(&paths, &error);
	if (r == 0)
		r = work == START ? arrow_boot_start(&paths, show, &status, &error)
				  : arrow_boot_stop(&paths, &error);
	if (r < 0)
		status = cli_error(&error);
	arrow_paths_release(&paths);
	return status;
}
