/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_WATCH_H
#define ARROW_NET_WATCH_H

/*
 * The watch: one small process for each network that is up. It runs the network's name server
 * (net/resolver.h), takes back what killed Arrows had as soon as they are dead, mends a firewall
 * that was flushed, and takes the network down when the last Arrow has left. The first Arrow starts
 * it. It holds the pipe RUN/networks/<network>/alive open for writing, so that keepers see when it
 * is killed: they start it again.
 */

#include "net/network.h"

/*
 * Starts it, if it is not there, and waits until names are resolved. Where port 53 of the gateway
 * is taken there is a network without names. Hold the lock.
 */
int net_watch_start(const struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The same for bridges that are not Arrow's: for the rules of the Arrows that are on them. */
int net_watch_start_joined(
	const struct arrow_paths *paths, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
