// SPDX-License-Identifier: Apache-2.0
/* arrow ps: the Arrows that run, or all of them, with the fields and filters of docker ps. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/input/filter.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "core/spec/spec.h"
#include "core/instance/inspect.h"
#include "core/instance/instance.h"
#include "core/instance/list.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

#define COMMAND_WIDTH 20 /* characters of a command that is cut, as Docker cuts */

#define STANDARD                                                                                   \
	"table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t"      \
	"{{.Names}}"
#define WITH_SIZE STANDARD "\t{{.Size}}"

enum { OPT_NO_TRUNC = 256 };

/* clang-format off */
static const struct argp_option options[] = {
	{"all", 'a', 0, 0, "Show all Arrows, not only running ones", 0},
	{"latest", 'l', 0, 0, "Show the latest created Arrow (of all states)", 0},
	{"last", 'n', "N", 0, "Show the N latest created Arrows (of all states)", 0},
	{"filter", 'f', "KEY=VALUE", 0, "Show only Arrows that match: ancestor, before, exited, expose, health, id, is-task, label, name, network, publish, since, status or volume", 0},
	{"format", CLI_FORMAT_KEY, "FORMAT", 0, "table, json, or a Go template as in Docker", 0},
	{"no-trunc", OPT_NO_TRUNC, 0, 0, "Do not truncate ids, paths and commands", 0},
	{"quiet", 'q', 0, 0, "Show only ids", 0},
	{"size", 's', 0, 0, "Show the memory of each Arrow, in the column where Docker shows the size of its files", 0},
	{0},
};

static const struct cli_heading headings[] = {
	{"ID", "ARROW ID"}, {"RunningFor", "CREATED"}, {0},
};
/* clang-format on */

struct input {
	struct arrow_strings filters;
	const char *format;
	bool quiet, whole, all, size;
	unsigned long last; /* so many at most; 0 for all */
	/* Of each filter: when the Arrow that it names was made, for before= and since=. */
	struct arrow_strings times;
	struct arrow_paths paths;
};

/* What it was made from: the image, the program or the root directory. */
static const char *ps_source(const json_t *o)
{
	return json_text(json_object_get(o, "Config"), "Image");
}

/* Ports as filters have them: "80", "80/udp", "8000-8080/tcp". */
struct port_range {
	unsigned int first, last;
	const char *protocol; /* in the value, or "tcp" */
};

static bool ps_parse_ports(struct port_range *range, const char *value)
{
	char *end;

	range->first = range->last = (unsigned int)strtoul(value, &end, 10);
	if (*value < '0' || *value > '9')
		return false;
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		range->last = (unsigned int)strtoul(end + 1, &end, 10);
	range->protocol = *end == '/' && end[1] ? end + 1 : "tcp";
	return (*end == '\0' || range->protocol == end + 1) && range->first <= range->last &&
	       range->last <= UINT16_MAX;
}

/* Whether an object has a key such as "80/tcp" in a range; with `bound`, one with a port of the
 * host. */
static bool ps_has_port(json_t *ports, const char *value, bool bound)
{
	struct port_range range, port;
	const char *key;
	const json_t *hosts;

	if (!ps_parse_ports(&range, value))
		return false;
	json_object_foreach (ports, key, hosts)
		if (ps_parse_ports(&port, key) && port.first >= range.first &&
			port.first <= range.last && strcmp(port.protocol, range.protocol) == 0 &&
			(!bound || json_array_size(hosts) > 0))
			return true;
	return false;
}

static bool ps_filter_volume(const void *arg, const json_t *o, const char *value)
{
	const json_t *mount;
	size_t i;

	json_array_foreach (json_object_get(o, "Mounts"), i, mount)
		if (strcmp(json_text(mount, "Destination"), value) == 0 ||
			strcmp(json_text(mount, "Source"), value) == 0 ||
			strcmp(json_text(mount, "Name"), value) == 0)
			return true;
	return false;
}

/* How the time of creation compares with that of the Arrow that a filter names. */
static int ps_compare_created(const struct input *in, const json_t *o, const char *value)
{
	for (size_t i = 0; i < in->filters.n; i++)
		if (strchr(in->filters.v[i], '=') + 1 == value)
			return strcmp(json_text(o, "Created"), in->times.v[i]);
	return 0;
}

static bool ps_filter_ancestor(const void *arg, const json_t *o, const char *value)
{
	/* "redis" stands for any tag of it. */
	const char *image = ps_source(o), *slash = strrchr(image, '/');
	size_t size = strlen(value);

	if (strcmp(image, value) == 0 || strcmp(json_text(o, "Image"), value) == 0)
		return true;
	image = slash && !strchr(value, '/') ? slash + 1 : image;
	return strncmp(image, value, size) == 0 && (image[size] == ':' || image[size] == '\0');
}

static bool ps_filter_before(const void *arg, const json_t *o, const char *value)
{
	return ps_compare_created(arg, o, value) < 0;
}

static bool ps_filter_since(const void *arg, const json_t *o, const char *value)
{
	return ps_compare_created(arg, o, value) > 0;
}

static bool ps_filter_exit_code(const void *arg, const json_t *o, const char *value)
{
	const json_t *state = json_object_get(o, "State");
	char code[16];

	snprintf(code, sizeof(code), "%d",
		(int)json_integer_value(json_object_get(state, "ExitCode")));
	return strcmp(json_text(state, "Status"), "exited") == 0 && strcmp(code, value) == 0;
}

static bool ps_filter_exposes(const void *arg, const json_t *o, const char *value)
{
	return ps_has_port(
		json_object_get(json_object_get(o, "Config"), "ExposedPorts"), value, false);
}

static bool ps_filter_publishes(const void *arg, const json_t *o, const char *value)
{
	return ps_has_port(
		json_object_get(json_object_get(o, "NetworkSettings"), "Ports"), value, true);
}

static bool ps_filter_health(const void *arg, const json_t *o, const char *value)
{
	const json_t *health = json_object_get(json_object_get(o, "State"), "Health");

	return strcmp(health ? json_text(health, "Status") : "none", value) == 0;
}

static bool ps_filter_id(const void *arg, const json_t *o, const char *value)
{
	return cli_matches(json_text(o, "Id"), value);
}

/* A task is one of Swarm's. No Arrow is. */
static bool ps_filter_task(const void *arg, const json_t *o, const char *value)
{
	return text_parse_bool(value) == 0;
}

static bool ps_filter_name(const void *arg, const json_t *o, const char *value)
{
	const char *name = json_text(o, "Name");

	return cli_matches(name, value) || cli_matches(name + (*name == '/'), value);
}

/* By name or id. */
static bool ps_filter_network(const void *arg, const json_t *o, const char *value)
{
	json_t *networks = json_object_get(json_object_get(o, "NetworkSettings"), "Networks");
	const char *name;
	const json_t *network;

	json_object_foreach (networks, name, network)
		if (strcmp(name, value) == 0 || strcmp(json_text(network, "NetworkID"), value) == 0)
			return true;
	return strcmp(json_text(json_object_get(o, "HostConfig"), "NetworkMode"), value) == 0;
}

static bool ps_filter_status(const void *arg, const json_t *o, const char *value)
{
	return strcmp(json_text(json_object_get(o, "State"), "Status"), value) == 0;
}

static bool ps_filter_label(const void *arg, const json_t *o, const char *value)
{
	return cli_has_label(json_object_get(json_object_get(o, "Config"), "Labels"), value);
}

static const struct cli_filter filters[] = {
	{"ancestor", ps_filter_ancestor, false},
	{"before", ps_filter_before, false},
	{"exited", ps_filter_exit_code, false},
	{"expose", ps_filter_exposes, false},
	{"health", ps_filter_health, false},
	{"id", ps_filter_id, false, true},
	{"is-task", ps_filter_task, false},
	{"label", ps_filter_label, true},
	{"name", ps_filter_name, false, true},
	{"network", ps_filter_network, false},
	{"publish", ps_filter_publishes, false},
	{"since", ps_filter_since, false},
	{"status", ps_filter_status, false},
	{"volume", ps_filter_volume, false},
	{0},
};

/* Whether the value of a filter can match at all. */
static bool ps_check_value(const struct cli_filter *filter, const char *value)
{
	static const char *const statuses[] = {
		"created", "restarting", "running", "removing", "paused", "exited", "dead", NULL};
	static const char *const healths[] = {"none", "starting", "healthy", "unhealthy", NULL};
	const char *const *words = filter->matches == ps_filter_status   ? statuses
				   : filter->matches == ps_filter_health ? healths
									 : NULL;
	struct port_range range;

	if (filter->matches == ps_filter_exposes || filter->matches == ps_filter_publishes)
		return ps_parse_ports(&range, value);
	if (filter->matches == ps_filter_task)
		return text_parse_bool(value) >= 0;
	if (filter->matches == ps_filter_exit_code)
		return value[strspn(value, "0123456789")] == '\0';
	while (words && *words && strcmp(*words, value) != 0)
		words++;
	return !words || *words;
}

static error_t ps_parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;
	const struct cli_filter *filter;
	char *end = value;

	switch (key) {
	case 'f':
		if (*value == '\0')
			return 0;
		filter = cli_filter_find(filters, value);
		if (!filter || !ps_check_value(filter, strchr(value, '=') + 1)) {
			cli_filter_refuse(state, value);
			return EINVAL;
		}
		if (arrow_strings_add(&in->filters, value) < 0)
			argp_failure(state, ARROW_STATUS_ERROR, 0, "out of memory");
		/* These speak of Arrows that do not run, too, as Docker has it. */
		in->all |= filter->matches == ps_filter_status ||
			   filter->matches == ps_filter_exit_code;
		return 0;
	case CLI_FORMAT_KEY:
		in->format = value;
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case 'l':
		in->last = 1;
		return 0;
	case 'n':
		/* -1 and 0 are Docker's words for all. */
		in->last = *value == '-' ? 0 : strtoul(value, &end, 10);
		if (strcmp(value, "-1") != 0 && (*value < '0' || *value > '9' || *end))
			argp_error(state, "--last takes a number, not '%s'", value);
		return 0;
	case OPT_NO_TRUNC:
		in->whole = true;
		return 0;
	case 'q':
		in->quiet = true;
		return 0;
	case 's':
		in->size = true;
		return 0;
	case ARGP_KEY_ARG:
		cli_argument_error(state, "too many arguments: '%s'", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp ps_argp = {
	options, ps_parse, NULL, "List running Arrows, the newest first.", NULL, NULL, NULL};

static char *ps_command(const struct input *in, const json_t *o)
{
	_cleanup_free_ char *text = strdup(json_text(o, "Path"));
	const json_t *one;
	size_t i, cut;

	json_array_foreach (json_object_get(o, "Args"), i, one) {
		const char *arg = json_string_value(one), *quote = strchr(arg, ' ') ? "'" : "";
		char *longer = text ? path_format("%s %s%s%s", text, quote, arg, quote) : NULL;

		free(text);
		text = longer;
	}
	text = text_clean(text);
	if (!text)
		return NULL;
	cut = human_bytes(text, COMMAND_WIDTH);
	if (in->whole || text[cut] == '\0')
		return path_format("\"%s\"", text);
	return path_format("\"%.*s…\"", (int)human_bytes(text, COMMAND_WIDTH - 1), text);
}

static char *ps_status(const json_t *state)
{
	const char *status = json_text(state, "Status");
	const char *health = json_text(json_object_get(state, "Health"), "Status");
	int code = (int)json_integer_value(json_object_get(state, "ExitCode"));
	_cleanup_free_ char *since = human_age(json_text(state, "StartedAt"), time(NULL));
	_cleanup_free_ char *ago = human_age(json_text(state, "FinishedAt"), time(NULL));

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

/* "0.0.0.0:8080->80/tcp, 90/tcp". */
static char *ps_ports(const json_t *o)
{
	json_t *ports = json_object_get(json_object_get(o, "NetworkSettings"), "Ports");
	char *text = NULL;
	size_t size = 0, i;
	FILE *f;
	const char *key, *gap = "";
	const json_t *list, *one;

	if (json_object_size(ports) == 0)
		return strdup("");
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	json_object_foreach (ports, key, list) {
		json_array_foreach (list, i, one) {
			bool v6 = strchr(json_text(one, "HostIp"), ':') != NULL;

			fprintf(f, "%s%s%s%s:%s->%s", gap, v6 ? "[" : "", json_text(one, "HostIp"),
				v6 ? "]" : "", json_text(one, "HostPort"), key);
			gap = ", ";
		}
	}
	fclose(f);
	return text;
}

static char *ps_mounts(const struct input *in, const json_t *o)
{
	char *text = NULL;
	size_t size = 0, i;
	FILE *f;
	const json_t *one;

	if (json_array_size(json_object_get(o, "Mounts")) == 0)
		return strdup("");
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	json_array_foreach (json_object_get(o, "Mounts"), i, one) {
		const char *source = json_text(one, "Source");
		bool cut = !in->whole && strlen(source) > 15;

		fprintf(f, "%s%.*s%s", i ? "," : "", cut ? (int)human_bytes(source, 14) : 4096,
			source, cut ? "…" : "");
	}
	fclose(f);
	return text;
}

static json_t *ps_row(const struct input *in, const json_t *o)
{
	json_t *state = json_object_get(o, "State");
	json_t *networks = json_object_get(json_object_get(o, "NetworkSettings"), "Networks");
	_cleanup_free_ char *age = human_age(json_text(o, "Created"), time(NULL));
	_cleanup_free_ char *ago = age ? path_format("%s ago", age) : NULL;
	_cleanup_free_ char *command = ps_command(in, o), *status = ps_status(state);
	_cleanup_free_ char *ports = ps_ports(o), *mounts = text_clean(ps_mounts(in, o));
	_cleanup_free_ char *names = cli_join(networks, false),
			    *created = human_time(json_text(o, "Created"));
	json_t *config = json_object_get(o, "Config"), *row;
	_cleanup_free_ char *labels = cli_join(json_object_get(config, "Labels"), true);
	_cleanup_free_ char *size = human_size((unsigned long long)json_integer_value(
		json_object_get(json_object_get(o, "HostConfig"), "Memory")));
	_cleanup_free_ char *source = text_clean(strdup(ps_source(o)));
	const char *id = json_text(o, "Id"), *image = source ? source : "",
		   *base = strrchr(image, '/');

	/* A path of this host says most by its end. */
	if (!in->whole && *image == '/' && base && base[1])
		image = base + 1;
	text_clean(labels);
	row = json_pack("{s:s%, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ID",
		id, in->whole ? strlen(id) : strnlen(id, ARROW_ID_SHORT), "Image", image, "Command",
		command, "CreatedAt", created, "RunningFor", ago, "Ports", ports, "State",
		json_text(state, "Status"), "Status", status, "Size", size, "Names",
		json_text(o, "Name") + 1, "Labels", labels, "Mounts", mounts, "Networks", names);
	/* {{.Label "key"}}, which no JSON has. */
	if (row && in->format && strstr(in->format, ".Label "))
		json_object_set_new(
			row, "Label", cli_clean_json(json_object_get(config, "Labels"), false));
	return row;
}

/* Looks up the Arrows that filters name, once. */
static int ps_look_up(struct input *in, struct arrow_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < in->filters.n; i++) {
		const struct cli_filter *f = cli_filter_find(filters, in->filters.v[i]);
		bool timed = f->matches == ps_filter_before || f->matches == ps_filter_since;
		char id[ARROW_ID_HEX];
		json_t *other = NULL;

		if (timed)
			r = arrow_instance_find(
				&in->paths, strchr(in->filters.v[i], '=') + 1, id, error);
		if (r == 0 && timed)
			r = arrow_describe(&in->paths, id, &other, error);
		if (r == 0 && arrow_strings_add(&in->times, json_text(other, "created")) < 0)
			r = arrow_fail(error, ENOMEM, "out of memory");
		json_decref(other);
	}
	return r;
}

/* The rows of those that are wanted. */
static int ps_collect(struct input *in, json_t *rows, struct arrow_error *error)
{
	json_t *list = NULL;
	const json_t *one;
	size_t i;
	int r = ps_look_up(in, error);

	if (r == 0)
		r = arrow_inspect_all(&in->paths, in->all || in->last, &list, error);
	json_array_foreach (list, i, one) {
		if (in->last && json_array_size(rows) == in->last)
			break;
		if (cli_filter_passes(filters, &in->filters, one, in))
			json_array_append_new(rows, ps_row(in, one));
	}
	json_decref(list);
	return r;
}

int cmd_ps(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {0};
	json_t *rows = json_array();
	int r, status;

	cli_parse(&ps_argp, argc, argv, 0, &in);
	r = cli_paths_init(&in.paths, &error);
	if (r == 0)
		r = ps_collect(&in, rows, &error);
	if (r == 0)
		r = cli_format_rows(in.quiet && !in.format ? "{{.ID}}" : in.format,
			in.size ? WITH_SIZE : STANDARD, headings, rows, &error);
	status = r < 0 ? cli_error(&error) : cli_flush();
	json_decref(rows);
	arrow_paths_release(&in.paths);
	arrow_strings_release(&in.filters);
	arrow_strings_release(&in.times);
	return status;
}
