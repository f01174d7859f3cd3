/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_PROXY_H
#define ARROW_NET_PROXY_H

/*
 * The proxy of an Arrow with published ports. Its sockets keep the host's ports taken, and it
 * carries the connections that the firewall does not lead to the Arrow: those over the loopback,
 * and those of a family of addresses that the Arrow lacks.
 */

#include "net/ports.h"

/*
 * Forks the proxy, which dies with the calling process. It takes the sockets over; the caller's
 * copies can be closed.
 *   guest: the Arrow's address
 * Returns the process, whose end need not be waited for, or a negative errno.
 */
int net_proxy_start(const struct net_sockets *sockets, const struct net_ports *ports,
	const struct net_address *guest) ARROW_MUST_CHECK;

#endif
