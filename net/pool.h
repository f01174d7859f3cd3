/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_POOL_H
#define ARROW_NET_POOL_H

/*
 * Subnets for networks that name none. DATA/networks/pools.json may list where they are taken from,
 * as Docker's default-address-pools: [{"base": "10.80.0.0/12", "size": 20}].
 */

#include "net/network.h"

/*
 * Chooses the subnets and gateways that the network lacks, and checks those that it has, against
 * the addresses and routes of the host and the other networks.
 *   ipv6: it shall have an IPv6 subnet; one that is ipv6_only gets no other
 * Errors: -EADDRINUSE (a collision), -ENOSPC (the pools are used up).
 */
int net_pool_choose(struct net_network *network, bool ipv6, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
