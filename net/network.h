/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_NETWORK_H
#define ARROW_NET_NETWORK_H

/*
 * Networks: what `arrow network create` makes. DATA/networks/<name>.json says what a network is,
 * and outlives a reboot. RUN/networks/<name>/ has what there is of it now:
 *
 *   leases/<id>   an Arrow on the network; locked by its keeper for as long as that lives
 *   hosts/<id>    its names, for the name server
 *   watch         locked by the process that watches over the network, while it is up
 *
 * RUN/networks/lock orders all changes.
 */

#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>

#include "net/address.h"
#include "util/paths.h"

#define NET_NAME_MAX 64
#define NET_DEFAULT "bridge" /* the network of `arrow run` */
#define NET_MTU_MIN 576u
#define NET_MTU_MAX 65535u

struct net_network {
	char name[NET_NAME_MAX + 1];
	char id[65];
	char created[32];
	char bridge[IFNAMSIZ];
	/* Family 0 where there is no IPv4 or no IPv6. range4: where leases are taken from. */
	struct net_address subnet4, gateway4, range4;
	struct net_address subnet6, gateway6;
	bool ipv6_only; /* it has no IPv4 subnet, and gets none */
	bool pooled;    /* Arrow chose the IPv4 subnet, and may choose another one */
	bool internal;
	uint32_t mtu;
	json_t *labels, *options; /* objects, owned */
};

/* Takes RUN/networks/lock. Returns the descriptor whose close gives it back. */
int net_lock(const struct arrow_paths *paths, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Reads a network by name, id or prefix of an id (of 4 digits at least).
 * Returns 0, -ENOENT or another negative errno.
 */
int net_network_find(struct net_network *network, const struct arrow_paths *paths,
	const char *name) ARROW_MUST_CHECK;

/* Calls each() for all of them, in the order of their names. */
int net_network_list(const struct arrow_paths *paths,
	int (*each)(const struct net_network *, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* For files of this folder: copies a text of an object; false if it is not there or does not fit.
 */
bool net_take_text(const json_t *o, const char *key, char *to, size_t size) ARROW_MUST_CHECK;

/* For files of this folder: adds an address to an object, unless there is none. */
void net_put_address(json_t *o, const char *key, const struct net_address *address, bool prefix);

/* The same: true for a text that can be the name of a network. */
bool net_network_name_is_valid(const char *name) ARROW_MUST_CHECK;

/* The same: writes DATA/networks/<name>.json; hold the lock. */
int net_network_write(const struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Tells `arrow events` of a network.
 *   container: the id of the Arrow that it is about, or NULL
 */
void net_network_event(const struct arrow_paths *paths, const struct net_network *network,
	const char *action, const char *container);

/* The same for a network by its name or id, if there is one. */
void net_network_event_by_name(const struct arrow_paths *paths, const char *name,
	const char *action, const char *container);

void net_network_release(struct net_network *network);

#define _cleanup_network_ __attribute__((cleanup(net_network_release)))

#endif
