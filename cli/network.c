// SPDX-License-Identifier: Apache-2.0
/* arrow network create, connect, disconnect, rm and prune: what changes networks. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/filter.h"
#include "cli/input/options.h"
#include "cli/network.h"
#include "cli/output/print.h"
#include "cli/prune.h"
#include "core/client/connect.h"
#include "core/spec/spec.h"
#include "net/address.h"
#include "net/manage.h"
#include "net/net.h"
#include "util/cleanup.h"
#include "util/text.h"

enum {
	OPT_SUBNET = 256,
	OPT_GATEWAY,
	OPT_RANGE,
	OPT_INTERNAL,
	OPT_IPV4,
	OPT_IPV6,
	OPT_LABEL,
	OPT_ATTACHABLE,
	OPT_IPAM_DRIVER,
	OPT_ALIAS,
	OPT_IP,
	OPT_IP6,
	OPT_FILTER,
};

struct input {
	struct arrow_strings names, subnets, gateways, labels, options, aliases;
	size_t least, most; /* names */
	const char *ip, *ip6;
	const char *range;
	bool internal, ipv6, no_ipv4, force;
	struct cli_prune_filter filter;
};

/* clang-format off */
static const struct argp_option create_options[] = {
	{"subnet", OPT_SUBNET, "PREFIX", 0, "Subnet of the network, such as 10.1.0.0/24 or fd00:1::/64", 0},
	{"gateway", OPT_GATEWAY, "ADDRESS", 0, "Address of the host on the network (default: the first)", 0},
	{"ip-range", OPT_RANGE, "PREFIX", 0, "Part of the subnet from which Arrows get their addresses", 0},
	{"internal", OPT_INTERNAL, 0, 0, "Let its Arrows reach only each other", 0},
	{"ipv4", OPT_IPV4, "true|false", OPTION_ARG_OPTIONAL, "Enable IPv4 (true); a network without it has IPv6 only", 0},
	{"ipv6", OPT_IPV6, 0, 0, "Enable IPv6, with a random prefix unless --subnet gives one", 0},
	{"label", OPT_LABEL, "KEY=VALUE", 0, "Attach a label", 0},
	{"opt", 'o', "KEY=VALUE", 0, "Set com.docker.network.driver.mtu=N or com.docker.network.bridge.name=NAME", 0},
	{"driver", 'd', "bridge", 0, "Accepted for compatibility with Docker", 0},
	{"ipam-driver", OPT_IPAM_DRIVER, "default", 0, "Accepted for compatibility with Docker", 0},
	{"attachable", OPT_ATTACHABLE, 0, 0, "Accepted for compatibility with Docker; always on", 0},
	{0},
};

static const struct argp_option connect_options[] = {
	{"alias", OPT_ALIAS, "NAME", 0, "Additional name of the Arrow on the network", 0},
	{"ip", OPT_IP, "ADDRESS", 0, "IPv4 address of the Arrow on the network", 0},
	{"ip6", OPT_IP6, "ADDRESS", 0, "IPv6 address of the Arrow on the network", 0},
	{0},
};

static const struct argp_option disconnect_options[] = {
	{"force", 'f', 0, 0, "Accepted for compatibility with Docker; has no effect", 0},
	{0},
};

static const struct argp_option rm_options[] = {
	{"force", 'f', 0, 0, "Ignore networks that do not exist", 0},
	{0},
};

static const struct argp_option prune_options[] = {
	{"force", 'f', 0, 0, "Do not ask for confirmation", 0},
	{"filter", OPT_FILTER, "FILTER", 0, "Remove only what matches: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]", 0},
	{0},
};
/* clang-format on */

static error_t network_add_text(struct arrow_strings *list, const char *text)
{
	/* As Docker: "" is as if the option were not given. */
	return *text && arrow_strings_add(list, text) < 0 ? ENOMEM : 0;
}

/* family: 4 or 6. Another address ends the command; NULL for none. */
static const char *network_take_address(
	const char *arg, const char *option, uint8_t family, const struct argp_state *state)
{
	struct net_address address;

	if (*arg && (net_address_parse(arg, &address) < 0 || address.family != family))
		argp_error(state, "--%s: invalid IPv%u address '%s'", option, family, arg);
	return *arg ? arg : NULL;
}

static error_t network_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;
	int truth;

	switch (key) {
	case OPT_SUBNET:
		return network_add_text(&in->subnets, arg);
	case OPT_GATEWAY:
		return network_add_text(&in->gateways, arg);
	case OPT_RANGE:
		in->range = *arg ? arg : NULL;
		return 0;
	case OPT_INTERNAL:
		in->internal = true;
		return 0;
	case OPT_IPV6:
		in->ipv6 = true;
		return 0;
	case OPT_LABEL:
		return network_add_text(&in->labels, arg);
	case 'o':
		return network_add_text(&in->options, arg);
	case 'd':
		if (strcmp(arg, "bridge") != 0)
			argp_error(state,
				"--driver: unknown driver '%s'; the only driver is bridge", arg);
		return 0;
	case OPT_IPAM_DRIVER:
		if (strcmp(arg, "default") != 0)
			argp_error(state,
				"--ipam-driver: unknown driver '%s'; the only driver is default",
				arg);
		return 0;
	case OPT_IPV4:
		truth = text_parse_bool(arg);
		if (truth < 0)
			argp_error(state, "--ipv4 takes true or false, not '%s'", arg);
		in->no_ipv4 = truth == 0;
		return 0;
	case OPT_ATTACHABLE:
		return 0;
	case OPT_ALIAS:
		return network_add_text(&in->aliases, arg);
	case OPT_IP:
		in->ip = network_take_address(arg, "ip", 4, state);
		return 0;
	case OPT_IP6:
		in->ip6 = network_take_address(arg, "ip6", 6, state);
		return 0;
	case OPT_FILTER:
		cli_prune_filter_parse(&in->filter, arg, state);
		return 0;
	case 'f':
		in->force = true;
		return 0;
	default:
		return cli_network_parse_names(key, arg, state, &in->names, in->least, in->most);
	}
}

static const struct argp create_argp = {create_options, network_parse, "NETWORK",
	"Create a network, and print its id.\v"
	"Its bridge, firewall rules and name server exist only while Arrows are on it.",
	NULL, NULL, NULL};
static const struct argp connect_argp = {connect_options, network_parse, "NETWORK ARROW",
	"Connect an Arrow to a network, also while it runs.\v"
	"A running Arrow has one spare network card.",
	NULL, NULL, NULL};
static const struct argp disconnect_argp = {disconnect_options, network_parse, "NETWORK ARROW",
	"Disconnect an Arrow from a network, also while it runs.", NULL, NULL, NULL};
static const struct argp rm_argp = {rm_options, network_parse, "NETWORK...",
	"Remove networks that no Arrow is on.", NULL, NULL, NULL};
static const struct argp prune_argp = {prune_options, network_parse, NULL,
	"Remove all networks that no Arrow is on, but for the default one.", NULL, NULL, NULL};

static int network_create(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	_cleanup_network_ struct net_network n = {0};
	const struct net_wish wish = {
		.name = in->names.v[0],
		.subnets = (const char *const *)in->subnets.v,
		.gateways = (const char *const *)in->gateways.v,
		.range = in->range,
		.internal = in->internal,
		.ipv6 = in->ipv6,
		.no_ipv4 = in->no_ipv4,
		.labels = (const char *const *)in->labels.v,
		.options = (const char *const *)in->options.v,
	};
	int r;

	/* Its file could be written, and nothing could ever be on it. */
	if (!net_is_permitted())
		return arrow_fail(error, EPERM,
			"creating networks requires root or CAP_NET_ADMIN, and /dev/net/tun; without them, Arrows have --network user");
	r = net_network_create(&n, paths, &wish, error);
	if (r < 0)
		return r;
	puts(n.id);
	return cli_flush();
}

/* Every network is tried; the exit status tells of those that could not be removed. */
static int network_remove(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	int status = 0;

	for (size_t i = 0; i < in->names.n; i++) {
		_cleanup_error_ struct arrow_error one = ARROW_ERROR_INIT;
		int r = net_network_remove(paths, in->names.v[i], &one);

		if (r == 0) {
			puts(in->names.v[i]);
		} else if (r != -ENOENT || !in->force) {
			(void)cli_error(&one);
			status = 1;
		}
	}
	return cli_flush() ? CLI_FAILED : status;
}

static int network_prune(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	int r;

	if (!in->force) {
		puts("WARNING! This will remove all networks that no Arrow is on.");
		if (!cli_confirm())
			return 0;
	}
	r = cli_prune_networks(paths, &in->filter, error);
	return r < 0 ? r : cli_flush();
}

static int network_join(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;

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

static int network_leave(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;

	signal(SIGPIPE, SIG_IGN);
	return arrow_disconnect(paths, in->names.v[1], in->names.v[0], error);
}

/* locked: the work is done under the lock of all networks; otherwise it takes that itself */
static int network_run(const struct argp *argp, cli_work work, bool locked, struct input *in,
	int argc, char **argv)
{
	int status;

	cli_parse(argp, argc, argv, 0, in);
	status = cli_network_work(work, locked, in);
	arrow_strings_release(&in->names);
	arrow_strings_release(&in->subnets);
	arrow_strings_release(&in->gateways);
	arrow_strings_release(&in->labels);
	arrow_strings_release(&in->options);
	arrow_strings_release(&in->aliases);
	cli_prune_filter_release(&in->filter);
	return status;
}

int cmd_network_create(int argc, char **argv)
{
	struct input in = {.least = 1, .most = 1};

	return network_run(&create_argp, network_create, true, &in, argc, argv);
}

int cmd_network_connect(int argc, char **argv)
{
	struct input in = {.least = 2, .most = 2};

	return network_run(&connect_argp, network_join, false, &in, argc, argv);
}

int cmd_network_disconnect(int argc, char **argv)
{
	struct input in = {.least = 2, .most = 2};

	return network_run(&disconnect_argp, network_leave, false, &in, argc, argv);
}

int cmd_network_rm(int argc, char **argv)
{
	struct input in = {.least = 1, .most = SIZE_MAX};

	return network_run(&rm_argp, network_remove, false, &in, argc, argv);
}

int cmd_network_prune(int argc, char **argv)
{
	struct input in = {0};

	return network_run(&prune_argp, network_prune, false, &in, argc, argv);
}
