// SPDX-License-Identifier: Apache-2.0
/* arrow boot: what the systemd unit does as the host comes up and goes down. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "core/start/boot.h"

enum work { NONE, START, STOP };

static error_t boot_parse(int key, char *value, struct argp_state *state)
{
	enum work *work = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*work == NONE && strcmp(value, "start") == 0)
			*work = START;
		else if (*work == NONE && strcmp(value, "stop") == 0)
			*work = STOP;
		else
			argp_error(state, "takes start or stop, not '%s'", value);
		return 0;
	case ARGP_KEY_END:
		if (*work == NONE)
			argp_error(state, "requires start or stop");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp boot_argp = {NULL, boot_parse, "start|stop",
	"Start Arrows when the host boots, and stop them when it shuts down.\v"
	"'start' starts the Arrows with the restart policy always, those with unless-stopped that were not stopped by a user, and those with on-failure that were running when the host went down. "
	"'stop' stops all running Arrows, each with its own stop signal and timeout; to the restart policies that is no stop by a user. arrow.service does both: "
	"'systemctl enable --now arrow'.",
	NULL, NULL, NULL};

static void boot_show(const char *name, const struct arrow_error *failure, void *arg)
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
	r = cli_paths_init(&paths, &error);
	if (r == 0)
		r = work == START ? arrow_boot_start(&paths, boot_show, &status, &error)
				  : arrow_boot_stop(&paths, &error);
	if (r < 0)
		status = cli_error(&error);
	arrow_paths_release(&paths);
	return status;
}
