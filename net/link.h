/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_LINK_H
#define ARROW_NET_LINK_H

/* Interfaces of the host, by rtnetlink, in the network namespace of the caller. */

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"

#define NET_ALIAS_MAX 80 /* text that marks an interface as ours */

struct net_link {
	int index;
	uint8_t mac[6];
	uint32_t mtu;
	bool up, loopback, ethernet, bridge;
	int master;
	char name[IFNAMSIZ];
	char alias[NET_ALIAS_MAX];
};

/* Returns 0, -ENODEV where there is no such interface, or another negative errno. */
int net_link_find(const char *name, struct net_link *link) ARROW_MUST_CHECK;

/* Makes a bridge, not up yet. Returns 0 or a negative errno (-EEXIST). */
int net_link_make_bridge(const char *name, const uint8_t mac[6], uint32_t mtu) ARROW_MUST_CHECK;

/* Sets the text that marks an interface, which cannot be given when it is made. */
int net_link_set_alias(const char *name, const char *alias) ARROW_MUST_CHECK;

/* Brings an interface up, as a port of a bridge if master is not 0. mtu 0: as it is. */
int net_link_up(int index, int master, uint32_t mtu) ARROW_MUST_CHECK;

/*
 * A port of a bridge gets back what came from it: where br_netfilter is on, a connection to a
 * published port stays in the bridge, also that of an Arrow to itself.
 */
int net_link_set_hairpin(int index) ARROW_MUST_CHECK;

/* Takes an interface down, and off its bridge. */
int net_link_down(int index) ARROW_MUST_CHECK;

/* Removes an interface. One that is not there is no failure. */
int net_link_delete(const char *name);

/* Gives an interface an address, without duplicate address detection. */
int net_link_add_address(int index, const struct net_address *address) ARROW_MUST_CHECK;

struct net_route {
	struct net_address to;  /* prefix 0: everything */
	struct net_address via; /* family 0: on the link */
};

/* Calls each() for the addresses (with their prefixes) of an interface, or of all with index 0. */
int net_link_addresses(
	int index, void (*each)(const struct net_address *, void *arg), void *arg) ARROW_MUST_CHECK;

/* The same for the routes of the main table. */
int net_link_routes(
	int index, void (*each)(const struct net_route *, void *arg), void *arg) ARROW_MUST_CHECK;

/* The first interface that is up, Ethernet and not a loopback. Returns 0 or -ENODEV. */
int net_link_first(struct net_link *link) ARROW_MUST_CHECK;

/*
 * Opens a tap device that goes with its descriptor. It has IFF_VNET_HDR, with the header and the
 * offloads that a guest of Arrow's agrees to.
 *   name: "" for one that the kernel makes up, which is written there
 * Returns the descriptor or a negative errno (-EPERM, -ENOENT: no /dev/net/tun).
 */
int net_tap_open(char name[IFNAMSIZ]) ARROW_MUST_CHECK;

/*
 * All that comes in by `from` leaves by `to`: an ingress queue with one filter.
 * Returns 0 or a negative errno; -EEXIST where somebody has filters there already.
 */
int net_link_redirect(int from, int to) ARROW_MUST_CHECK;
int net_link_unredirect(int index);

#endif
