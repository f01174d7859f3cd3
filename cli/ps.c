// SPDX-License-Identifier: Apache-2.0
/* arrow ps: the Arrows that run, or all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "core/arrow.h"
#include "core/instance.h"
#include "core/list.h"
#include "util/cleanup.h"
#include "util/io.h"

#define COMMAND_WIDTH 24 /* characters of a command that is cut */

enum { OPT_NO_TRUNC = 256 };

static const struct argp_option options[] = {
	{"all", 'a', 0, 0, "Also Arrows that do not run", 0},
	{"latest", 'l', 0, 0, "Only the one made last, whether it runs or not", 0},
	{"last", 'n', "N", 0, "Only the N made last, whether they run or not", 0},
	{"filter", 'f', "name=TEXT|label=KEY[=VALUE]", 0,
		"Only Arrows with this in their name, or with this label", 0},
	CLI_FORMAT_OPTION,
	{"no-trunc", OPT_NO_TRUNC, 0, 0, "Whole ids, paths and commands", 0},
	{"quiet", 'q', 0, 0, "Only ids", 0},
	{0},
};

struct input {
	struct arrow_strings names;  /* any of these */
	struct arrow_strings labels; /* all of these */
	bool json, quiet, whole, all;
	unsigned long last; /* so many at most; 0 for all */
	time_t now;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;
	struct arrow_strings *list = NULL;
	char *end;

	switch (key) {
	case 'f':
		if (strncmp(value, "name=", 5) == 0)
			list = &in->names;
		else if (strncmp(value, "label=", 6) == 0)
			list = &in->labels;
		if (!list || strchr(value, '=')[1] == '\0')
			argp_error(state, "--filter takes name=TEXT or label=KEY[=VALUE], not '%s'",
				value);
		else if (arrow_strings_add(list, strchr(value, '=') + 1) < 0)
			argp_failure(state, ARROW_STATUS_ERROR, 0, "out of memory");
		return 0;
	case CLI_FORMAT_KEY:
		in->json = cli_format_is_json(value, state);
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case 'l':
		in->last = 1;
		return 0;
	case 'n':
		in->last = strtoul(value, &end, 10);
		if (*value < '0' || *value > '9' || *end)
			argp_error(state, "--last takes a number, not '%s'", value);
		return 0;
	case OPT_NO_TRUNC:
		in->whole = true;
		return 0;
	case 'q':
		in->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "too many arguments: '%s'", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp ps_argp = {
	options, parse, NULL, "List Arrows that run, the newest first.", NULL, NULL, NULL};

static const char *string_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static bool has_label(const json_t *row, const char *label)
{
	size_t size = strcspn(label, "=");
	_cleanup_free_ char *key = strndup(label, size);
	const char *value =
		key ? json_string_value(json_object_get(json_object_get(row, "labels"), key))
		    : NULL;

	return value && (label[size] == '\0' || strcmp(value, label + size + 1) == 0);
}

static bool is_wanted(const json_t *row, const struct input *in)
{
	bool named = in->names.n == 0;

	for (size_t i = 0; i < in->names.n; i++)
		named |= strstr(string_of(row, "name"), in->names.v[i]) != NULL;
	for (size_t i = 0; named && i < in->labels.n; i++)
		named = has_label(row, in->labels.v[i]);
	return named;
}

static char *id_text(const json_t *row, const void *arg)
{
	const struct input *in = arg;

	return strndup(string_of(row, "id"), in->whole ? ARROW_ID_HEX : ARROW_ID_SHORT);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* What it was made from: the program, or the root directory. */
static char *program_text(const json_t *row, const void *arg)
{
	const struct input *in = arg;
	const char *program = string_of(row, "program");

	if (*program == '\0')
		return strdup(string_of(row, "rootfs"));
	return strdup(in->whole ? program : base_name(program));
}

/* Bytes of the first n characters. */
static size_t bytes_of(const char *text, size_t n)
{
	size_t at = 0;

	while (text[at] && n > 0) {
		at++;
		while (((unsigned char)text[at] & 0xc0) == 0x80)
			at++;
		n--;
	}
	return at;
}

static char *command_text(const json_t *row, const void *arg)
{
	const struct input *in = arg;
	const json_t *args = json_object_get(row, "args"), *one;
	_cleanup_free_ char *text = strdup(base_name(string_of(row, "program")));
	size_t i, cut;

	json_array_foreach (args, i, one) {
		char *longer =
			text ? path_format("%s%s%s", text, *text ? " " : "", json_string_value(one))
			     : NULL;

		free(text);
		text = longer;
	}
	if (!text)
		return NULL;
	cut = bytes_of(text, COMMAND_WIDTH);
	if (in->whole || text[cut] == '\0')
		return path_format("\"%s\"", text);
	return path_format("\"%.*s…\"", (int)cut, text);
}

/* How long ago something was, in the words that Docker's users know. */
static char *age_text(const json_t *row, const char *key, const struct input *in)
{
	struct timespec then = {0};
	long long s = time_parse(string_of(row, key), &then) == 0
			      ? (long long)(in->now - then.tv_sec)
			      : 0;

	if (s < 1)
		return strdup("Less than a second");
	if (s < 60)
		return path_format("%lld second%s", s, s == 1 ? "" : "s");
	if (s < 120)
		return strdup("About a minute");
	if (s < 3600)
		return path_format("%lld minutes", s / 60);
	if (s < 7200)
		return strdup("About an hour");
	if (s < 48 * 3600)
		return path_format("%lld hours", s / 3600);
	if (s < 14 * 86400)
		return path_format("%lld days", s / 86400);
	if (s < 60 * 86400)
		return path_format("%lld weeks", s / 604800);
	if (s < 2 * 31536000)
		return path_format("%lld months", s / (30 * 86400));
	return path_format("%lld years", s / 31536000);
}

static char *created_text(const json_t *row, const void *arg)
{
	_cleanup_free_ char *age = age_text(row, "created", arg);

	return age ? path_format("%s ago", age) : NULL;
}

static char *status_text(const json_t *row, const void *arg)
{
	const char *status = string_of(row, "status"), *health = string_of(row, "health");
	int code = (int)json_integer_value(json_object_get(row, "exit_code"));
	_cleanup_free_ char *since = age_text(row, "started", arg);
	_cleanup_free_ char *ago = age_text(row, "finished", arg);

	if (!since || !ago)
		return NULL;
	if (strcmp(status, "running") == 0 && *health)
		return path_format("Up %s (%s%s)", since,
			strcmp(health, "starting") == 0 ? "health: " : "", health);
	if (strcmp(status, "running") == 0)
		return path_format("Up %s", since);
	if (strcmp(status, "paused") == 0)
		return path_format("Up %s (Paused)", since);
	if (strcmp(status, "restarting") == 0)
		return path_format("Restarting (%d) %s ago", code, ago);
	if (strcmp(status, "exited") == 0)
		return path_format("Exited (%d) %s ago", code, ago);
	return strdup(strcmp(status, "created") == 0 ? "Created" : "Dead");
}

static char *engine_text(const json_t *row, const void *arg)
{
	const char *engine = string_of(row, "engine");

	return path_format("%s%s%s", engine, *engine ? ":" : "", string_of(row, "accel"));
}

static const struct cli_column columns[] = {
	{"ARROW ID", NULL, id_text},
	{"PROGRAM", NULL, program_text},
	{"COMMAND", NULL, command_text},
	{"CREATED", NULL, created_text},
	{"STATUS", NULL, status_text},
	{"ENGINE", NULL, engine_text},
	{"NAMES", "name", NULL},
	{0},
};

static const struct cli_column quiet_columns[] = {{NULL, NULL, id_text}, {0}};

int cmd_ps(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {.now = time(NULL)};
	struct arrow_paths paths = {0};
	json_t *list = NULL;
	int status;

	cli_parse(&ps_argp, argc, argv, 0, &in);
	if (arrow_paths_init(&paths, &error) < 0 ||
		arrow_list(&paths, in.all || in.last, &list, &error) < 0) {
		status = cli_error(&error);
	} else {
		for (size_t i = json_array_size(list); i-- > 0;)
			if (!is_wanted(json_array_get(list, i), &in))
				json_array_remove(list, i);
		while (in.last && json_array_size(list) > in.last)
			json_array_remove(list, in.last);
		status = in.quiet  ? cli_print_table(list, quiet_columns, &in)
			 : in.json ? cli_print_json(list)
				   : cli_print_table(list, columns, &in);
	}
	json_decref(list);
	arrow_paths_release(&paths);
	arrow_strings_release(&in.names);
	arrow_strings_release(&in.labels);
	return status;
}
