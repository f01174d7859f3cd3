/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_MANAGE_H
#define ARROW_NET_MANAGE_H

/* What `arrow network` does with networks: it creates, shows and removes them. */

#include "net/network.h"

/* What is asked for; texts are those of the options, NULL where not given. */
struct net_wish {
	const char *name;
	const char *const *subnets; /* NULL-terminated: one IPv4, one IPv6 at most */
	const char *const *gateways;
	const char *range;
	bool internal, ipv6, no_ipv4;
	const char *const *labels;  /* KEY=VALUE */
	const char *const *options; /* com.docker.network.driver.mtu=N, ...bridge.name=NAME */
};

/*
 * Reads a network by name, id or prefix of an id (of 4 digits at least). The default one is made
 * when it is first asked for; hold the lock.
 * Errors: -ENOENT.
 */
int net_network_open(struct net_network *network, const struct arrow_paths *paths, const char *name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Makes one; hold the lock. Errors: -EEXIST, a subnet that collides with the host's or another. */
int net_network_create(struct net_network *network, const struct arrow_paths *paths,
	const struct net_wish *wish, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes one that no Arrow is on, and waits until its name server has gone. Takes the lock, and
 * waits without it. Errors: -EBUSY.
 */
int net_network_remove(const struct arrow_paths *paths, const char *name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* As Docker's `network inspect` has it, with the Arrows that are on it. Owned by the caller. */
json_t *net_network_json(const struct net_network *network, const struct arrow_paths *paths);

#endif
