// SPDX-License-Identifier: Apache-2.0
/* arrow port: the published ports of an Arrow. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "core/instance/instance.h"
#include "core/spec/spec.h"
#include "net/lease.h"
#include "util/cleanup.h"

struct input {
	const char *arrow, *port;
};

static error_t port_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (in->port)
			cli_argument_error(state, "too many arguments");
		*(in->arrow ? &in->port : &in->arrow) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!in->arrow)
			cli_argument_error(state, "requires an Arrow");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp port_argp = {
	NULL,
	port_parse,
	"ARROW [PORT[/udp]]",
	"Show the published ports of an Arrow.",
	NULL,
	NULL,
	NULL,
};

/* Prints a port as Docker does, "80/tcp -> 0.0.0.0:8080", or only where it leads from. */
static void print_one(const struct net_port *p, const char *host, bool only)
{
	if (!only)
		printf("%u/%s -> ", p->guest_port, p->udp ? "udp" : "tcp");
	printf(strchr(host, ':') ? "[%s]:%u\n" : "%s:%u\n", host, p->host_port);
}

static int print_ports(const struct input *in, const struct net_ports *ports, struct arrow_error *e)
{
	struct net_ports wanted = {0};
	size_t printed = 0;
	int r = in->port ? net_ports_expose(&wanted, in->port, e) : 0;

	for (size_t i = 0; r == 0 && i < ports->n; i++) {
		const struct net_port *p = &ports->v[i];
		char text[NET_ADDRESS_TEXT];

		if (in->port &&
			(p->guest_port != wanted.v[0].guest_port || p->udp != wanted.v[0].udp))
			continue;
		net_address_text(&p->host, false, text);
		print_one(p, *text ? text : "0.0.0.0", in->port);
		if (!*text)
			print_one(p, "::", in->port);
		printed++;
	}
	net_ports_release(&wanted);
	if (r == 0 && in->port && printed == 0)
		r = arrow_fail(e, ENOENT, "%s does not publish port %s", in->arrow, in->port);
	return r < 0 ? r : cli_flush();
}

/* One that does not run, or is on no network, has none, as in Docker. */
static int port_collect(const struct arrow_paths *paths, const char *arrow, struct net_ports *ports,
	struct arrow_error *error)
{
	char id[ARROW_ID_HEX];
	int r = arrow_instance_find(paths, arrow, id, error);

	if (r < 0)
		return r;
	r = net_lease_ports(paths, id, ports, error);
	if (r == -ENOENT) {
		arrow_error_clear(error);
		r = 0;
	}
	return r;
}

int cmd_port(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct net_ports ports = {0};
	struct input in = {0};
	int r;

	cli_parse(&port_argp, argc, argv, 0, &in);
	r = cli_paths_init(&paths, &error);
	if (r == 0)
		r = port_collect(&paths, in.arrow, &ports, &error);
	if (r == 0)
		r = print_ports(&in, &ports, &error);
	if (r < 0) {
		cli_error(&error);
		r = 1; /* as Docker */
	}
	net_ports_release(&ports);
	arrow_paths_release(&paths);
	return r;
}
