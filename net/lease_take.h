/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_LEASE_TAKE_H
#define ARROW_NET_LEASE_TAKE_H

/* What a new lease gets: addresses that nobody has, a MAC, names, ports. */

#include "net/endpoint.h"
#include "net/lease.h"

/* What the names of a lease are and what it wants; NULL for what does not matter. */
struct net_lease_wish {
	unsigned int card; /* of ethN: one network a card */
	const char *id, *name;
	const char *ip, *ip6, *mac;
	const char *const *aliases, *const *more_aliases; /* NULL-terminated */
	const struct net_ports *ports;
};

/*
 * Takes addresses of a network that is up, and writes the lease; hold the lock. The tap's name is
 * set, and the tap is the caller's to make.
 * Errors: -EADDRINUSE (the gateway's, or another Arrow has it), -EINVAL (none of the network's),
 * -ENOSPC.
 */
int net_lease_take(struct net_lease *lease, const struct arrow_paths *paths,
	const struct net_network *network, const struct net_lease_wish *wish,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Whether an Arrow could have the addresses and aliases that are chosen for it on a network, as
 * things are; hold the lock. Errors: as of net_lease_take().
 */
int net_lease_check(const struct arrow_paths *paths, const struct net_network *network,
	const struct net_endpoint *chosen, struct arrow_error *error) ARROW_MUST_CHECK;

/* The name of the tap of an Arrow's card. */
void net_lease_tap_name(char tap[IFNAMSIZ], const struct net_lease_wish *wish);

#endif
