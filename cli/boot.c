// SPDX-License-Identifier: Apache-2.0
/* arrow boot: what the systemd unit does as the host comes up and goes down. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/output/print.h"
#include "core/start/boot.h"

static error_t boot_parse(int key, char *value, struct argp_state *state)
{
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	cli_argument_error(state, "too many arguments: '%s'", value);
	return 0;
}

static const struct argp start_argp = {NULL, boot_parse, NULL,
	"Start Arrows when the host boots.\v"
	"These are the Arrows with the restart policy always, those with unless-stopped that were not stopped by a user, and those with on-failure that were running when the host went down. "
	"arrow.service does it: 'systemctl enable --now arrow'.",
	NULL, NULL, NULL};

static const struct argp stop_argp = {NULL, boot_parse, NULL,
	"Stop all running Arrows when the host shuts down.\v"
	"Each is stopped with its own stop signal and timeout; to the restart policies that is no stop by a user. arrow.service does it.",
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

static int boot_start(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	int status = 0, r = arrow_boot_start(paths, boot_show, &status, error);

	return r < 0 ? r : status;
}

static int boot_stop(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	return arrow_boot_stop(paths, error);
}

int cmd_boot_start(int argc, char **argv)
{
	cli_parse(&start_argp, argc, argv, 0, NULL);
	return cli_with_paths(boot_start, NULL);
}

int cmd_boot_stop(int argc, char **argv)
{
	cli_parse(&stop_argp, argc, argv, 0, NULL);
	return cli_with_paths(boot_stop, NULL);
}
