// SPDX-License-Identifier: Apache-2.0
#include "net/lease_take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/names.h"
#include "util/cleanup.h"

/* The addresses of a network that are taken, of both families. */
struct taken {
	struct net_address *v; /* owned; sorted */
	size_t n;
	bool failed;
};

static void lease_add_taken(const struct net_address *address, void *arg)
{
	struct taken *taken = arg;
	struct net_address *larger = taken->v;

	/* Doubled when it is full. */
	if ((taken->n & (taken->n - 1)) == 0)
		larger = realloc(taken->v, (taken->n ? 2 * taken->n : 1) * sizeof(*larger));
	if (!larger) {
		taken->failed = true;
		return;
	}
	taken->v = larger;
	taken->v[taken->n++] = *address;
}

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct net_address));
}

static bool is_taken(const struct taken *taken, const struct net_address *address)
{
	return taken->n && bsearch(address, taken->v, taken->n, sizeof(*taken->v), by_address);
}

static void lease_add_of(struct net_lease *lease, bool dead, void *arg)
{
	struct net_address *addresses[] = {&lease->address4, &lease->address6};

	for (size_t i = 0; i < 2; i++) {
		addresses[i]->prefix = (uint8_t)net_address_bits(addresses[i]->family);
		if (addresses[i]->family)
			lease_add_taken(addresses[i], arg);
	}
}

/*
 * From one directory, however many leases there are: none of them is opened. They are where the
 * names are missing: of a network that is down, or that an older version brought up.
 */
static int lease_list_taken(
	struct taken *taken, const struct arrow_paths *paths, const struct net_network *n)
{
	int r = net_names_addresses(paths, n->name, lease_add_taken, taken);

	if (r == -ENOENT)
		r = net_lease_each(paths, n->name, lease_add_of, taken);
	if (r == 0 && taken->failed)
		r = -ENOMEM;
	if (r == 0 && taken->n)
		qsort(taken->v, taken->n, sizeof(*taken->v), by_address);
	return r;
}

/* The lowest address of the range that nobody has. Returns 0 or -ENOSPC. */
static int lease_find_free(struct net_address *address, const struct net_network *n, uint8_t family,
	const struct taken *taken)
{
	const struct net_address *subnet = family == 6 ? &n->subnet6 : &n->subnet4;
	const struct net_address *range = family == 6 ? &n->subnet6 : &n->range4;
	const struct net_address *gateway = family == 6 ? &n->gateway6 : &n->gateway4;
	struct net_address first = net_address_first(subnet), last = net_address_last(subnet);
	struct net_address a = net_address_first(range), end = net_address_last(range);

	while (net_address_equal(&a, &first) || net_address_equal(&a, gateway) ||
		is_taken(taken, &a)) {
		if (net_address_equal(&a, &end))
			return -ENOSPC;
		a = net_address_add(&a, 1);
	}
	*address = a;
	return family == 4 && net_address_equal(&a, &last) ? -ENOSPC : 0;
}

/* The address that is asked for. Returns 0, -EINVAL, or -EADDRINUSE. */
static int lease_take_wanted(struct net_address *address, const struct net_network *n,
	uint8_t family, const char *wanted, const struct taken *taken)
{
	const struct net_address *subnet = family == 6 ? &n->subnet6 : &n->subnet4;
	struct net_address first = net_address_first(subnet), last = net_address_last(subnet);

	if (net_address_parse(wanted, address) < 0 || address->family != family ||
		address->prefix != net_address_bits(family) || !net_address_in(subnet, address) ||
		net_address_equal(address, &first) ||
		(family == 4 && net_address_equal(address, &last)))
		return -EINVAL;
	return is_taken(taken, address) ||
			       net_address_equal(address, family == 6 ? &n->gateway6 : &n->gateway4)
		       ? -EADDRINUSE
		       : 0;
}

/*
 * The lowest address of the range that nobody has, or the one that is asked for. None of a family
 * that the network lacks.
 */
static int lease_choose(struct net_address *address, const struct arrow_paths *paths,
	const struct net_network *n, uint8_t family, const char *wanted, struct arrow_error *error)
{
	const struct net_address *subnet = family == 6 ? &n->subnet6 : &n->subnet4;
	const struct net_address *range = family == 6 ? &n->subnet6 : &n->range4;
	char text[NET_ADDRESS_TEXT];
	int r = -EAGAIN;

	*address = (struct net_address){0};
	if (!subnet->family)
		return wanted ? arrow_fail(error, EINVAL,
					"network %s has no IPv%u: leave out the address %s",
					n->name, family, wanted)
			      : 0;
	for (int tries = 0; tries < 2 && r != 0 && r != -EINVAL; tries++) {
		struct taken taken = {0};

		/* Of an Arrow that was killed just now, which the watch comes to in a moment. */
		if (tries)
			net_lease_sweep(paths, n->name);
		r = lease_list_taken(&taken, paths, n);
		if (r == 0)
			r = wanted ? lease_take_wanted(address, n, family, wanted, &taken)
				   : lease_find_free(address, n, family, &taken);
		free(taken.v);
	}
	if (r == 0)
		address->prefix = subnet->prefix;
	if (r == -EINVAL)
		arrow_fail(error, EINVAL, "invalid address %s: network %s has the subnet %s",
			wanted, n->name, net_address_text(subnet, true, text));
	else if (r == -EADDRINUSE)
		arrow_fail(error, EADDRINUSE, "the address %s is in use on network %s", wanted,
			n->name);
	else if (r == -ENOSPC)
		arrow_fail(error, ENOSPC,
			"network %s has no free address in %s: stop an Arrow, or create a larger network",
			n->name, net_address_text(range, true, text));
	else if (r < 0)
		arrow_fail(error, -r, "cannot look for a free address on network %s: %m", n->name);
	return r;
}

void net_lease_tap_name(char tap[IFNAMSIZ], const struct net_lease_wish *wish)
{
	snprintf(tap, IFNAMSIZ, NET_TAP "%u-%.10s", wish->card % 10, wish->id);
}

static int lease_check_aliases(const char *const *aliases, struct arrow_error *error)
{
	for (const char *const *a = aliases; a && *a; a++)
		if (!net_names_is_valid(*a))
			return arrow_fail(error, EINVAL,
				"invalid network alias '%s': use 1 to %u letters, digits, '_', '.' and '-', and no '.' at the beginning",
				*a, NET_NAMES_LONGEST);
	return 0;
}

int net_lease_check(const struct arrow_paths *paths, const struct net_network *n,
	const struct net_endpoint *chosen, struct arrow_error *error)
{
	struct net_address address;
	int r = lease_check_aliases(chosen->aliases, error);

	if (r == 0 && chosen->ip)
		r = lease_choose(&address, paths, n, 4, chosen->ip, error);
	if (r == 0 && chosen->ip6)
		r = lease_choose(&address, paths, n, 6, chosen->ip6, error);
	return r;
}

static int lease_add_aliases(
	struct net_lease *l, const char *const *aliases, struct arrow_error *error)
{
	int r = lease_check_aliases(aliases, error);

	for (const char *const *a = aliases; r == 0 && a && *a; a++)
		json_array_append_new(l->aliases, json_string(*a));
	return r;
}

static int take_names(
	struct net_lease *l, const struct net_lease_wish *wish, struct arrow_error *error)
{
	int r;

	snprintf(l->id, sizeof(l->id), "%s", wish->id);
	snprintf(l->name, sizeof(l->name), "%s", wish->name);
	l->aliases = json_array();
	r = lease_add_aliases(l, wish->aliases, error);
	return r < 0 ? r : lease_add_aliases(l, wish->more_aliases, error);
}

/*
 * Of the address, so that who gets it next is no stranger to its neighbours' caches. That of an
 * IPv6 address has all of its bytes, folded, and is none of a bridge's.
 */
static void lease_make_mac(struct net_lease *l)
{
	const bool six = !l->address4.family;
	const uint8_t *bytes = six ? l->address6.bytes : l->address4.bytes;

	memcpy(l->mac, (const uint8_t[]){0x02, six ? 0xa6 : 0xa7, 0, 0, 0, 0}, 6);
	for (size_t i = 0; i < (six ? 16u : 4u); i++)
		l->mac[2 + i % 4] ^= bytes[i];
}

int net_lease_take(struct net_lease *l, const struct arrow_paths *paths,
	const struct net_network *n, const struct net_lease_wish *wish, struct arrow_error *error)
{
	int r;

	*l = (struct net_lease){.fd = -1};
	snprintf(l->network, sizeof(l->network), "%s", n->name);
	net_lease_tap_name(l->tap, wish);
	r = take_names(l, wish, error);
	if (r == 0)
		r = lease_choose(&l->address4, paths, n, 4, wish->ip, error);
	if (r == 0)
		r = lease_choose(&l->address6, paths, n, 6, wish->ip6, error);
	if (r == 0 && wish->mac && net_mac_parse(wish->mac, l->mac) < 0)
		r = arrow_fail(error, EINVAL,
			"invalid MAC address '%s': give a unicast one such as 02:00:00:12:34:56",
			wish->mac);
	if (r == 0 && !wish->mac)
		lease_make_mac(l);
	if (r == 0 && wish->ports && net_ports_copy(&l->ports, wish->ports) < 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0)
		r = net_lease_write(l, paths, error);
	if (r < 0)
		net_lease_release(l);
	return r;
}
