/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_LEASE_H
#define ARROW_NET_LEASE_H

/*
 * A lease: what one Arrow has of one network. It is a file in RUN/networks/<network>/leases that
 * its keeper holds locked; with the keeper the lock goes, and whoever sees that takes back the
 * address, the names and the elements of the firewall. The tap goes by itself, with its descriptor.
 */

#include "net/names.h"
#include "net/network.h"
#include "net/ports.h"
#include "net/rules.h"

/* The directory of leases on no network of Arrow's: joined bridges and namespaces. */
#define NET_JOINED "@joined"

/* How the names of taps begin: rules.nft guards all that are called so. */
#define NET_TAP "awt"

struct net_lease {
	char network[NET_NAME_MAX + 8]; /* name of its directory */
	char id[65];                    /* of the Arrow */
	char name[NET_NAMES_LONGEST + 1];
	char tap[IFNAMSIZ];
	uint8_t mac[6];
	struct net_address address4, address6; /* with the prefix of the network */
	bool free;                             /* its IP addresses are not known */
	char *netns, *device; /* where the traffic of an interface is taken over; else NULL */
	json_t *aliases;      /* array of strings, owned */
	struct net_ports ports;
	int fd; /* the locked file; -1 for one that was only read */
};

/* Writes the file of a lease and locks it; net_lease_take() does so itself. */
int net_lease_write(struct net_lease *lease, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Makes the names known, see net/names.h; hold the lock. */
int net_lease_publish_names(
	const struct net_lease *lease, const struct arrow_paths *paths) ARROW_MUST_CHECK;

/*
 * Gives a running Arrow another name, on all networks it is on, from now on. Takes the lock.
 * Returns 0 or a negative errno: then it has the old one everywhere. One that is on none needs
 * nothing.
 */
int net_lease_rename(const struct arrow_paths *paths, const char *id, const char *name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* What it has in the firewall. */
void net_lease_elements(const struct net_lease *lease, struct net_elements *elements);

/*
 * Takes all back; hold the lock. The lease is released, too. Returns what net_rules_remove() does.
 */
int net_lease_end(struct net_lease *lease, const struct arrow_paths *paths);

/* Calls each() for every lease of a directory; dead ones are those whose keeper is gone. */
int net_lease_each(const struct arrow_paths *paths, const char *network,
	void (*each)(struct net_lease *lease, bool dead, void *arg), void *arg);

/* The same by the ids of their Arrows: none of them is read. */
int net_lease_each_id(const struct arrow_paths *paths, const char *network,
	void (*each)(const char *id, void *arg), void *arg);

/* Takes back what dead Arrows had; hold the lock. Returns how many live. */
unsigned int net_lease_sweep(const struct arrow_paths *paths, const char *network);

/* Takes back one lease if its keeper is gone; hold the lock. Returns true if the keeper lives. */
bool net_lease_sweep_one(const struct arrow_paths *paths, const char *network, const char *id);

/* How many leases a directory holds, dead ones too, without reading any. */
unsigned int net_lease_count(const struct arrow_paths *paths, const char *network);

/* Sweeps all directories; hold the lock. */
void net_lease_sweep_all(const struct arrow_paths *paths);

/*
 * The same, but for networks whose watch lives: that sweeps them.
 *   joined: NET_JOINED, too
 */
void net_lease_sweep_unwatched(const struct arrow_paths *paths, bool joined);

/*
 * The published ports of a living Arrow, by its name, its id or a prefix of that. Takes the lock.
 * Errors: -ENOENT.
 */
int net_lease_ports(const struct arrow_paths *paths, const char *arrow, struct net_ports *ports,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Docker's "Containers" of a network: {id: {Name, MacAddress, IPv4Address, IPv6Address}}. */
json_t *net_lease_json(const struct arrow_paths *paths, const struct net_network *network);

void net_lease_release(struct net_lease *lease);

#endif
