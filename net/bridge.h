/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_BRIDGE_H
#define ARROW_NET_BRIDGE_H

/*
 * What there is of a network while Arrows are on it: the bridge with its addresses, its elements in
 * the firewall, and the process that watches over it. All of it goes with the last Arrow.
 */

#include "net/link.h"
#include "net/network.h"

/*
 * Looks for the bridge. Returns 0, -ENODEV, -EEXIST (it is an interface of somebody else) or
 * another negative errno.
 */
int net_bridge_find(const struct net_network *network, struct net_link *link) ARROW_MUST_CHECK;

/* Removes all of it; hold the lock, and see that no Arrow is on it. */
void net_bridge_down(const struct net_network *network, const struct arrow_paths *paths);

/* True if there is something of a network that net_bridge_down() removes. */
bool net_bridge_left(const struct net_network *network, const struct arrow_paths *paths);

/* True if the bridge is there, is up and has its address. */
bool net_bridge_stands(const struct net_network *network);

/*
 * True if it stands and the rules are there, with what the network itself has in them, and each of
 * its taps: a flush takes all of a set. No lease is read for that. Hold the lock.
 */
bool net_bridge_has_rules(const struct net_network *network, const struct arrow_paths *paths);

/* True if, besides, all Arrows of the network are on the bridge, and all their rules are there. */
bool net_bridge_whole(const struct net_network *network, const struct arrow_paths *paths);

/* The rules of Arrows on bridges that are not Arrow's; hold the lock. */
int net_joined_repair(const struct arrow_paths *paths, struct arrow_error *error) ARROW_MUST_CHECK;

/* Makes the bridge whole again; hold the lock. */
int net_bridge_repair(const struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
