// SPDX-License-Identifier: Apache-2.0
/* arrow rm, wait and rename. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "core/client/manage.h"

struct input {
	struct cli_names names;
	bool force, volumes;
};

static const struct argp_option rm_options[] = {
	{"force", 'f', 0, 0, "Kill running Arrows first, and ignore Arrows that do not exist", 0},
	{"volumes", 'v', 0, 0, "Also remove their volumes without a name", 0},
	{0},
};

static error_t rm_parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'f':
		in->force = true;
		return 0;
	case 'v':
		in->volumes = true;
		return 0;
	default:
		return cli_parse_names(key, value, state, &in->names);
	}
}

static error_t parse_rename(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;

	if (key == ARGP_KEY_END && in->names.n != 2)
		cli_argument_error(state, "requires an Arrow and its new name");
	return key == 'f' ? ARGP_ERR_UNKNOWN : rm_parse(key, value, state);
}

static const struct argp rm_argp = {
	rm_options, rm_parse, "ARROW...", "Remove Arrows that are not running.", NULL, NULL, NULL};

static const struct argp wait_argp = {NULL, rm_parse, "ARROW...",
	"Wait until Arrows end, and print their exit statuses.", NULL, NULL, NULL};

static const struct argp rename_argp = {
	NULL, parse_rename, "ARROW NAME", "Rename an Arrow.", NULL, NULL, NULL};

static int remove_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;

	int r = arrow_remove(paths, name, in->force, in->volumes, error);

	/* As Docker: told, and no failure. */
	if (r == -ENOENT && in->force) {
		cli_error(error);
		return 1;
	}
	return r;
}

int cmd_rm(int argc, char **argv)
{
	struct input in = {0};

	cli_parse(&rm_argp, argc, argv, 0, &in);
	return cli_each(&in.names, remove_one, &in);
}

int cmd_wait(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {0};
	int status = 0, code, flushed;

	cli_parse(&wait_argp, argc, argv, 0, &in);
	if (cli_paths_init(&paths, &error) < 0)
		return cli_error(&error);
	for (int i = 0; i < in.names.n; i++) {
		if (arrow_wait(&paths, in.names.v[i], &code, &error) == 0) {
			printf("%d\n", code);
			fflush(stdout);
		} else {
			cli_error(&error);
			status = 1;
		}
	}
	arrow_paths_release(&paths);
	flushed = cli_flush();
	return status ? status : flushed;
}

int cmd_rename(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {0};
	int status = 0;

	cli_parse(&rename_argp, argc, argv, 0, &in);
	if (cli_paths_init(&paths, &error) < 0 ||
		arrow_rename(&paths, in.names.v[0], in.names.v[1], &error) < 0) {
		cli_error(&error);
		status = 1;
	}
	arrow_paths_release(&paths);
	return status;
}
