// SPDX-License-Identifier: Apache-2.0
/* arrow logs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "core/instance/log_reader.h"

enum { OPT_SINCE = 256, OPT_UNTIL, OPT_DETAILS };

/* clang-format off */
static const struct argp_option options[] = {
	{"details", OPT_DETAILS, 0, 0, "Show the labels and variables that --log-opt labels and env add to each line", 0},
	{"follow", 'f', 0, 0, "Follow the output until the Arrow ends", 0},
	{"since", OPT_SINCE, "TIME", 0, "Show output since this time: a date, or an age such as 10m", 0},
	{"until", OPT_UNTIL, "TIME", 0, "Show output up to this time", 0},
	{"tail", 'n', "N|all", 0, "Show only the last N lines (all)", 0},
	{"timestamps", 't', 0, 0, "Show the time of each line", 0},
	{0},
};
/* clang-format on */

struct input {
	const char *name;
	struct log_query query;
	bool timestamps, details;
	bool inside[3]; /* the last text of this stream did not end its line */
};

static error_t logs_parse(int key, char *value, struct argp_state *state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input *in = state->input;
	struct timespec *when;
	char *end;

	switch (key) {
	case 'f':
		in->query.follow = true;
		return 0;
	case OPT_SINCE:
	case OPT_UNTIL:
		when = key == OPT_SINCE ? &in->query.since : &in->query.until;
		if (*value == '\0') {
			*when = (struct timespec){0};
		} else if (log_parse_time(value, when, &error) < 0) {
			cli_name_option(state, key, &error);
			argp_failure(state, 1, 0, "%s", error.text);
		}
		return 0;
	case 'n':
		in->query.tail = strtol(value, &end, 10);
		if (*value == '\0' || strcmp(value, "all") == 0 || (*value == '-' && *end == '\0'))
			in->query.tail = -1;
		else if (*value < '0' || *value > '9' || *end)
			argp_failure(state, 1, 0, "--tail takes a number or all, not '%s'", value);
		return 0;
	case 't':
		in->timestamps = true;
		return 0;
	case OPT_DETAILS:
		in->details = true;
		return 0;
	default:
		return cli_parse_name(key, value, state, &in->name);
	}
}

static const struct argp logs_argp = {options, logs_parse, "ARROW",
	"Show the output of an Arrow: its stdout on stdout, its stderr on stderr.", NULL, NULL,
	NULL};

static int logs_show(const struct log_entry *entry, void *arg)
{
	struct input *in = arg;
	FILE *f;

	/* A reader that is gone, or a full disk, ends it. */
	if (!entry)
		return fflush(stdout) != 0 || fflush(stderr) != 0 ? -EIO : 0;
	f = entry->fd == 2 ? stderr : stdout;
	if (f == stderr) /* in the order in which it was written */
		fflush(stdout);

	if (in->timestamps && !in->inside[entry->fd])
		fprintf(f, "%s ", entry->time);
	if (in->details && !in->inside[entry->fd])
		fprintf(f, "%s ", entry->attrs);
	fwrite(entry->text, 1, entry->size, f);
	in->inside[entry->fd] = entry->size > 0 && entry->text[entry->size - 1] != '\n';
	return ferror(f) ? -EIO : 0;
}

int cmd_logs(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {.query = {.tail = -1}};
	struct arrow_paths paths = {0};
	int status = 0, flushed;

	cli_parse(&logs_argp, argc, argv, 0, &in);
	if (cli_paths_init(&paths, &error) < 0 ||
		arrow_logs(&paths, in.name, &in.query, logs_show, &in, &error) < 0)
		status = cli_error(&error);
	arrow_paths_release(&paths);
	flushed = cli_flush();
	return status ? status : flushed;
}
