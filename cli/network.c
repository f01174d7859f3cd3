// SPDX-License-Identifier: Apache-2.0
/* arrow network: makes, shows and removes the networks that Arrows are on. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "core/spec/spec.h"
#include "core/client/connect.h"
#include "net/lease.h"
#include "net/manage.h"
#include "net/network.h"
#include "net/settle.h"
#include "util/cleanup.h"
#include "util/event.h"

enum {
	OPT_SUBNET = 256,
	OPT_GATEWAY,
	OPT_RANGE,
	OPT_INTERNAL,
	OPT_IPV6,
	OPT_LABEL,
	OPT_NO_TRUNC,
	OPT_ALIAS,
	OPT_IP,
	OPT_IP6,
};

struct input {
	const char *command;
	struct arrow_strings names, subnets, gateways, labels, options, aliases;
	const char *ip, *ip6;
	const char *range, *driver;
	bool internal, ipv6, json, quiet, no_trunc, force;
};

/* clang-format off */
static const struct argp_option options[] = {
	{0, 0, 0, 0, "create:", 1},
	{"subnet", OPT_SUBNET, "PREFIX", 0, "Subnet of the network, such as 10.1.0.0/24 or fd00:1::/64", 0},
	{"gateway", OPT_GATEWAY, "ADDRESS", 0, "Address of the host on the network (default: the first)", 0},
	{"ip-range", OPT_RANGE, "PREFIX", 0, "Part of the subnet from which Arrows get their addresses", 0},
	{"internal", OPT_INTERNAL, 0, 0, "Let its Arrows reach only each other", 0},
	{"ipv6", OPT_IPV6, 0, 0, "Enable IPv6, with a random prefix unless --subnet gives one", 0},
	{"label", OPT_LABEL, "KEY=VALUE", 0, "Attach a label", 0},
	{"opt", 'o', "KEY=VALUE", 0, "Set com.docker.network.driver.mtu=N or com.docker.network.bridge.name=NAME", 0},
	{"driver", 'd', "bridge", 0, "Accepted for compatibility with Docker", 0},
	{0, 0, 0, 0, "ls:", 2},
	CLI_FORMAT_OPTION,
	{"quiet", 'q', 0, 0, "Print names only", 0},
	{"no-trunc", OPT_NO_TRUNC, 0, 0, "Do not shorten ids", 0},
	{0, 0, 0, 0, "prune:", 3},
	{"force", 'f', 0, 0, "Accepted for compatibility with Docker, also by disconnect: nothing is asked anyway", 0},
	{0, 0, 0, 0, "connect:", 4},
	{"alias", OPT_ALIAS, "NAME", 0, "Additional name of the Arrow on its networks", 0},
	{"ip", OPT_IP, "ADDRESS", 0, "IPv4 address, on the Arrow's first network only", 0},
	{"ip6", OPT_IP6, "ADDRESS", 0, "IPv6 address, on the Arrow's first network only", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

static error_t network_add_cards(struct arrow_strings *list, const char *text)
{
	return arrow_strings_add(list, text) < 0 ? ENOMEM : 0;
}

static error_t network_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case OPT_SUBNET:
		return network_add_cards(&in->subnets, arg);
	case OPT_GATEWAY:
		return network_add_cards(&in->gateways, arg);
	case OPT_RANGE:
		in->range = arg;
		return 0;
	case OPT_INTERNAL:
		in->internal = true;
		return 0;
	case OPT_IPV6:
		in->ipv6 = true;
		return 0;
	case OPT_LABEL:
		return network_add_cards(&in->labels, arg);
	case 'o':
		return network_add_cards(&in->options, arg);
	case 'd':
		if (strcmp(arg, "bridge") != 0)
			argp_error(state, "unknown driver '%s'; the only driver is bridge", arg);
		return 0;
	case CLI_FORMAT_KEY:
		in->json = cli_format_is_json(arg, state);
		return 0;
	case 'q':
		in->quiet = true;
		return 0;
	case OPT_ALIAS:
		return network_add_cards(&in->aliases, arg);
	case OPT_IP:
		in->ip = arg;
		return 0;
	case OPT_IP6:
		in->ip6 = arg;
		return 0;
	case OPT_NO_TRUNC:
		in->no_trunc = true;
		return 0;
	case 'f':
		in->force = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!in->command) {
			in->command = arg;
			return 0;
		}
		return network_add_cards(&in->names, arg);
	case ARGP_KEY_END:
		if (!in->command)
			argp_error(state,
				"a command is required: create, ls, inspect, connect, disconnect, rm or prune");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp network_argp = {
	options,
	network_parse,
	"create NAME\nls\ninspect NETWORK...\nconnect NETWORK ARROW\ndisconnect NETWORK ARROW\nrm NETWORK...\nprune",
	"Create, show and remove networks.\v"
	"'arrow run --network NAME' puts an Arrow on a network. connect and disconnect change that, also while the Arrow runs; a running Arrow has one spare network card. "
	"The network 'bridge' is created when it is first used. "
	"The bridge, firewall rules and name server of a network exist only while Arrows are on it.",
	NULL,
	NULL,
	NULL,
};

static int network_create(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	const struct net_wish wish = {
		.name = in->names.v[0],
		.subnets = (const char *const *)in->subnets.v,
		.gateways = (const char *const *)in->gateways.v,
		.range = in->range,
		.internal = in->internal,
		.ipv6 = in->ipv6,
		.labels = (const char *const *)in->labels.v,
		.options = (const char *const *)in->options.v,
	};
	int r = net_network_create(&n, paths, &wish, error);

	if (r < 0)
		return r;
	puts(n.id);
	return cli_flush();
}

struct collecting {
	const struct arrow_paths *paths;
	json_t *list;
};

static int network_collect(const struct net_network *n, void *arg, struct arrow_error *error)
{
	struct collecting *c = arg;

	json_array_append_new(c->list, net_network_json(n, c->paths));
	return 0;
}

static char *id_text(const json_t *row, const void *arg)
{
	const struct input *in = arg;
	const char *id = json_string_value(json_object_get(row, "Id"));

	return id ? strndup(id, in->no_trunc ? 64 : 12) : NULL;
}

static char *subnet_text(const json_t *row, const void *arg)
{
	const json_t *config = json_object_get(json_object_get(row, "IPAM"), "Config");
	const char *four = json_string_value(json_object_get(json_array_get(config, 0), "Subnet"));
	const char *six = json_string_value(json_object_get(json_array_get(config, 1), "Subnet"));
	char *text = NULL;

	return asprintf(&text, "%s%s%s", four ? four : "", six ? " " : "", six ? six : "") < 0
		       ? NULL
		       : text;
}

static char *arrows_text(const json_t *row, const void *arg)
{
	char *text = NULL;

	return asprintf(&text, "%zu", json_object_size(json_object_get(row, "Containers"))) < 0
		       ? NULL
		       : text;
}

static int network_list(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	static const struct cli_column columns[] = {
		{"NETWORK ID", NULL, id_text},
		{"NAME", "Name", NULL},
		{"DRIVER", "Driver", NULL},
		{"SUBNET", NULL, subnet_text},
		{"BRIDGE", "Bridge", NULL},
		{"ARROWS", NULL, arrows_text},
		{NULL, NULL, NULL},
	};
	static const struct cli_column names[] = {{NULL, "Name", NULL}, {NULL, NULL, NULL}};
	struct collecting c = {.paths = paths, .list = json_array()};
	int r = net_network_list(paths, network_collect, &c, error);

	if (r == 0)
		r = in->json ? cli_print_json(c.list)
			     : cli_print_table(c.list, in->quiet ? names : columns, in);
	json_decref(c.list);
	return r;
}

static int network_inspect(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	json_t *list = json_array();
	int r = 0;

	for (size_t i = 0; r == 0 && i < in->names.n; i++) {
		_cleanup_network_ struct net_network n = {0};

		r = net_network_open(&n, paths, in->names.v[i], error);
		if (r == 0)
			json_array_append_new(list, net_network_json(&n, paths));
	}
	if (r == 0)
		r = cli_print_json(list);
	json_decref(list);
	return r;
}

static int network_remove(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	for (size_t i = 0; i < in->names.n; i++) {
		int r = net_network_remove(paths, in->names.v[i], error);

		if (r < 0)
			return r;
		puts(in->names.v[i]);
	}
	return cli_flush();
}

static int network_prune(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	struct collecting c = {.paths = paths, .list = json_array()};
	int r = net_network_list(paths, network_collect, &c, error);
	size_t index;
	json_t *o;

	json_array_foreach (c.list, index, o) {
		const char *name = json_string_value(json_object_get(o, "Name"));

		if (r < 0 || strcmp(name, NET_DEFAULT) == 0 ||
			json_object_size(json_object_get(o, "Containers")) > 0)
			continue;
		r = net_network_remove(paths, name, error);
		if (r == 0)
			puts(name);
	}
	json_decref(c.list);
	if (r == 0)
		event_write(
			paths->data, "network", "prune", "", json_pack("{s:s}", "reclaimed", "0"));
	return r < 0 ? r : cli_flush();
}

static int network_join(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	signal(SIGPIPE, SIG_IGN); /* a guest that takes no more is told of by an error */
	return arrow_connect(paths, in->names.v[1],
		&(struct arrow_connection){
			.network = in->names.v[0],
			.ip = in->ip,
			.ip6 = in->ip6,
			.aliases = &in->aliases,
		},
		error);
}

static int network_leave(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	signal(SIGPIPE, SIG_IGN);
	return arrow_disconnect(paths, in->names.v[1], in->names.v[0], error);
}

static int network_run(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	static const struct {
		const char *name;
		int (*run)(const struct input *, const struct arrow_paths *, struct arrow_error *);
		size_t least, most; /* names */
		bool locked;
	} known[] = {
		{"create", network_create, 1, 1, true},
		{"ls", network_list, 0, 0, true},
		{"list", network_list, 0, 0, true},
		{"inspect", network_inspect, 1, SIZE_MAX, true},
		{"connect", network_join, 2, 2, false},
		{"disconnect", network_leave, 2, 2, false},
		{"rm", network_remove, 1, SIZE_MAX, true},
		{"prune", network_prune, 0, 0, true},
	};
	_cleanup_close_ int lock = -1;
	struct net_findings findings;
	size_t i = 0, n = sizeof(known) / sizeof(*known);
	int r;

	while (i < n && strcmp(in->command, known[i].name) != 0)
		i++;
	if (i == n)
		return arrow_fail(error, EINVAL,
			"unknown command 'network %s'; the commands are create, ls, inspect, connect, disconnect, rm and prune",
			in->command);
	if (in->names.n < known[i].least || in->names.n > known[i].most)
		return arrow_fail(error, EINVAL, "network %s takes %s", in->command,
			known[i].most == 0                ? "no names"
			: known[i].most == 2              ? "a network and an Arrow"
			: known[i].least == known[i].most ? "one name"
							  : "at least one network");
	r = net_settle(paths, true, &findings, error);
	if (r < 0)
		return r;
	if (known[i].locked) {
		lock = net_lock(paths, error);
		if (lock < 0)
			return lock;
	}
	return known[i].run(in, paths, error);
}

int cmd_network(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {0};
	int r;

	cli_parse(&network_argp, argc, argv, 0, &in);
	r = cli_paths_init(&paths, &error);
	if (r == 0)
		r = network_run(&in, &paths, &error);
	if (r < 0)
		r = cli_error(&error);
	arrow_paths_release(&paths);
	arrow_strings_release(&in.names);
	arrow_strings_release(&in.subnets);
	arrow_strings_release(&in.gateways);
	arrow_strings_release(&in.labels);
	arrow_strings_release(&in.options);
	arrow_strings_release(&in.aliases);
	return r;
}
