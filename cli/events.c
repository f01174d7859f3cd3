// SPDX-License-Identifier: Apache-2.0
/* arrow events: what happens to Arrows, images, networks and volumes, with the lines and filters of
 * docker events. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/filter.h"
#include "cli/input/options.h"
#include "cli/input/values.h"
#include "cli/output/format.h"
#include "cli/output/print.h"
#include "core/spec/spec.h"
#include "core/instance/event_reader.h"
#include "core/instance/log_reader.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

enum { OPT_SINCE = 256, OPT_UNTIL };

/* clang-format off */
static const struct argp_option options[] = {
	{"filter", 'f', "KEY=VALUE", 0, "Show only events that match: container, event, image, label, network, scope, type or volume", 0},
	{"format", CLI_FORMAT_KEY, "FORMAT", 0, "json, or a Go template as in Docker", 0},
	{"since", OPT_SINCE, "TIME", 0, "Also show past events since this time: a date, or an age such as 10m", 0},
	{"until", OPT_UNTIL, "TIME", 0, "Show events up to this time, then exit", 0},
	{0},
};
/* clang-format on */

struct input {
	struct arrow_strings filters;
	struct events_query query;
	const char *format;
	struct arrow_error *error;
};

static const json_t *events_get_attributes(const json_t *event)
{
	return json_object_get(json_object_get(event, "Actor"), "Attributes");
}

static const char *events_get_id(const json_t *event)
{
	return json_text(json_object_get(event, "Actor"), "ID");
}

/* By id, the beginning of one, or name. */
static bool events_is_actor(const json_t *event, const char *type, const char *value)
{
	return strcmp(json_text(event, "Type"), type) == 0 && *value &&
	       (strncmp(events_get_id(event), value, strlen(value)) == 0 ||
		       strcmp(json_text(events_get_attributes(event), "name"), value) == 0);
}

static bool events_filter_container(const void *arg, const json_t *event, const char *value)
{
	return events_is_actor(event, "container", value);
}

static bool events_filter_network(const void *arg, const json_t *event, const char *value)
{
	return events_is_actor(event, "network", value);
}

static bool events_filter_volume(const void *arg, const json_t *event, const char *value)
{
	return events_is_actor(event, "volume", value);
}

/* "exec_start" is any command that was started. */
static bool events_filter_event(const void *arg, const json_t *event, const char *value)
{
	const char *action = json_text(event, "Action");
	size_t size = strlen(value);

	return strncmp(action, value, size) == 0 && (action[size] == '\0' || action[size] == ':');
}

static bool events_filter_image(const void *arg, const json_t *event, const char *value)
{
	bool image = strcmp(json_text(event, "Type"), "image") == 0;
	const char *name = json_text(events_get_attributes(event), image ? "name" : "image");
	size_t size = strlen(value);

	return (image && strcmp(events_get_id(event), value) == 0) ||
	       (strncmp(name, value, size) == 0 && (name[size] == '\0' || name[size] == ':'));
}

static bool events_filter_label(const void *arg, const json_t *event, const char *value)
{
	return cli_has_label(events_get_attributes(event), value);
}

static bool events_filter_scope(const void *arg, const json_t *event, const char *value)
{
	return strcmp(json_text(event, "scope"), value) == 0;
}

static bool events_filter_type(const void *arg, const json_t *event, const char *value)
{
	return strcmp(json_text(event, "Type"), value) == 0;
}

static const struct cli_filter filters[] = {
	{"container", events_filter_container, false},
	{"event", events_filter_event, false},
	{"image", events_filter_image, false},
	{"label", events_filter_label, true},
	{"network", events_filter_network, false},
	{"scope", events_filter_scope, false},
	{"type", events_filter_type, false},
	{"volume", events_filter_volume, false},
	{0},
};

static error_t events_parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;
	struct timespec *when;

	switch (key) {
	case 'f':
		if (*value == '\0')
			return 0;
		if (!cli_filter_find(filters, value))
			cli_filter_refuse(state, value);
		return cli_add_string(&in->filters, value, in->error) < 0 ? ENOMEM : 0;
	case CLI_FORMAT_KEY:
		in->format = value;
		return 0;
	case OPT_SINCE:
	case OPT_UNTIL:
		when = key == OPT_SINCE ? &in->query.since : &in->query.until;
		if (*value == '\0') {
			*when = (struct timespec){0};
		} else if (log_parse_time(value, when, in->error) < 0) {
			cli_name_option(state, key, in->error);
			argp_error(state, "%s", in->error->text);
		}
		in->query.past |= *value != '\0';
		return 0;
	case ARGP_KEY_ARG:
		cli_argument_error(state, "too many arguments: '%s'", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp events_argp = {options, events_parse, NULL,
	"Show events of Arrows, images, networks and volumes as they happen.\v"
	"With --since or --until, past events are shown too, as far back as they are kept.",
	NULL, NULL, NULL};

/* "2026-11-24T16:04:05.012345678+01:00 container start 5c0a... (image=redis:7, name=cache)" */
static void events_print_line(const json_t *event)
{
	json_int_t ns = json_integer_value(json_object_get(event, "timeNano"));
	json_t *attributes = json_object_get(json_object_get(event, "Actor"), "Attributes");
	time_t seconds = (time_t)(ns / 1000000000);
	char date[32], zone[8], *text = NULL;
	const char *key, *gap = " (";
	const json_t *value;
	size_t size = 0;
	struct tm tm;
	FILE *f = open_memstream(&text, &size);
	json_t *sorted;
	char *order;

	if (!f)
		return;
	localtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	fprintf(f, "%s.%09lld", date, (long long)(ns % 1000000000));
	if (tm.tm_gmtoff)
		fprintf(f, "%.3s:%s", zone, zone + 3);
	else
		fputc('Z', f);
	fprintf(f, " %s %s %s", json_text(event, "Type"), json_text(event, "Action"),
		events_get_id(event));
	/* Docker puts the attributes in order. */
	order = json_dumps(attributes, JSON_SORT_KEYS);
	sorted = order ? json_loads(order, 0, NULL) : NULL;
	free(order);
	json_object_foreach (sorted, key, value) {
		fprintf(f, "%s%s=%s", gap, key, json_string_value(value));
		gap = ", ";
	}
	if (json_object_size(sorted) > 0)
		fputc(')', f);
	json_decref(sorted);
	fclose(f);
	puts(text_clean(text));
	free(text);
}

/* The names that Docker's templates have for what its JSON calls otherwise. */
static json_t *events_make_go_event(const json_t *event)
{
	static const char *const names[][2] = {{"Status", "status"}, {"ID", "id"}, {"From", "from"},
		{"Type", "Type"}, {"Action", "Action"}, {"Actor", "Actor"}, {"Scope", "scope"},
		{"Time", "time"}, {"TimeNano", "timeNano"}};
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		json_t *value = json_object_get(event, names[i][1]);

		if (value)
			json_object_set(o, names[i][0], value);
		else
			json_object_set_new(o, names[i][0], json_string(""));
	}
	return o;
}

static int events_show(const json_t *event, void *arg)
{
	struct input *in = arg;
	json_t *o;
	int r = 0;

	if (!cli_filter_passes(filters, &in->filters, event, NULL))
		return 0;
	if (!in->format || *in->format == '\0') {
		events_print_line(event);
	} else if (strcmp(in->format, "json") == 0 || strcmp(in->format, "{{json .}}") == 0) {
		_cleanup_free_ char *text = cli_json_text(event, JSON_COMPACT);

		r = text && puts(text) >= 0 ? 0 : -EIO;
	} else {
		o = events_make_go_event(event);
		if (isatty(STDOUT_FILENO)) {
			json_t *clean = cli_clean_json(o, true);

			json_decref(o);
			o = clean;
		}
		r = o ? cli_format_one(stdout, in->format, o, in->error)
		      : arrow_no_memory(in->error);
		json_decref(o);
		putchar('\n');
	}
	/* A reader that is gone, or a full disk, ends it. */
	return r < 0 ? r : fflush(stdout) != 0 ? -errno : 0;
}

static int events_read(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	_cleanup_error_ struct arrow_error reading = ARROW_ERROR_INIT;
	int r;

	in->error = error;
	r = arrow_events(paths, &in->query, events_show, in, &reading);
	/* A template's error is told already. */
	if (r < 0 && !error->text)
		return arrow_fail(error, -r, "%s", reading.text);
	return r;
}

int cmd_events(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {.error = &error};
	int status;

	cli_parse(&events_argp, argc, argv, 0, &in);
	status = cli_with_paths(events_read, &in);
	arrow_strings_release(&in.filters);
	return status;
}
