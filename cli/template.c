// SPDX-License-Identifier: Apache-2.0
/* arrow template: shows and removes the booted VMs that Arrows are cloned from. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/output/table.h"
#include "core/template/template.h"
#include "util/cleanup.h"
#include "util/io.h"

struct input {
	const char *command; /* ls, inspect, rm, prune */
	struct arrow_strings names;
	bool json, all;
};

/* clang-format off */
static const struct argp_option options[] = {
	CLI_FORMAT_OPTION,
	{"all", 'a', 0, 0, "prune: remove all, not only those that were not used for a day", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

static error_t parse(int key, char *arg, struct argp_state *state)
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
		if (!in->command)
			in->command = arg;
		else if (arrow_strings_add(&in->names, arg) < 0)
			return ENOMEM;
		return 0;
	case ARGP_KEY_END:
		if (!in->command)
			argp_error(state, "say what to do: ls, inspect, rm or prune");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp template_argp = {
	options,
	parse,
	"ls\ninspect ID...\nrm ID...\nprune",
	"Show and remove templates: booted VMs that Arrows are cloned from.\v"
	"A template is made at the first start of each kind of VM (kernel, memory, CPUs, number of volumes) and made again when it is missing. "
	"Removing one does not disturb its clones.",
	NULL,
	NULL,
	NULL,
};

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

	return cli_size_text((unsigned long long)n);
}

static char *disk_text(const json_t *row, const void *arg)
{
	json_int_t n = json_integer_value(json_object_get(row, "bytes"));

	return cli_size_text((unsigned long long)n);
}

static int list(const struct input *in, json_t *all)
{
	static const struct cli_column columns[] = {{"TEMPLATE", NULL, id_text},
		{"KERNEL", NULL, kernel_text}, {"ACCEL", "accel", NULL},
		{"MEMORY", NULL, memory_text}, {"VCPUS", "vcpus", NULL},
		{"VOLUMES", "shares", NULL}, {"DISK", NULL, disk_text}, {"USED", "used", NULL},
		{0}};

	return in->json ? cli_print_json(all) : cli_print_table(all, columns, NULL);
}

/* Those whose ids begin with one of the names. */
static int inspect(const struct input *in, json_t *all, struct arrow_error *error)
{
	json_t *found = json_array(), *o;
	size_t index;
	int status;

	for (size_t i = 0; i < in->names.n; i++) {
		size_t before = json_array_size(found);

		json_array_foreach (all, index, o) {
			const char *id = json_string_value(json_object_get(o, "id"));

			if (strncmp(id, in->names.v[i], strlen(in->names.v[i])) == 0)
				json_array_append(found, o);
		}
		if (json_array_size(found) == before) {
			json_decref(found);
			return arrow_fail(error, ENOENT,
				"no such template: %s; 'arrow template ls' shows them",
				in->names.v[i]);
		}
	}
	status = cli_print_json(found);
	json_decref(found);
	return status;
}

/* Removes what was not used for a day, or everything, and says what it gave back. */
static int prune(const struct input *in, const char *store, json_t *all, struct arrow_error *error)
{
	unsigned long long bytes = 0;
	_cleanup_free_ char *text = NULL;
	char oldest[TIME_TEXT];
	size_t index, removed = 0;
	json_t *o;

	time_text(time(NULL) - ARROW_TEMPLATE_UNUSED_S, oldest);
	json_array_foreach (all, index, o) {
		int r;

		/* Times of this form sort as they read. */
		if (!in->all && strcmp(json_string_value(json_object_get(o, "used")), oldest) >= 0)
			continue;
		r = arrow_template_remove(
			store, json_string_value(json_object_get(o, "id")), error);
		if (r < 0)
			return r;
		bytes += (unsigned long long)json_integer_value(json_object_get(o, "bytes"));
		removed++;
	}
	text = cli_size_text(bytes);
	printf("%zu removed, %s given back\n", removed, text ? text : "?");
	return cli_flush();
}

static int run(const struct input *in, const char *store, struct arrow_error *error)
{
	bool named = strcmp(in->command, "rm") == 0 || strcmp(in->command, "inspect") == 0;
	json_t *all;
	int r;

	if (named != (in->names.n > 0))
		return arrow_fail(error, EINVAL, "template %s takes %s", in->command,
			named ? "the ids of templates; 'arrow template ls' shows them"
			      : "no names");
	for (size_t i = 0; strcmp(in->command, "rm") == 0 && i < in->names.n; i++) {
		r = arrow_template_remove(store, in->names.v[i], error);
		if (r < 0 || i + 1 == in->names.n)
			return r;
	}
	r = arrow_template_list(store, &all, error);
	if (r < 0)
		return r;
	if (strcmp(in->command, "ls") == 0)
		r = list(in, all);
	else if (strcmp(in->command, "inspect") == 0)
		r = inspect(in, all, error);
	else if (strcmp(in->command, "prune") == 0)
		r = prune(in, store, all, error);
	else
		r = arrow_fail(error, EINVAL,
			"no such command: template %s; there are ls, inspect, rm and prune",
			in->command);
	json_decref(all);
	return r;
}

int cmd_template(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {0};
	int r;

	cli_parse(&template_argp, argc, argv, 0, &in);
	r = arrow_paths_init(&paths, &error);
	if (r == 0)
		r = run(&in, paths.data, &error);
	if (r < 0)
		r = cli_error(&error);
	arrow_paths_release(&paths);
	arrow_strings_release(&in.names);
	return r;
}
