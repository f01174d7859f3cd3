// SPDX-License-Identifier: Apache-2.0
/* What an Arrow has of its networks, in the shape of Docker's NetworkSettings. */
#include <stdio.h>
#include <string.h>

#include "net/net.h"

static json_t *card_json(const struct net_card *card)
{
	char mac[NET_MAC_TEXT], text[NET_ADDRESS_TEXT];
	json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:s, s:i, s:s, s:s}", "IPAddress", "",
		"Gateway", "", "IPPrefixLen", 0, "IPv6Gateway", "", "GlobalIPv6Address", "",
		"GlobalIPv6PrefixLen", 0, "NetworkID", "", "MacAddress",
		net_mac_text(card->mac, mac));

	for (unsigned int i = 0; o && i < card->n_addresses; i++) {
		const struct net_address *a = &card->addresses[i];
		bool v4 = a->family == 4;

		json_object_set_new(o, v4 ? "IPAddress" : "GlobalIPv6Address",
			json_string(net_address_text(a, false, text)));
		json_object_set_new(
			o, v4 ? "IPPrefixLen" : "GlobalIPv6PrefixLen", json_integer(a->prefix));
	}
	for (unsigned int i = 0; o && i < card->n_routes; i++) {
		const struct net_route *route = &card->routes[i];

		if (route->to.prefix == 0 && route->via.family)
			json_object_set_new(o, route->via.family == 4 ? "Gateway" : "IPv6Gateway",
				json_string(net_address_text(&route->via, false, text)));
	}
	return o;
}

json_t *net_attachment_json(const struct net_attachment *a)
{
	json_t *ports, *networks;

	if (a->n_cards == 0)
		return NULL;
	ports = net_ports_bindings(&a->ports, true);
	networks = json_object();

	for (unsigned int i = 0; i < a->n_cards; i++) {
		char name[NET_NAME_MAX + 16];

		if (a->cards[i].idle)
			continue;
		/* A card without a lease is on no network of Arrow's. */
		snprintf(name, sizeof(name), "%s",
			i < a->n_leases && a->leases[i].network[0] != '@' ? a->leases[i].network
									  : "user");
		json_object_set_new(networks, name, card_json(&a->cards[i]));
	}
	return json_pack("{s:o, s:o}", "Ports", ports, "Networks", networks);
}
