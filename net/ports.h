/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_PORTS_H
#define ARROW_NET_PORTS_H

/* Published ports: the values of -p and --expose, and the sockets that hold the host's ports. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define NET_PORTS_MAX 4096u /* published by one Arrow */

struct net_port {
	struct net_address host; /* family 0: all addresses */
	uint16_t host_port;      /* 0: any that is free */
	uint16_t host_last;      /* the first free one from host_port to here */
	uint16_t guest_port;
	bool udp;
};

struct net_ports {
	struct net_port *v; /* owned */
	size_t n;
};

/*
 * Adds what a value of -p says: [[ADDRESS:]HOST:]GUEST[/udp], with ranges FIRST-LAST. An IPv6
 * address stands in brackets.
 */
int net_ports_parse(
	struct net_ports *ports, const char *text, struct arrow_error *error) ARROW_MUST_CHECK;

/* Adds what a value of --expose says: PORT[-LAST][/udp], to any free port of all addresses. */
int net_ports_expose(
	struct net_ports *ports, const char *text, struct arrow_error *error) ARROW_MUST_CHECK;

int net_ports_copy(struct net_ports *to, const struct net_ports *from) ARROW_MUST_CHECK;
void net_ports_release(struct net_ports *ports);

/* [{"host": "...", "host_port": 8080, "guest_port": 80, "protocol": "tcp"}]; and back. */
json_t *net_ports_json(const struct net_ports *ports);
int net_ports_from_json(struct net_ports *ports, const json_t *json) ARROW_MUST_CHECK;

/*
 * Docker's port map: {"80/tcp": [{"HostIp": "...", "HostPort": "8080"}]}; "" for a number that is
 * open.
 *   bound: all addresses are "0.0.0.0" and "::", as of one that runs; else ""
 */
json_t *net_ports_bindings(const struct net_ports *ports, bool bound);

/* A bound socket of the host, listening if it is TCP's. */
struct net_socket {
	int fd;
	size_t port; /* index */
};

struct net_sockets {
	struct net_socket *v; /* owned, with the descriptors */
	size_t n;
};

/*
 * Takes the ports of the host: IPv4 and, where the host has it, IPv6. Ports that were left open get
 * their numbers.
 * Errors: -EADDRINUSE, -EADDRNOTAVAIL (no such address here), -EACCES (below 1024, without root).
 */
int net_sockets_bind(struct net_sockets *sockets, struct net_ports *ports,
	struct arrow_error *error) ARROW_MUST_CHECK;
void net_sockets_release(struct net_sockets *sockets);

#endif
