// SPDX-License-Identifier: Apache-2.0
/* arrow volume create, ls, inspect, rm and prune. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/filter.h"
#include "cli/input/options.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/prune.h"
#include "core/instance/volumes.h"
#include "core/upkeep/prune.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"
#include "volume/volume.h"

enum { OPT_LABEL = 256, OPT_FILTER };

struct input {
	struct arrow_strings names, labels, options, filters;
	size_t least, most; /* names */
	const char *format;
	bool quiet, force, all;
	struct cli_prune_filter prune;
	const json_t *users; /* of each volume, see arrow_volume_users() */
	json_t *found;
};

/* clang-format off */
static const struct argp_option create_options[] = {
	{"driver", 'd', "local", 0, "Accepted for compatibility with Docker", 0},
	{"label", OPT_LABEL, "KEY=VALUE", 0, "Attach a label", 0},
	{"opt", 'o', "KEY=VALUE", 0, "Show a directory of the host: type=none, o=bind and device=DIR", 0},
	{0},
};

static const struct argp_option list_options[] = {
	{"filter", 'f', "KEY=VALUE", 0, "Show only volumes that match: dangling=BOOL, driver=DRIVER, label=KEY[=VALUE], name=EXPRESSION", 0},
	{"format", CLI_FORMAT_KEY, "FORMAT", 0, "table, json, or a Go template as in Docker", 0},
	{"quiet", 'q', 0, 0, "Show only names", 0},
	{0},
};

static const struct argp_option inspect_options[] = {
	{"format", 'f', "FORMAT", 0, "json, or a Go template as in Docker", 0},
	{0},
};

static const struct argp_option rm_options[] = {
	{"force", 'f', 0, 0, "Ignore volumes that do not exist", 0},
	{0},
};

static const struct argp_option prune_options[] = {
	{"all", 'a', 0, 0, "Also volumes with a name, not only those without", 0},
	{"force", 'f', 0, 0, "Do not ask for confirmation", 0},
	{"filter", OPT_FILTER, "FILTER", 0, "Remove only what matches: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]", 0},
	{0},
};
/* clang-format on */

/* ---- filters ---- */

static bool volume_filter_dangling(const void *arg, const json_t *v, const char *value)
{
	const struct input *in = arg;
	bool dangling = !json_object_get(in->users, json_text(v, "Name"));

	return dangling == (text_parse_bool(value) == 1);
}

static bool volume_filter_driver(const void *arg, const json_t *v, const char *value)
{
	return strcmp(json_text(v, "Driver"), value) == 0;
}

static bool volume_filter_label(const void *arg, const json_t *v, const char *value)
{
	return cli_has_label(json_object_get(v, "Labels"), value);
}

static bool volume_filter_name(const void *arg, const json_t *v, const char *value)
{
	return cli_matches(json_text(v, "Name"), value);
}

static const struct cli_filter filters[] = {
	{"dangling", volume_filter_dangling, false},
	{"driver", volume_filter_driver, false},
	{"label", volume_filter_label, true},
	{"name", volume_filter_name, false, true},
	{0},
};

static void volume_take_filter(struct input *in, const char *text, const struct argp_state *state)
{
	const struct cli_filter *filter;

	if (*text == '\0')
		return;
	filter = cli_filter_find(filters, text);
	if (!filter || (filter->matches == volume_filter_dangling &&
			       text_parse_bool(strchr(text, '=') + 1) < 0))
		cli_filter_refuse(state, text);
	if (arrow_strings_add(&in->filters, text) < 0)
		argp_failure(state, ARROW_STATUS_ERROR, 0, "out of memory");
}

/* ---- the command line ---- */

static error_t volume_parse_argument(struct input *in, char *arg, const struct argp_state *state)
{
	if (in->names.n == in->most)
		cli_argument_error(state, "too many arguments: '%s'", arg);
	return arrow_strings_add(&in->names, arg) < 0 ? ENOMEM : 0;
}

static error_t volume_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'd':
		if (*arg && strcmp(arg, VOLUME_DRIVER) != 0)
			argp_error(state,
				"--driver: unknown volume driver '%s'; the only driver is " VOLUME_DRIVER,
				arg);
		return 0;
	case OPT_LABEL:
		return *arg && arrow_strings_add(&in->labels, arg) < 0 ? ENOMEM : 0;
	case 'o':
		return *arg && arrow_strings_add(&in->options, arg) < 0 ? ENOMEM : 0;
	case CLI_FORMAT_KEY:
		in->format = arg;
		return 0;
	case OPT_FILTER:
		cli_prune_filter_parse(&in->prune, arg, state);
		return 0;
	case 'q':
		in->quiet = true;
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case ARGP_KEY_ARG:
		return volume_parse_argument(in, arg, state);
	case ARGP_KEY_END:
		if (in->names.n < in->least)
			cli_argument_error(state, "requires a volume, by name");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* -f is short for three different things. */
static error_t volume_parse_list(int key, char *arg, struct argp_state *state)
{
	if (key != 'f')
		return volume_parse(key, arg, state);
	volume_take_filter(state->input, arg, state);
	return 0;
}

static error_t volume_parse_inspect(int key, char *arg, struct argp_state *state)
{
	return volume_parse(key == 'f' ? CLI_FORMAT_KEY : key, arg, state);
}

static error_t volume_parse_force(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	if (key != 'f')
		return volume_parse(key, arg, state);
	in->force = true;
	return 0;
}

static const struct argp create_argp = {create_options, volume_parse, "[NAME]",
	"Create a volume, and print its name.\v"
	"Without a name one is made up. A volume keeps its files until it is removed.",
	NULL, NULL, NULL};
static const struct argp list_argp = {
	list_options, volume_parse_list, NULL, "List volumes.", NULL, NULL, NULL};
static const struct argp inspect_argp = {inspect_options, volume_parse_inspect, "VOLUME...",
	"Show details of volumes as JSON, in Docker's format.", NULL, NULL, NULL};
static const struct argp rm_argp = {rm_options, volume_parse_force, "VOLUME...",
	"Remove volumes that no Arrow uses, with their files.", NULL, NULL, NULL};
static const struct argp prune_argp = {prune_options, volume_parse_force, NULL,
	"Remove volumes without a name that no Arrow uses, with their files.", NULL, NULL, NULL};

/* ---- create ---- */

static int volume_run_create(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	const struct volume_wish wish = {
		.name = in->names.n ? in->names.v[0] : NULL,
		.labels = (const char *const *)in->labels.v,
		.options = (const char *const *)in->options.v,
	};
	_cleanup_close_ int lock = volume_lock(paths->data, false, true, error);
	_cleanup_volume_ struct volume v = {0};
	int r = lock < 0 ? lock : volume_create(&v, paths->data, &wish, error);

	if (r < 0)
		return r;
	puts(v.name);
	return cli_flush();
}

/* ---- ls and inspect ---- */

static int volume_collect(const struct volume *v, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	json_t *o = volume_json(v);

	if (cli_filter_passes(filters, &in->filters, o, in))
		json_array_append_new(in->found, o);
	else
		json_decref(o);
	return 0;
}

static json_t *volume_make_row(const struct input *in, const json_t *v)
{
	json_t *labels = json_object_get(v, "Labels");
	_cleanup_free_ char *joined = text_clean(cli_join(labels, true));
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Name",
		json_text(v, "Name"), "Driver", json_text(v, "Driver"), "Scope", "local",
		"Mountpoint", json_text(v, "Mountpoint"), "Labels", joined ? joined : "",
		"Availability", "N/A", "Group", "N/A", "Links", "N/A", "Size", "N/A", "Status",
		"N/A");

	/* {{.Label "key"}}, which no JSON has. */
	if (row && in->format && strstr(in->format, ".Label "))
		json_object_set_new(row, "Label", cli_clean_json(labels, false));
	return row;
}

static int volume_run_list(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	static const struct cli_heading headings[] = {{"Name", "VOLUME NAME"}, {0}};
	struct input *in = arg;
	json_t *rows = json_array(), *users = NULL;
	const json_t *one;
	size_t i;
	int r = arrow_volume_users(paths->data, &users, error);

	in->users = users;
	if (r == 0)
		r = volume_list(paths->data, volume_collect, in, error);
	json_array_foreach (in->found, i, one)
		json_array_append_new(rows, volume_make_row(in, one));
	if (r == 0)
		r = cli_format_rows(in->quiet && !in->format ? "{{.Name}}" : in->format,
			"table {{.Driver}}\t{{.Name}}", headings, rows, error);
	json_decref(rows);
	json_decref(users);
	return r < 0 ? r : cli_flush();
}

/* What was found is shown, whatever was not. */
static int volume_run_inspect(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	int status = 0, r;

	for (size_t i = 0; i < in->names.n; i++) {
		_cleanup_error_ struct arrow_error one = ARROW_ERROR_INIT;
		_cleanup_volume_ struct volume v = {0};

		if (volume_open(&v, paths->data, in->names.v[i], &one) == 0) {
			json_array_append_new(in->found, volume_json(&v));
		} else {
			(void)cli_error(&one);
			status = 1;
		}
	}
	if (!in->format)
		r = cli_print_json(in->found);
	else if (cli_format_rows(in->format, in->format, NULL, in->found, error) < 0)
		r = cli_error(error);
	else
		r = cli_flush();
	return r ? r : status;
}

/* ---- rm and prune ---- */

/* Every volume is tried; the exit status tells of those that could not be removed. */
static int volume_run_remove(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	int status = 0;

	for (size_t i = 0; i < in->names.n; i++) {
		_cleanup_error_ struct arrow_error one = ARROW_ERROR_INIT;
		int r = arrow_volume_remove(paths->data, in->names.v[i], &one);

		if (r == 0 || (r == -ENOENT && in->force)) {
			puts(in->names.v[i]);
		} else {
			(void)cli_error(&one);
			status = 1;
		}
	}
	return cli_flush() ? CLI_FAILED : status;
}

static void volume_show_removed(const char *name, void *any)
{
	if (!*(bool *)any)
		puts("Deleted Volumes:");
	*(bool *)any = true;
	puts(name);
}

static int volume_run_prune(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	_cleanup_free_ char *size = NULL;
	unsigned long long bytes;
	bool any = false;
	int r;

	if (!in->force) {
		printf("WARNING! This will remove all volumes %sthat no Arrow uses.\n",
			in->all ? "" : "without a name ");
		if (!cli_confirm())
			return 0;
	}
	r = arrow_prune_volumes(paths, in->all, cli_prune_filter_passes, &in->prune,
		volume_show_removed, &any, &bytes, error);
	if (r < 0)
		return r;
	size = human_size(bytes);
	printf("%sTotal reclaimed space: %s\n", any ? "\n" : "", size ? size : "?");
	return cli_flush();
}

/* ---- */

static int volume_run(
	const struct argp *argp, cli_work work, size_t least, size_t most, int argc, char **argv)
{
	struct input in = {.least = least, .most = most, .found = json_array()};
	int status;

	cli_parse(argp, argc, argv, 0, &in);
	status = cli_with_paths(work, &in);
	arrow_strings_release(&in.names);
	arrow_strings_release(&in.labels);
	arrow_strings_release(&in.options);
	arrow_strings_release(&in.filters);
	cli_prune_filter_release(&in.prune);
	json_decref(in.found);
	return status;
}

int cmd_volume_create(int argc, char **argv)
{
	return volume_run(&create_argp, volume_run_create, 0, 1, argc, argv);
}

int cmd_volume_ls(int argc, char **argv)
{
	return volume_run(&list_argp, volume_run_list, 0, 0, argc, argv);
}

int cmd_volume_inspect(int argc, char **argv)
{
	return volume_run(&inspect_argp, volume_run_inspect, 1, SIZE_MAX, argc, argv);
}

int cmd_volume_rm(int argc, char **argv)
{
	return volume_run(&rm_argp, volume_run_remove, 1, SIZE_MAX, argc, argv);
}

int cmd_volume_prune(int argc, char **argv)
{
	return volume_run(&prune_argp, volume_run_prune, 0, 0, argc, argv);
}
