/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_JOIN_H
#define ARROW_NET_JOIN_H

/* Joining what is not Arrow's: an existing bridge, or the interface of a network namespace. */

#include "net/lease_take.h"
#include "net/net.h"

/*
 * Makes the Arrow a port of the bridge `device`. Its address is wish->ip with a prefix, or in the
 * subnet of the bridge, whose address is then the gateway; without one it has none, and the program
 * can ask for one by DHCP. Hold the lock.
 */
int net_join_bridge(struct net_lease *lease, struct net_card *card, const struct arrow_paths *paths,
	const char *device, const struct net_lease_wish *wish,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes over the first interface of a network namespace: what comes to it goes to the Arrow, and
 * the other way round. The Arrow gets its MAC, MTU, addresses and routes. Hold the lock. path: of
 * the namespace, absolute Errors: -EBUSY (it is taken over already), -ENODEV (no interface).
 */
int net_join_namespace(struct net_lease *lease, struct net_card *card,
	const struct arrow_paths *paths, const char *path, const struct net_lease_wish *wish,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
