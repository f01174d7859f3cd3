// SPDX-License-Identifier: Apache-2.0
/*
 * Cards of an Arrow that runs change their network. The VM keeps its cards, and the taps behind
 * them: a tap only goes from bridge to bridge.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "util/cleanup.h"
#include "util/io.h"

int net_card_on(const struct net_attachment *a, const char *text)
{
	for (unsigned int i = 0; i < a->n_cards; i++)
		if (!a->cards[i].idle && a->cards[i].name && strcmp(a->cards[i].name, text) == 0)
			return (int)i;
	return -1;
}

/* Who resolves names and which card leads out, as it would be if the Arrow started now. */
static void choose_again(struct net_attachment *a)
{
	a->n_dns = 0;
	a->names = false;
	for (unsigned int i = 0; i < a->n_cards; i++) {
		_cleanup_network_ struct net_network n = {0};

		if (a->cards[i].idle || net_network_find(&n, &a->paths, a->leases[i].network) < 0)
			continue;
		net_use_resolver(a, &n);
		net_lead_out(a, i, &n);
	}
	net_resolv_read(&a->host, NET_RESOLV_CONF);
	net_use_host_resolvers(a);
}

/* Makes a card idle: it keeps its tap, which is on no bridge any more. */
static void take_off(struct net_attachment *a, unsigned int index)
{
	struct net_card *card = &a->cards[index];
	struct net_lease *lease = &a->leases[index];
	bool serves = lease->ports.n > 0;
	struct net_link tap;

	/* Before its guard goes. One that does not come off goes altogether. */
	if (net_link_find(lease->tap, &tap) == 0 && net_link_down(tap.index) < 0) {
		net_link_delete(lease->tap);
		close_keep_errno(steal_fd(&card->fd));
	}
	if (lease->fd >= 0)
		close_keep_errno(net_lease_end(lease, &a->paths));
	else
		net_lease_release(lease);
	free(card->name);
	*card = (struct net_card){.kind = card->kind, .fd = card->fd, .idle = true};
	if (serves) {
		net_stop_serving(a);
		net_sockets_release(&a->sockets);
	}
}

int net_disconnect(struct net_attachment *a, unsigned int index, struct arrow_error *error)
{
	_cleanup_close_ int lock = -1;

	if (a->cards[index].kind != NET_CARD_TAP || a->leases[index].netns)
		return arrow_fail(error, EBUSY,
			"network %s cannot be disconnected while the Arrow runs: stop it first",
			a->cards[index].name);
	lock = net_lock(&a->paths, error);
	if (lock < 0)
		return lock;
	take_off(a, index);
	choose_again(a);
	return 0;
}

int net_connect(struct net_attachment *a, const char *network, const struct net_request *request,
	struct arrow_error *error)
{
	struct net_lease_wish wish = {
		.id = request->id,
		.name = request->name,
		.aliases = request->aliases,
		.more_aliases = request->endpoints[0].aliases,
		.ip = request->endpoints[0].ip,
		.ip6 = request->endpoints[0].ip6,
		.mac = request->endpoints[0].mac,
	};
	_cleanup_close_ int lock = -1;
	bool served = false;
	unsigned int i = 0;
	int r = 0;

	for (unsigned int n = 0; n < a->n_leases; n++)
		served |= a->leases[n].ports.n > 0;
	while (i < a->n_cards && (!a->cards[i].idle || a->cards[i].fd < 0))
		i++;
	if (i == a->n_cards)
		return arrow_fail(error, ENOSPC,
			"all network cards of the Arrow are in use, and a running microVM cannot get more: stop the Arrow, connect it, and start it again");
	wish.card = i;
	if (a->ports.n && !served) {
		wish.ports = &a->ports;
		r = net_sockets_bind(&a->sockets, &a->ports, error);
	}
	if (r == 0)
		r = lock = net_lock(&a->paths, error);
	if (r < 0) {
		net_sockets_release(&a->sockets);
		return r;
	}
	a->cards[i].idle = false;
	a->cards[i].name = strdup(network);
	r = a->cards[i].name ? net_attach_network(a, i, network, &wish, error)
			     : arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0 && wish.ports)
		r = net_serve(a, error);
	if (r < 0)
		take_off(a, i);
	choose_again(a);
	return r;
}
