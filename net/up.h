/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_UP_H
#define ARROW_NET_UP_H

/* Bringing a network up, for its first Arrow: bridge, rules and watch. */

#include "net/network.h"

/*
 * Makes what is missing; hold the lock. A network that nobody is on, and whose subnet collides by
 * now, gets another one where Arrow chose the first: network is changed then, and its file.
 * Errors: a subnet that collides with the host's by now, a bridge of somebody else, no right.
 */
int net_network_up(struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
