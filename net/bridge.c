// SPDX-License-Identifier: Apache-2.0
#include "net/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/lease_take.h"
#include "net/link.h"
#include "net/names.h"
#include "net/rules.h"
#include "util/cleanup.h"
#include "util/io.h"

/* How the kernel knows a bridge for ours. */
static void alias_of(const struct net_network *n, char alias[NET_ALIAS_MAX])
{
	snprintf(alias, NET_ALIAS_MAX, "arrow %.12s", n->id);
}

/*
 * A bridge has the address of its gateway in its MAC, or without IPv4 the beginning of its id, from
 * the moment it is made.
 */
static void mac_of(const struct net_network *n, uint8_t mac[6])
{
	mac[0] = 0x02;
	mac[1] = 0xa7;
	memcpy(mac + 2, n->gateway4.bytes, 4);
	for (size_t i = 0; n->ipv6_only && i < 4; i++) {
		unsigned int byte = 0;

		sscanf(n->id + 2 * i, "%2x", &byte);
		mac[2 + i] = (uint8_t)byte;
	}
}

/* The address of the gateway that its name server has. */
static const struct net_address *first_gateway(const struct net_network *n)
{
	return n->gateway4.family ? &n->gateway4 : &n->gateway6;
}

int net_bridge_find(const struct net_network *n, struct net_link *link)
{
	char alias[NET_ALIAS_MAX];
	uint8_t mac[6];
	int r = net_link_find(n->bridge, link);

	if (r < 0)
		return r;
	alias_of(n, alias);
	mac_of(n, mac);
	if (strcmp(link->alias, alias) == 0)
		return 0;
	/* Whoever made it was killed before it could mark it. */
	return link->bridge && !link->alias[0] && memcmp(link->mac, mac, 6) == 0 ? 0 : -EEXIST;
}

static void network_elements(const struct net_network *n, struct net_elements *elements)
{
	net_elements_interface(elements, NET_SET_BRIDGES, n->bridge);
	net_elements_pair(elements, n->bridge, n->bridge);
	net_elements_gateway(elements, first_gateway(n));
	if (n->internal) {
		net_elements_interface(elements, NET_SET_INTERNAL, n->bridge);
		return;
	}
	if (n->subnet4.family)
		net_elements_subnet(elements, &n->subnet4);
	if (n->subnet6.family)
		net_elements_subnet(elements, &n->subnet6);
}

/* Mark, addresses and state of a bridge that is there. */
static int mend_bridge(const struct net_network *n, const struct net_link *link)
{
	struct net_address address = n->gateway4;
	char alias[NET_ALIAS_MAX];
	int r = 0;

	alias_of(n, alias);
	if (!link->alias[0])
		r = net_link_set_alias(n->bridge, alias);
	address.prefix = n->subnet4.prefix;
	if (r == 0 && n->subnet4.family)
		r = net_link_add_address(link->index, &address);
	address = n->gateway6;
	address.prefix = n->subnet6.prefix;
	if (r == 0 && n->subnet6.family)
		r = net_link_add_address(link->index, &address);
	return r < 0 || link->up ? r : net_link_up(link->index, 0, 0);
}

static int make_bridge(const struct net_network *n, struct arrow_error *error)
{
	struct net_link link;
	uint8_t mac[6];
	int r;

	mac_of(n, mac);
	r = net_link_make_bridge(n->bridge, mac, n->mtu);
	if (r == 0) {
		r = net_link_find(n->bridge, &link);
		if (r == 0)
			r = mend_bridge(n, &link);
		if (r < 0)
			net_link_delete(n->bridge);
	}
	return r < 0 ? arrow_fail(error, -r, "cannot create the bridge %s: %m", n->bridge) : 0;
}

struct search {
	const struct net_address *wanted;
	bool found;
};

static void find_address(const struct net_address *address, void *arg)
{
	struct search *search = arg;

	search->found |= net_address_equal(address, search->wanted);
}

bool net_bridge_stands(const struct net_network *n)
{
	struct search search = {.wanted = first_gateway(n)};
	struct net_link link;

	return net_bridge_find(n, &link) == 0 && link.up &&
	       net_link_addresses(link.index, find_address, &search) == 0 && search.found;
}

/* The taps that may send, sorted, and whether they are all that a network has. */
struct taps {
	char (*v)[IFNAMSIZ]; /* owned */
	size_t n;
	int names; /* RUN/names */
	const struct net_network *network;
	bool missing;
};

static void taps_add(const char *tap, void *arg)
{
	struct taps *t = arg;
	char(*larger)[IFNAMSIZ] = t->v;

	/* Doubled when it is full. */
	if ((t->n & (t->n - 1)) == 0)
		larger = realloc(t->v, (t->n ? 2 * t->n : 1) * sizeof(*larger));
	t->missing |= !larger;
	if (larger) {
		t->v = larger;
		snprintf(t->v[t->n++], IFNAMSIZ, "%s", tap);
	}
}

static int taps_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Which card of the Arrow is on the network, its names say. */
static void taps_look_for(const char *id, void *arg)
{
	struct net_lease_wish wish = {.id = id};
	struct taps *t = arg;
	char tap[IFNAMSIZ];

	for (; wish.card < NET_NAMES_NETWORKS; wish.card++) {
		net_lease_tap_name(tap, &wish);
		if (t->n && bsearch(tap, t->v, t->n, sizeof(*t->v), taps_compare) &&
			net_names_card_is_on(
				t->names, id, (char)('0' + wish.card), t->network->name))
			return;
	}
	t->missing = true;
}

static bool bridge_has_taps(const struct net_network *n, const struct arrow_paths *paths)
{
	_cleanup_close_ int names = net_names_open(paths);
	struct taps taps = {.names = names, .network = n};

	if (net_rules_each_tap(taps_add, &taps) < 0)
		taps.missing = true;
	if (taps.n)
		qsort(taps.v, taps.n, sizeof(*taps.v), taps_compare);
	net_lease_each_id(paths, n->name, taps_look_for, &taps);
	free(taps.v);
	return !taps.missing;
}

bool net_bridge_has_rules(const struct net_network *n, const struct arrow_paths *paths)
{
	struct net_elements elements = {0};
	bool all;

	network_elements(n, &elements);
	all = net_bridge_stands(n) && net_rules_whole() && net_rules_have(&elements) &&
	      bridge_has_taps(n, paths);
	net_elements_release(&elements);
	return all;
}

struct ports {
	int bridge;
	uint32_t mtu;
	bool mend, astray; /* one is not on the bridge */
	struct net_elements elements;
};

static void see_lease(struct net_lease *lease, bool dead, void *arg)
{
	struct ports *ports = arg;
	struct net_link tap;

	if (dead)
		return;
	net_lease_elements(lease, &ports->elements);
	/* A tap that is not there is being made, or goes just now. */
	if (!ports->bridge || net_link_find(lease->tap, &tap) < 0 ||
		(tap.up && tap.master == ports->bridge))
		return;
	if (!ports->mend || net_link_up(tap.index, ports->bridge, ports->mtu) < 0 ||
		net_link_set_hairpin(tap.index) < 0)
		ports->astray = true;
}

/* What there has to be in the firewall for a network and its Arrows; and see to their taps. */
static void see_all(
	const struct net_network *n, const struct arrow_paths *paths, struct ports *ports)
{
	struct net_link link;

	if (net_link_find(n->bridge, &link) == 0)
		ports->bridge = link.index;
	ports->mtu = n->mtu;
	network_elements(n, &ports->elements);
	net_lease_each(paths, n->name, see_lease, ports);
	/* Those on bridges of others have nobody else who sees to their rules. */
	ports->bridge = 0;
	net_lease_each(paths, NET_JOINED, see_lease, ports);
}

bool net_bridge_whole(const struct net_network *n, const struct arrow_paths *paths)
{
	struct ports ports = {0};
	bool whole = net_bridge_stands(n) && net_rules_whole();

	if (whole)
		see_all(n, paths, &ports);
	whole = whole && !ports.astray && net_rules_have(&ports.elements);
	net_elements_release(&ports.elements);
	return whole;
}

int net_bridge_repair(
	const struct net_network *n, const struct arrow_paths *paths, struct arrow_error *error)
{
	struct ports ports = {.mend = true};
	struct net_link link;
	int r = net_bridge_find(n, &link);

	if (r == -ENODEV)
		r = make_bridge(n, error);
	else if (r == 0)
		r = mend_bridge(n, &link);
	if (r < 0)
		return error->text ? r
				   : arrow_fail(error, -r, "cannot repair the bridge %s: %m",
					     n->bridge);
	r = net_rules_install(error);
	if (r < 0)
		return r;
	see_all(n, paths, &ports);
	r = net_rules_add(&ports.elements);
	net_elements_release(&ports.elements);
	return r < 0 ? arrow_fail(error, -r, "cannot set up the firewall for %s: %m", n->name) : 0;
}

int net_joined_repair(const struct arrow_paths *paths, struct arrow_error *error)
{
	struct ports ports = {0};
	int r = 0;

	net_lease_each(paths, NET_JOINED, see_lease, &ports);
	if (ports.elements.n)
		r = net_rules_install(error);
	if (ports.elements.n && r == 0) {
		r = net_rules_add(&ports.elements);
		if (r < 0)
			r = arrow_fail(error, -r, "cannot set up the firewall: %m");
	}
	net_elements_release(&ports.elements);
	return r;
}

bool net_bridge_left(const struct net_network *n, const struct arrow_paths *paths)
{
	_cleanup_free_ char *dir = path_format("%s/networks/%s", paths->run, n->name);
	struct net_link link;

	return (dir && access(dir, F_OK) == 0) || net_bridge_find(n, &link) == 0;
}

void net_bridge_down(const struct net_network *n, const struct arrow_paths *paths)
{
	_cleanup_free_ char *dir = path_format("%s/networks/%s", paths->run, n->name);
	struct net_elements elements = {0};
	struct net_link link;

	network_elements(n, &elements);
	close_keep_errno(net_rules_remove(&elements));
	net_elements_release(&elements);
	net_rules_remove_unused();
	if (net_bridge_find(n, &link) == 0)
		net_link_delete(n->bridge);
	net_names_remove(paths, n->name);
	if (dir)
		remove_tree(AT_FDCWD, dir);
}
