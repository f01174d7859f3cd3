/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_BRIDGE_H
#define ARROW_NET_BRIDGE_H

/*
 * What there is of a network while Arrows are on it: the bridge with its addresses, its elements in
 * the firewall, and the process that watches over it. All of it goes with the last Arrow.
 */

#include "net/network.h"

/*
 * Makes what is missing; hold the lock.
 * Errors: a subnet that collides with the host's by now, a bridge of somebody else, no right.
 */
int net_bridge_up(const struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes all of it; hold the lock, and see that no Arrow is on it. */
void net_bridge_down(const struct net_network *network, const struct arrow_paths *paths);

/* True if there is something of a network that net_bridge_down() removes. */
bool net_bridge_left(const struct net_network *network, const struct arrow_paths *paths);

/* True if the bridge is there, is up and has its address. */
bool net_bridge_stands(const struct net_network *network);

/* True if, besides, all Arrows of the network are on the bridge, and all their rules are there. */
bool net_bridge_whole(const struct net_network *network, const struct arrow_paths *paths);

/* The rules of Arrows on bridges that are not Arrow's; hold the lock. */
int net_joined_repair(const struct arrow_paths *paths, struct arrow_error *error) ARROW_MUST_CHECK;

/* Makes the bridge whole again; hold the lock. */
int net_bridge_repair(const struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
