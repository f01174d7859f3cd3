// SPDX-License-Identifier: Apache-2.0
/* arrow template: shows and removes the booted VMs that Arrows are cloned from. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "core/template/template.h"
#include "util/cleanup.h"
#include "util/io.h"

struct input {
	struct arrow_strings names;
	bool json, all;
};

/* clang-format off */
static const struct argp_option ls_options[] = {
	CLI_FORMAT_OPTION,
	{0},
};
static const struct argp_option inspect_options[] = {
	{"format", CLI_FORMAT_KEY, "json", OPTION_HIDDEN, NULL, 0},
	{0},
};
static const struct argp_option prune_options[] = {
	{"all", 'a', 0, 0, "Remove all, not only those that were not used for a day", 0},
	{0},
};
/* clang-format on */

static error_t template_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case CLI_FORMAT_KEY:
		in->json = cli_format_is_json(arg, state);
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case ARGP_KEY_ARG:
		cli_argument_error(state, "too many arguments: '%s'", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t template_parse_names(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	if (key == ARGP_KEY_ARG)
		return arrow_strings_add(&in->names, arg) < 0 ? ENOMEM : 0;
	if (key == ARGP_KEY_NO_ARGS)
		cli_argument_error(
			state, "requires the id of a template; 'arrow template ls' lists them");
	return template_parse(key, arg, state);
}

static const struct argp ls_argp = {ls_options, template_parse, NULL,
	"List templates: booted VMs that Arrows are cloned from.\v"
	"A template is made at the first start of each kind of VM (kernel, memory, CPUs, whether there are volumes) and made again when it is missing.",
	NULL, NULL, NULL};
static const struct argp inspect_argp = {inspect_options, template_parse_names, "TEMPLATE...",
	"Show details of templates as JSON.", NULL, NULL, NULL};
static const struct argp rm_argp = {NULL, template_parse_names, "TEMPLATE...",
	"Remove templates. The Arrows cloned from them go on.", NULL, NULL, NULL};
static const struct argp prune_argp = {prune_options, template_parse, NULL,
	"Remove templates that were not used for a day.", NULL, NULL, NULL};

static char *id_text(const json_t *row, const void *arg)
{
	return path_format("%.12s", json_string_value(json_object_get(row, "id")));
}

static char *kernel_text(const json_t *row, const void *arg)
{
	const char *kernel = json_string_value(json_object_get(row, "kernel"));

	return path_format("%.12s", kernel ? kernel : "");
}

static char *memory_text(const json_t *row, const void *arg)
{
	json_int_t n = json_integer_value(json_object_get(row, "memory"));

	return human_binary_size((unsigned long long)n);
}

static char *volumes_text(const json_t *row, const void *arg)
{
	return strdup(json_is_true(json_object_get(row, "volumes")) ? "yes" : "no");
}

static char *disk_text(const json_t *row, const void *arg)
{
	json_int_t n = json_integer_value(json_object_get(row, "bytes"));

	return human_binary_size((unsigned long long)n);
}

static int template_list(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	static const struct cli_column columns[] = {{"TEMPLATE", NULL, id_text},
		{"KERNEL", NULL, kernel_text}, {"ACCEL", "accel", NULL},
		{"MEMORY", NULL, memory_text}, {"VCPUS", "vcpus", NULL},
		{"VOLUMES", NULL, volumes_text}, {"DISK", NULL, disk_text}, {"USED", "used", NULL},
		{0}};
	const struct input *in = arg;
	json_t *all;
	int r = arrow_template_list(paths->data, &all, error);

	if (r < 0)
		return r;
	r = in->json ? cli_print_json(all) : cli_print_table(all, columns, NULL);
	json_decref(all);
	return r;
}

/* Adds the templates whose ids begin with a name. */
static int template_find(
	const json_t *all, const char *name, json_t *found, struct arrow_error *error)
{
	size_t before = json_array_size(found), i;
	json_t *o;

	json_array_foreach (all, i, o)
		if (strncmp(json_string_value(json_object_get(o, "id")), name, strlen(name)) == 0)
			json_array_append(found, o);
	if (json_array_size(found) > before)
		return 0;
	return arrow_fail(
		error, ENOENT, "no such template: %s; 'arrow template ls' lists them", name);
}

static int template_inspect(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	json_t *all, *found;
	int r = arrow_template_list(paths->data, &all, error);

	if (r < 0)
		return r;
	found = json_array();
	for (size_t i = 0; r == 0 && i < in->names.n; i++)
		r = template_find(all, in->names.v[i], found, error);
	if (r == 0)
		r = cli_print_json(found);
	json_decref(found);
	json_decref(all);
	return r;
}

static int template_remove(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < in->names.n; i++)
		r = arrow_template_remove(paths->data, in->names.v[i], error);
	return r;
}

static int template_prune(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	unsigned long long bytes = 0;
	_cleanup_free_ char *text = NULL;
	char oldest[TIME_TEXT];
	size_t index, removed = 0;
	json_t *all, *o;
	int r = arrow_template_list(paths->data, &all, error);

	if (r < 0)
		return r;
	time_text(time(NULL) - ARROW_TEMPLATE_UNUSED_S, oldest);
	json_array_foreach (all, index, o) {
		/* Times of this form sort as they read. */
		if (!in->all && strcmp(json_string_value(json_object_get(o, "used")), oldest) >= 0)
			continue;
		r = arrow_template_remove(
			paths->data, json_string_value(json_object_get(o, "id")), error);
		if (r < 0)
			break;
		bytes += (unsigned long long)json_integer_value(json_object_get(o, "bytes"));
		removed++;
	}
	json_decref(all);
	if (r < 0)
		return r;
	text = human_binary_size(bytes);
	printf("%zu removed, %s freed\n", removed, text ? text : "?");
	return cli_flush();
}

static int template_run(const struct argp *argp, cli_work work, int argc, char **argv)
{
	struct input in = {0};
	int status;

	cli_parse(argp, argc, argv, 0, &in);
	status = cli_with_paths(work, &in);
	arrow_strings_release(&in.names);
	return status;
}

int cmd_template_ls(int argc, char **argv)
{
	return template_run(&ls_argp, template_list, argc, argv);
}

int cmd_template_inspect(int argc, char **argv)
{
	return template_run(&inspect_argp, template_inspect, argc, argv);
}

int cmd_template_rm(int argc, char **argv)
{
	return template_run(&rm_argp, template_remove, argc, argv);
}

int cmd_template_prune(int argc, char **argv)
{
	return template_run(&prune_argp, template_prune, argc, argv);
}
