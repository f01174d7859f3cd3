// SPDX-License-Identifier: Apache-2.0
/* arrow network ls and inspect, and what all commands of networks have in common. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/filter.h"
#include "cli/input/options.h"
#include "cli/network.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "net/lease.h"
#include "net/manage.h"
#include "net/settle.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

#define SHORT_ID 12
#define STANDARD                                                                                   \
	"table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}\t{{.Subnet}}\t{{.Bridge}}\t{{.Arrows}}"

enum { OPT_NO_TRUNC = 256 };

struct input {
	struct arrow_strings names, filters;
	const char *format;
	bool quiet, whole;
	json_t *found;
	const struct arrow_paths *paths;
};

/* ---- for all of them ---- */

error_t cli_network_parse_names(int key, char *arg, struct argp_state *state,
	struct arrow_strings *names, size_t least, size_t most)
{
	if (key == ARGP_KEY_ARG) {
		if (names->n == most)
			cli_argument_error(state, "too many arguments: '%s'", arg);
		return arrow_strings_add(names, arg) < 0 ? ENOMEM : 0;
	}
	if (key != ARGP_KEY_END)
		return ARGP_ERR_UNKNOWN;
	if (names->n < least)
		cli_argument_error(state, "requires %s",
			least == 2 ? "a network and an Arrow" : "a network, by name or id");
	return 0;
}

struct locking {
	cli_work work;
	void *arg;
	bool locked;
};

static int network_work(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct locking *l = arg;
	_cleanup_close_ int lock = -1;
	struct net_findings findings;
	int r = net_settle(paths, true, &findings, error);

	if (r == 0 && l->locked) {
		lock = net_lock(paths, error);
		r = lock < 0 ? lock : 0;
	}
	if (r == 0)
		r = l->work(paths, l->arg, error);
	return r;
}

int cli_network_work(cli_work work, bool locked, void *arg)
{
	struct locking l = {.work = work, .arg = arg, .locked = locked};

	return cli_with_paths(network_work, &l);
}

/* ---- ls ---- */

static bool network_is_builtin(const json_t *n)
{
	return strcmp(json_text(n, "Name"), NET_DEFAULT) == 0;
}

static bool network_filter_dangling(const void *arg, const json_t *n, const char *value)
{
	bool dangling =
		!network_is_builtin(n) && json_object_size(json_object_get(n, "Containers")) == 0;

	return dangling == (text_parse_bool(value) == 1);
}

static bool network_filter_driver(const void *arg, const json_t *n, const char *value)
{
	return strcmp(json_text(n, "Driver"), value) == 0;
}

static bool network_filter_id(const void *arg, const json_t *n, const char *value)
{
	return cli_matches(json_text(n, "Id"), value);
}

static bool network_filter_label(const void *arg, const json_t *n, const char *value)
{
	return cli_has_label(json_object_get(n, "Labels"), value);
}

static bool network_filter_name(const void *arg, const json_t *n, const char *value)
{
	return cli_matches(json_text(n, "Name"), value);
}

static bool network_filter_scope(const void *arg, const json_t *n, const char *value)
{
	return strcmp(json_text(n, "Scope"), value) == 0;
}

static bool network_filter_type(const void *arg, const json_t *n, const char *value)
{
	return network_is_builtin(n) == (strcmp(value, "builtin") == 0);
}

static const struct cli_filter filters[] = {
	{"dangling", network_filter_dangling, false},
	{"driver", network_filter_driver, false},
	{"id", network_filter_id, false, true},
	{"label", network_filter_label, true},
	{"name", network_filter_name, false, true},
	{"scope", network_filter_scope, false},
	{"type", network_filter_type, false},
	{0},
};

/* Whether the value of a filter can match at all. */
static bool network_check_value(const struct cli_filter *filter, const char *value)
{
	if (filter->matches == network_filter_dangling)
		return text_parse_bool(value) >= 0;
	if (filter->matches == network_filter_type)
		return strcmp(value, "builtin") == 0 || strcmp(value, "custom") == 0;
	return true;
}

static error_t network_parse_list(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;
	const struct cli_filter *filter;

	switch (key) {
	case 'f':
		if (*arg == '\0')
			return 0;
		filter = cli_filter_find(filters, arg);
		if (!filter || !network_check_value(filter, strchr(arg, '=') + 1)) {
			cli_filter_refuse(state, arg);
			return EINVAL;
		}
		return arrow_strings_add(&in->filters, arg) < 0 ? ENOMEM : 0;
	case CLI_FORMAT_KEY:
		in->format = arg;
		return 0;
	case 'q':
		in->quiet = true;
		return 0;
	case OPT_NO_TRUNC:
		in->whole = true;
		return 0;
	default:
		return cli_network_parse_names(key, arg, state, &in->names, 0, 0);
	}
}

/* clang-format off */
static const struct argp_option list_options[] = {
	{"filter", 'f', "KEY=VALUE", 0, "Show only networks that match: dangling=BOOL, driver=DRIVER, id=EXPRESSION, label=KEY[=VALUE], name=EXPRESSION, scope=SCOPE, type=custom|builtin", 0},
	{"format", CLI_FORMAT_KEY, "FORMAT", 0, "table, json, or a Go template as in Docker", 0},
	{"quiet", 'q', 0, 0, "Show only ids", 0},
	{"no-trunc", OPT_NO_TRUNC, 0, 0, "Do not shorten ids", 0},
	{0},
};
/* clang-format on */

static const struct argp list_argp = {
	list_options, network_parse_list, NULL, "List networks.", NULL, NULL, NULL};

static int network_collect(const struct net_network *n, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	json_t *o = net_network_json(n, in->paths);

	if (cli_filter_passes(filters, &in->filters, o, in))
		json_array_append_new(in->found, o);
	else
		json_decref(o);
	return 0;
}

/* What Docker's templates name, and what Arrow's table shows besides. */
static json_t *network_make_row(const struct input *in, const json_t *n)
{
	const json_t *config = json_object_get(json_object_get(n, "IPAM"), "Config");
	const char *four = json_text(json_array_get(config, 0), "Subnet");
	const char *six = json_text(json_array_get(config, 1), "Subnet"), *id = json_text(n, "Id");
	json_t *labels = json_object_get(n, "Labels");
	_cleanup_free_ char *subnet = path_format("%s%s%s", four, *six ? " " : "", six);
	_cleanup_free_ char *created = human_time(json_text(n, "Created"));
	_cleanup_free_ char *joined = text_clean(cli_join(labels, true));
	json_t *row = json_pack("{s:s%, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}",
		"ID", id, in->whole ? strlen(id) : strnlen(id, SHORT_ID), "Name",
		json_text(n, "Name"), "Driver", json_text(n, "Driver"), "Scope",
		json_text(n, "Scope"), "IPv4",
		json_is_true(json_object_get(n, "EnableIPv4")) ? "true" : "false", "IPv6",
		json_is_true(json_object_get(n, "EnableIPv6")) ? "true" : "false", "Internal",
		json_is_true(json_object_get(n, "Internal")) ? "true" : "false", "Labels", joined,
		"CreatedAt", created, "Subnet", subnet, "Bridge", json_text(n, "Bridge"), "Arrows",
		json_sprintf("%zu", json_object_size(json_object_get(n, "Containers"))));

	/* {{.Label "key"}}, which no JSON has. */
	if (row && in->format && strstr(in->format, ".Label "))
		json_object_set_new(row, "Label", cli_clean_json(labels, false));
	return row;
}

static int network_list(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	static const struct cli_heading headings[] = {
		{"ID", "NETWORK ID"}, {"IPv4", "IPV4"}, {"IPv6", "IPV6"}, {0}};
	struct input *in = arg;
	json_t *rows = json_array();
	const json_t *one;
	size_t i;
	int r;

	in->paths = paths;
	r = net_network_list(paths, network_collect, in, error);
	json_array_foreach (in->found, i, one)
		json_array_append_new(rows, network_make_row(in, one));
	if (r == 0)
		r = cli_format_rows(in->quiet && !in->format ? "{{.ID}}" : in->format, STANDARD,
			headings, rows, error);
	json_decref(rows);
	return r < 0 ? r : cli_flush();
}

/* ---- inspect ---- */

static error_t network_parse_inspect(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'f':
		in->format = arg;
		return 0;
	case 'v':
		return 0;
	default:
		return cli_network_parse_names(key, arg, state, &in->names, 1, SIZE_MAX);
	}
}

/* clang-format off */
static const struct argp_option inspect_options[] = {
	{"format", 'f', "FORMAT", 0, "json, or a Go template as in Docker", 0},
	{"verbose", 'v', 0, 0, "Accepted for compatibility with Docker; has no effect", 0},
	{0},
};
/* clang-format on */

static const struct argp inspect_argp = {inspect_options, network_parse_inspect, "NETWORK...",
	"Show details of networks as JSON, in Docker's format.", NULL, NULL, NULL};

/* What was found is shown, whatever was not. */
static int network_inspect(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	int status = 0, r;

	for (size_t i = 0; i < in->names.n; i++) {
		_cleanup_network_ struct net_network n = {0};
		_cleanup_error_ struct arrow_error one = ARROW_ERROR_INIT;

		if (net_network_open(&n, paths, in->names.v[i], &one) == 0) {
			json_array_append_new(in->found, net_network_json(&n, paths));
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

static int network_show(const struct argp *argp, cli_work work, int argc, char **argv)
{
	struct input in = {.found = json_array()};
	int status;

	cli_parse(argp, argc, argv, 0, &in);
	status = cli_network_work(work, true, &in);
	arrow_strings_release(&in.names);
	arrow_strings_release(&in.filters);
	json_decref(in.found);
	return status;
}

int cmd_network_ls(int argc, char **argv)
{
	return network_show(&list_argp, network_list, argc, argv);
}

int cmd_network_inspect(int argc, char **argv)
{
	return network_show(&inspect_argp, network_inspect, argc, argv);
}
