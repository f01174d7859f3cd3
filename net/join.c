// SPDX-License-Identifier: Apache-2.0
#include "net/join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/redirect.h"
#include "net/watch.h"
#include "util/cleanup.h"

static void use_address(const struct net_address *address, void *arg)
{
	struct net_card *card = arg;

	/* Link-local ones are made of the MAC, which is the same. */
	if (card->n_addresses < NET_ADDRESSES_MAX &&
		!(address->family == 6 && address->bytes[0] == 0xfe && address->bytes[1] == 0x80))
		card->addresses[card->n_addresses++] = *address;
}

static void use_route(const struct net_route *route, void *arg)
{
	struct net_card *card = arg;

	if (route->to.family == 6 && route->to.bytes[0] == 0xfe && route->to.bytes[1] == 0x80)
		return;
	/* Those of the link first: a gateway must be reached before it leads on. */
	if (card->n_routes == NET_ROUTES_MAX)
		return;
	if (route->via.family) {
		card->routes[card->n_routes++] = *route;
		return;
	}
	memmove(card->routes + 1, card->routes, card->n_routes++ * sizeof(*route));
	card->routes[0] = *route;
}

/* A MAC of the Arrow's id. */
static int take_mac(uint8_t mac[6], const struct net_lease_wish *wish, struct arrow_error *error)
{
	if (wish->mac) {
		if (net_mac_parse(wish->mac, mac) < 0)
			return arrow_fail(error, EINVAL,
				"invalid MAC address '%s': give a unicast one such as 02:00:00:12:34:56",
				wish->mac);
		return 0;
	}
	mac[0] = 0x02;
	for (size_t i = 1; i < 6; i++) {
		unsigned int byte = 0;

		sscanf(wish->id + 2 * i, "%2x", &byte);
		mac[i] = (uint8_t)byte;
	}
	return 0;
}

struct subnet {
	struct net_address address; /* of the bridge, with its prefix */
	const struct net_address *wanted;
};

static void find_subnet(const struct net_address *address, void *arg)
{
	struct subnet *subnet = arg;

	if (net_address_in(address, subnet->wanted))
		subnet->address = *address;
}

/* The addresses that were asked for, in the subnets of the bridge. */
static int take_ip(struct net_card *card, int index, const char *text, uint8_t family,
	struct arrow_error *error)
{
	struct net_address a;
	struct subnet subnet = {.wanted = &a};
	int r;

	if (!text)
		return 0;
	if (net_address_parse(text, &a) < 0 || a.family != family)
		return arrow_fail(error, EINVAL, "invalid IPv%u address '%s'", family, text);
	r = net_link_addresses(index, find_subnet, &subnet);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the addresses of the bridge: %m");
	if (!strchr(text, '/')) {
		if (!subnet.address.family)
			return arrow_fail(error, EINVAL,
				"%s is not in a subnet of the bridge: give its prefix, too, as in %s/24",
				text, text);
		a.prefix = subnet.address.prefix;
	}
	card->addresses[card->n_addresses++] = a;
	if (subnet.address.family)
		card->routes[card->n_routes++] =
			(struct net_route){.to = {.family = family}, .via = subnet.address};
	return 0;
}

static void start_lease(struct net_lease *lease, const struct net_lease_wish *wish)
{
	*lease = (struct net_lease){.fd = -1, .aliases = json_array()};
	snprintf(lease->network, sizeof(lease->network), "%s", NET_JOINED);
	snprintf(lease->id, sizeof(lease->id), "%s", wish->id);
	snprintf(lease->name, sizeof(lease->name), "%s", wish->name);
	net_lease_tap_name(lease->tap, wish);
}

int net_join_bridge(struct net_lease *lease, struct net_card *card, const struct arrow_paths *paths,
	const char *device, const struct net_lease_wish *wish, struct arrow_error *error)
{
	struct net_elements elements = {0};
	struct net_link bridge, tap;
	int r = net_link_find(device, &bridge);

	start_lease(lease, wish);
	if (r < 0)
		return arrow_fail(error, -r,
			"cannot find the bridge %s: %m; 'ip link' lists the interfaces of this host",
			device);
	if (!bridge.bridge)
		return arrow_fail(error, EINVAL, "%s is not a bridge", device);
	r = take_mac(lease->mac, wish, error);
	if (r == 0)
		r = take_ip(card, bridge.index, wish->ip, 4, error);
	if (r == 0)
		r = take_ip(card, bridge.index, wish->ip6, 6, error);
	if (r < 0)
		return r;
	memcpy(card->mac, lease->mac, 6);
	card->mtu = bridge.mtu;
	lease->free = card->n_addresses == 0;
	for (unsigned int i = 0; i < card->n_addresses; i++)
		*(card->addresses[i].family == 6 ? &lease->address6 : &lease->address4) =
			card->addresses[i];
	r = net_lease_write(lease, paths, error);
	if (r == 0 && !net_rules_whole())
		r = net_rules_install(error);
	if (r < 0)
		return r;
	net_lease_elements(lease, &elements);
	r = net_rules_add(&elements);
	net_elements_release(&elements);
	if (r < 0)
		return arrow_fail(error, -r, "cannot set up the firewall for %s: %m", device);
	r = net_watch_start_joined(paths, error);
	if (r < 0)
		return r;
	r = card->fd = net_tap_open(lease->tap);
	if (r >= 0)
		r = net_link_find(lease->tap, &tap);
	if (r == 0)
		r = net_link_up(tap.index, bridge.index, bridge.mtu);
	return r < 0 ? arrow_fail(error, -r, "cannot join the bridge %s: %m", device) : 0;
}

/* Inside the namespace. */
static int take_over(struct net_lease *lease, struct net_card *card, const char *path,
	const struct arrow_paths *paths, struct arrow_error *error)
{
	struct net_link link, tap;
	int r = net_link_first(&link);

	if (r < 0)
		return arrow_fail(error, -r, "the namespace %s has no interface that is up", path);
	memcpy(lease->mac, link.mac, 6);
	memcpy(card->mac, link.mac, 6);
	card->mtu = link.mtu;
	r = net_link_addresses(link.index, use_address, card);
	if (r == 0)
		r = net_link_routes(link.index, use_route, card);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the addresses of %s: %m", link.name);
	lease->netns = strdup(path);
	lease->device = strdup(link.name);
	if (!lease->netns || !lease->device)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = card->fd = net_tap_open(lease->tap);
	if (r >= 0)
		r = net_link_find(lease->tap, &tap);
	if (r == 0)
		r = net_link_up(tap.index, 0, link.mtu);
	if (r < 0)
		return arrow_fail(error, -r, "cannot create a tap in the namespace %s: %m", path);
	/* First what says that the interface is taken: it is undone by the lease. */
	r = net_link_redirect(link.index, tap.index);
	if (r == -EEXIST)
		return arrow_fail(error, EBUSY,
			"the interface %s of %s is taken over already: a namespace can serve one Arrow",
			link.name, path);
	if (r == 0)
		r = net_link_redirect(tap.index, link.index);
	if (r == 0)
		r = net_lease_write(lease, paths, error);
	else
		r = arrow_fail(error, -r, "cannot take over %s of %s: %m", link.name, path);
	if (r < 0)
		net_link_unredirect(link.index);
	return r;
}

int net_join_namespace(struct net_lease *lease, struct net_card *card,
	const struct arrow_paths *paths, const char *path, const struct net_lease_wish *wish,
	struct arrow_error *error)
{
	int before, r;

	start_lease(lease, wish);
	if (wish->ip || wish->ip6 || wish->mac)
		return arrow_fail(error, EINVAL,
			"the Arrow has the addresses of the namespace: leave out --ip, --ip6 and --mac-address");
	before = net_namespace_enter(path);
	if (before < 0)
		return arrow_fail(
			error, -before, "cannot enter the network namespace %s: %m", path);
	r = take_over(lease, card, path, paths, error);
	net_namespace_leave(before);
	return r;
}
