// SPDX-License-Identifier: Apache-2.0
/* arrow container: what is done to many Arrows at once; and Docker's longer names of commands. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output/human.h"
#include "cli/prune.h"
#include "cli/output/table.h"
#include "core/client/manage.h"
#include "util/cleanup.h"

enum { OPT_FILTER = 256 };

struct pruning {
	bool force, any;
	struct cli_prune_filter filter;
};

/* clang-format off */
static const struct argp_option prune_options[] = {
	{"force", 'f', 0, 0, "Do not ask", 0},
	{"filter", OPT_FILTER, "FILTER", 0, "Only what passes: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]", 0},
	{0},
};
/* clang-format on */

static error_t parse_prune(int key, char *value, struct argp_state *state)
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
		argp_error(state, "too many arguments: '%s'", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp prune_argp = {
	prune_options, parse_prune, NULL, "Remove all Arrows that do not run.", NULL, NULL, NULL};

const struct argp container_argp = {NULL, NULL, "COMMAND [ARG...]",
	"Commands for Arrows, by Docker's longer names.\v"
	"prune removes all Arrows that do not run; -f does not ask. ls is 'arrow ps'. "
	"Any other command, such as run, stop or logs, is the one of that name.",
	NULL, NULL, NULL};

static void show_removed(const char *id, void *arg)
{
	struct pruning *in = arg;

	if (!in->any)
		puts("Deleted Arrows:");
	in->any = true;
	puts(id);
}

static int prune(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct pruning in = {0};
	unsigned long long bytes = 0;
	int status = 0, flushed;

	cli_parse(&prune_argp, argc, argv, 0, &in);
	if (!in.force) {
		puts("WARNING! This will remove all Arrows that do not run.");
		if (!cli_confirm())
			return 0;
	}
	if (arrow_paths_init(&paths, &error) < 0 ||
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

int cmd_container(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";
	const struct command *c = commands;
	char title[64];

	if (strcmp(name, "ls") == 0 || strcmp(name, "list") == 0)
		name = "ps";
	if (strcmp(name, "prune") != 0 && name[0] != '-')
		while (c->name && (strcmp(c->name, name) != 0 || c->main == cmd_container))
			c++;
	if (name[0] == '-') {
		cli_parse(&container_argp, argc, argv, 0, NULL);
		return ARROW_STATUS_ERROR;
	}
	if (!c->name) {
		fprintf(stderr, "arrow: no such command: container %s; 'arrow help' lists them\n",
			name);
		return ARROW_STATUS_ERROR;
	}
	snprintf(title, sizeof(title), "arrow container %s", name);
	argv[1] = title;
	return strcmp(name, "prune") == 0 ? prune(argc - 1, argv + 1) : c->main(argc - 1, argv + 1);
}
