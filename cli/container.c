// SPDX-License-Identifier: Apache-2.0
/* arrow container prune. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/prune.h"
#include "core/upkeep/prune.h"
#include "util/cleanup.h"

enum { OPT_FILTER = 256 };

struct pruning {
	bool force, any;
	struct cli_prune_filter filter;
};

/* clang-format off */
static const struct argp_option options[] = {
	{"force", 'f', 0, 0, "Do not ask for confirmation", 0},
	{"filter", OPT_FILTER, "FILTER", 0, "Remove only what matches: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]", 0},
	{0},
};
/* clang-format on */

static error_t container_parse(int key, char *value, struct argp_state *state)
{
	struct pruning *in = state->input;

	switch (key) {
	case 'f':
		in->force = true;
		return 0;
	case OPT_FILTER:
		cli_prune_filter_parse(&in->filter, value, state);
		return 0;
	case ARGP_KEY_ARG:
		cli_argument_error(state, "too many arguments: '%s'", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, container_parse, NULL,
	"Remove all Arrows that are not running.", NULL, NULL, NULL};

static void show_removed(const char *id, void *arg)
{
	struct pruning *in = arg;

	if (!in->any)
		puts("Deleted Arrows:");
	in->any = true;
	puts(id);
}

int cmd_container_prune(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct pruning in = {0};
	unsigned long long bytes = 0;
	int status = 0, flushed;

	cli_parse(&argp, argc, argv, 0, &in);
	if (!in.force) {
		puts("WARNING! This will remove all Arrows that are not running.");
		if (!cli_confirm())
			return 0;
	}
	if (cli_paths_init(&paths, &error) < 0 ||
		arrow_prune(&paths, cli_prune_filter_passes, &in.filter, show_removed, &in, &bytes,
			&error) < 0) {
		status = cli_error(&error);
	} else {
		_cleanup_free_ char *size = human_size(bytes);

		printf("%sTotal reclaimed space: %s\n", in.any ? "\n" : "", size ? size : "?");
	}
	arrow_paths_release(&paths);
	cli_prune_filter_release(&in.filter);
	flushed = cli_flush();
	return status ? status : flushed;
}
