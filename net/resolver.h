/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_RESOLVER_H
#define ARROW_NET_RESOLVER_H

/*
 * The name server of a network. It knows from whom a question comes, for an Arrow sends from its
 * own addresses only, and answers by the names on all networks of that Arrow (names.h). What nobody
 * there is called goes to the host's resolvers, unless it has no dot, or the Arrow is on internal
 * networks only. Nothing is kept, so every answer is as things are.
 */

#include "net/network.h"

/*
 * Opens its sockets, for UDP and TCP, on the network's gateway, which has to be there. A name
 * server that is killed leaves its port a moment later: it is waited for. Returns 0 or a negative
 * errno (-EADDRINUSE).
 */
int net_resolver_open(const struct net_network *network, int fds[2]) ARROW_MUST_CHECK;

/*
 * Serves them until the process is killed, which it is with its parent, as nobody and without
 * capabilities.
 *   names: descriptor of RUN/names; it need not be reachable by a path
 */
void net_resolver_run(const int fds[2], int names, const char *network, pid_t parent)
	__attribute__((noreturn));

#endif
