/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_CONNTRACK_H
#define ARROW_NET_CONNTRACK_H

/* What the kernel remembers of connections (conntrack), by nfnetlink. */

#include "net/ports.h"

/*
 * Forgets the UDP flows that published ports have led to an Arrow. Each packet of a flow renews its
 * entry, so a client that goes on sending would never reach another Arrow on the same port.
 *   guest: the Arrow's address
 */
void net_conntrack_forget_udp(const struct net_address *guest);

/*
 * Forgets the UDP flows that came to published ports of the host while they were led nowhere: the
 * kernel decides where a flow goes when it begins. For ports whose rules are there by now.
 */
void net_conntrack_forget_unled(const struct net_ports *ports);

#endif
