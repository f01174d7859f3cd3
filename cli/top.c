// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "core/client/exec.h"
#include "core/client/manage.h"
#include "util/cleanup.h"
#include "util/io.h"

/* What is taken of a guest: a row takes about 2 KiB of memory. */
#define ANSWER_MAX (8u << 20) /* bytes: 1700 processes with the longest command lines */
#define PROCESSES_MAX 32768u

struct input {
	const char *name;
	const char *fields; /* of -o, or NULL */
	bool json;
	long long now;           /* seconds since 1970 */
	unsigned long long hz;   /* ticks a second */
	unsigned long long up_s; /* seconds since the guest booted */
};

static long long top_read_number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static char *top_format_cpu(const json_t *row, const void *arg)
{
	const struct input *in = arg;
	long long hz = (long long)in->hz,
		  lived = (long long)in->up_s - top_read_number(row, "start") / hz;

	return path_format(
		"%lld", lived > 0 ? top_read_number(row, "ticks") * 100 / hz / lived : 0);
}

static char *top_format_start(const json_t *row, const void *arg)
{
	const struct input *in = arg;
	time_t start = (time_t)(in->now - (long long)in->up_s +
				top_read_number(row, "start") / (long long)in->hz);
	char text[32];
	struct tm tm;

	if (!localtime_r(&start, &tm) ||
		strftime(text, sizeof(text), in->now - start < 86400 ? "%H:%M" : "%b%d", &tm) == 0)
		return strdup("?");
	return strdup(text);
}

static char *top_format_terminal(const json_t *row, const void *arg)
{
	unsigned long long device = (unsigned long long)top_read_number(row, "tty");
	unsigned long long major = device >> 8 & 0xfff,
			   minor = (device & 0xff) | (device >> 12 & 0xfff00);

	if (major >= 136 && major <= 143)
		return path_format("pts/%llu", (major - 136) * 256 + minor);
	return strdup(major == 5 && minor == 1 ? "console" : "?");
}

static char *top_format_time(const json_t *row, const void *arg)
{
	const struct input *in = arg;
	long long s = top_read_number(row, "ticks") / (long long)in->hz;

	return path_format("%02lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

static char *top_format_rss(const json_t *row, const void *arg)
{
	return path_format("%lld", top_read_number(row, "rss") / 1024);
}

static char *top_format_vsz(const json_t *row, const void *arg)
{
	return path_format("%lld", top_read_number(row, "vsz") / 1024);
}

static const struct {
	const char *name; /* for -o, as of ps(1) */
	struct cli_column column;
} fields[] = {
	{"user", {"UID", "user", NULL}},
	{"pid", {"PID", "pid", NULL}},
	{"ppid", {"PPID", "ppid", NULL}},
	{"c", {"C", NULL, top_format_cpu}},
	{"stime", {"STIME", NULL, top_format_start}},
	{"tty", {"TTY", NULL, top_format_terminal}},
	{"time", {"TIME", NULL, top_format_time}},
	{"cmd", {"CMD", "command", NULL}},
	{"args", {"COMMAND", "command", NULL}},
	{"comm", {"COMMAND", "name", NULL}},
	{"uid", {"UID", "uid", NULL}},
	{"stat", {"S", "state", NULL}},
	{"rss", {"RSS", NULL, top_format_rss}},
	{"vsz", {"VSZ", NULL, top_format_vsz}},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))
#define DEFAULT_FIELDS "user,pid,ppid,c,stime,tty,time,cmd"
#define COLUMNS_MAX 32

/* Fills in the columns of -o. Returns the name that is none, or NULL. */
static const char *top_choose_columns(char *list, struct cli_column columns[COLUMNS_MAX + 1])
{
	size_t n = 0;

	memset(columns, 0, sizeof(*columns) * (COLUMNS_MAX + 1));
	for (char *name; (name = strsep(&list, ",")) && n < COLUMNS_MAX;) {
		size_t i = 0;

		while (i < FIELDS && strcmp(fields[i].name, name) != 0)
			i++;
		if (i == FIELDS)
			return name;
		columns[n++] = fields[i].column;
	}
	return NULL;
}

static error_t top_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case CLI_FORMAT_KEY:
		in->json = cli_format_is_json(arg, state);
		return 0;
	case 'o':
		in->fields = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (in->name)
			cli_argument_error(state, "takes one Arrow");
		in->name = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		cli_argument_error(state, "requires an Arrow");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* clang-format off */
static const struct argp_option options[] = {
	{0, 'o', "FIELD,...", 0, "Columns to show: user pid ppid c stime tty time cmd args comm uid stat rss vsz", 0},
	CLI_FORMAT_OPTION,
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

static const struct argp top_argp = {options, top_parse, "ARROW",
	"List the processes of a running Arrow.\vThe process ids are those of the Arrow's own kernel.",
	NULL, NULL, NULL};

/* A text of the guest, which may hold any bytes. */
static json_t *top_get_text(char *text)
{
	json_t *json = json_string(text);

	for (char *c = text; !json && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json ? json : json_string(text);
}

/* A process: numbers and the user's name, the name, the command line. */
static json_t *top_make_row(char *numbers, char *name, char *command)
{
	unsigned long long pid, parent, uid, tty, ticks, start, size, rss;
	char state[2] = "", user[33] = "";
	json_t *row;

	if (sscanf(numbers, "%llu %llu %llu %c %llu %llu %llu %llu %llu %32s", &pid, &parent, &uid,
		    &state[0], &tty, &ticks, &start, &size, &rss, user) != 10)
		return NULL;
	row = json_pack("{sI sI sI so sI sI sI sI sI so so so}", "pid", (json_int_t)pid, "ppid",
		(json_int_t)parent, "uid", (json_int_t)uid, "state", top_get_text(state), "tty",
		(json_int_t)tty, "ticks", (json_int_t)(ticks & INT64_MAX), "start",
		(json_int_t)(start & INT64_MAX), "vsz", (json_int_t)(size & INT64_MAX), "rss",
		(json_int_t)(rss & INT64_MAX), "user", top_get_text(user), "name",
		top_get_text(name), "command", top_get_text(command));
	return row;
}

static int top_parse_answer(struct input *in, char *text, size_t size, json_t *rows)
{
	unsigned long long up_us;
	char *end = text + size;

	if (size == 0 || sscanf(text, "%llu %llu", &in->hz, &up_us) != 2 || in->hz < 1 ||
		in->hz > 1000000)
		return -EPROTO;
	in->up_s = up_us / 1000000;
	for (char *p = text + strlen(text) + 1; p < end;) {
		char *part[3];
		json_t *row;

		if (json_array_size(rows) == PROCESSES_MAX)
			return -E2BIG;

		for (int i = 0; i < 3; i++) {
			if (p >= end)
				return -EPROTO;
			part[i] = p;
			p += strlen(p) + 1;
		}
		row = top_make_row(part[0], part[1], part[2]);
		if (!row || json_array_append_new(rows, row) < 0)
			return -EPROTO;
	}
	return 0;
}

static int top_get_rows(
	struct input *in, const struct arrow_paths *paths, json_t *rows, struct arrow_error *error)
{
	const char *argv[] = {"processes", NULL};
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = arrow_worker_output(paths, in->name, argv, ANSWER_MAX, &text, &size, error);

	if (r == 0)
		r = top_parse_answer(in, text, size, rows);
	if (r == -E2BIG)
		r = arrow_fail(error, E2BIG, "the Arrow has more than %u processes", PROCESSES_MAX);
	else if (r < 0 && !error->text)
		r = arrow_fail(error, EPROTO, "invalid list of processes from the Arrow");
	if (r == 0)
		arrow_event_named(paths, in->name, "top");
	return r;
}

int cmd_top(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct cli_column columns[COLUMNS_MAX + 1];
	struct input in = {.now = time(NULL)};
	struct arrow_paths paths = {0};
	_cleanup_free_ char *list = NULL;
	json_t *rows = json_array();
	const char *unknown;
	int status;

	cli_parse(&top_argp, argc, argv, 0, &in);
	list = strdup(in.fields ? in.fields : DEFAULT_FIELDS);
	unknown = list ? top_choose_columns(list, columns) : "";
	if (unknown) {
		(void)arrow_fail_status(
			&error, 1, EINVAL, "-o: no such column: '%s'; --help lists them", unknown);
		status = cli_error(&error);
	} else if (cli_paths_init(&paths, &error) < 0 ||
		   top_get_rows(&in, &paths, rows, &error) < 0) {
		status = cli_error(&error);
	} else {
		status = in.json ? cli_print_json(rows) : cli_print_table(rows, columns, &in);
	}
	json_decref(rows);
	arrow_paths_release(&paths);
	return status;
}
