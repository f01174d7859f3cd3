// SPDX-License-Identifier: Apache-2.0
#include "net/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/link.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Of the private ranges, one that neither homes nor Docker use, in networks of 4094 Arrows. */
#define POOL_BASE "10.80.0.0/12"
#define POOL_SIZE 20
#define POOLS_MAX 16
#define SUBNETS_MAX 65536u /* tried of one pool */

/* Who uses a subnet: a network of Arrow's, or, without a name, the host. */
struct use {
	struct net_address subnet;
	char network[NET_NAME_MAX + 1];
};

struct used {
	const char *id; /* of the network that asks: its own subnets are free to it */
	struct use *v;  /* owned */
	size_t n;
	bool failed;
};

static void pool_use(struct used *used, const struct net_address *subnet, const char *network)
{
	struct use *larger;

	/* The default route leads everywhere and takes nothing. */
	if (subnet->prefix == 0)
		return;
	larger = realloc(used->v, (used->n + 1) * sizeof(*larger));
	if (!larger) {
		used->failed = true;
		return;
	}
	used->v = larger;
	used->v[used->n] = (struct use){.subnet = *subnet};
	snprintf(used->v[used->n++].network, sizeof(used->v->network), "%s", network);
}

static void use_address(const struct net_address *address, void *arg)
{
	pool_use(arg, address, "");
}

static void use_route(const struct net_route *route, void *arg)
{
	pool_use(arg, &route->to, "");
}

static int use_network(const struct net_network *n, void *arg, struct arrow_error *error)
{
	struct used *used = arg;

	if (strcmp(n->id, used->id) == 0)
		return 0;
	if (n->subnet4.family)
		pool_use(arg, &n->subnet4, n->name);
	if (n->subnet6.family)
		pool_use(arg, &n->subnet6, n->name);
	return 0;
}

/* The first use that a subnet has something in common with, or NULL. */
static const struct use *pool_collides(const struct used *used, const struct net_address *subnet)
{
	for (size_t i = 0; i < used->n; i++)
		if (net_address_overlap(&used->v[i].subnet, subnet))
			return &used->v[i];
	return NULL;
}

static int pool_refuse(
	const struct net_address *subnet, const struct use *by, struct arrow_error *error)
{
	char text[NET_ADDRESS_TEXT], other[NET_ADDRESS_TEXT];

	net_address_text(subnet, true, text);
	net_address_text(&by->subnet, true, other);
	if (by->network[0])
		return arrow_fail(error, EADDRINUSE,
			"the subnet %s collides with %s of the network %s: choose another with --subnet",
			text, other, by->network);
	return arrow_fail(error, EADDRINUSE,
		"the subnet %s collides with %s, which this host uses: choose another with --subnet",
		text, other);
}

struct pool {
	struct net_address base;
	uint8_t size; /* prefix of a network's subnet */
};

static int read_pools(struct pool pools[POOLS_MAX], size_t *n, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/networks/pools.json", paths->data),
			    *text = NULL;
	json_t *list, *entry;
	size_t i;
	int r = path ? read_file(AT_FDCWD, path, 65536, &text, NULL) : -ENOMEM;

	*n = 0;
	if (r == -ENOENT) {
		pools[0].size = POOL_SIZE;
		*n = 1;
		return net_address_parse(POOL_BASE, &pools[0].base);
	}
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the address pools: %m");
	list = json_loads(text, 0, NULL);
	json_array_foreach (list, i, entry) {
		const char *base = json_string_value(json_object_get(entry, "base"));
		json_int_t size = json_integer_value(json_object_get(entry, "size"));

		if (*n == POOLS_MAX || !base || net_address_parse(base, &pools[*n].base) < 0 ||
			pools[*n].base.family != 4 || size < pools[*n].base.prefix || size > 29) {
			*n = 0;
			break;
		}
		pools[(*n)++].size = (uint8_t)size;
	}
	json_decref(list);
	return *n ? 0
		  : arrow_fail(error, EBADMSG,
			    "%s is not valid: it is a list such as [{\"base\": \"10.80.0.0/12\", \"size\": 20}]",
			    path);
}

static int pool_choose4(struct net_network *n, const struct used *used,
	const struct arrow_paths *paths, struct arrow_error *error)
{
	struct pool pools[POOLS_MAX];
	size_t count = 0;
	int r = read_pools(pools, &count, paths, error);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct net_address subnet = net_address_first(&pools[i].base);
		uint64_t subnets = UINT64_C(1) << (pools[i].size - pools[i].base.prefix);

		subnet.prefix = pools[i].size;
		for (uint64_t k = 0; k < subnets && k < SUBNETS_MAX; k++) {
			if (!pool_collides(used, &subnet)) {
				n->subnet4 = subnet;
				return 0;
			}
			subnet = net_address_add(&subnet, UINT64_C(1) << (32 - subnet.prefix));
		}
	}
	return r < 0 ? r
		     : arrow_fail(error, ENOSPC,
			       "no free subnet: all address pools collide with addresses or routes of this host; give one with --subnet, or add pools to %s/networks/pools.json",
			       paths->data);
}

/* A random one of the unique local addresses, as RFC 4193 has it, by the network's id. */
static void pool_choose6(struct net_network *n)
{
	n->subnet6 = (struct net_address){.family = 6, .prefix = 64, .bytes = {0xfd}};
	for (size_t i = 0; i < 5; i++) {
		unsigned int byte = 0;

		sscanf(n->id + 2 * i, "%2x", &byte);
		n->subnet6.bytes[1 + i] = (uint8_t)byte;
	}
}

/* Where a gateway is by custom. */
static struct net_address pool_second_address(const struct net_address *subnet)
{
	struct net_address first = net_address_first(subnet);

	return net_address_add(&first, 1);
}

int net_pool_choose(struct net_network *n, bool ipv6, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	struct used used = {.id = n->id};
	/* Networks first: an address of a bridge says less than the name of its network. */
	int r = net_network_list(paths, use_network, &used, error);

	if (r == 0) {
		r = net_link_addresses(0, use_address, &used);
		if (r == 0)
			r = net_link_routes(0, use_route, &used);
		if (r < 0)
			(void)arrow_fail(error, -r, "cannot read the addresses of this host: %m");
	}
	if (r == 0 && used.failed)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0 && !n->subnet4.family && !n->ipv6_only) {
		r = pool_choose4(n, &used, paths, error);
		n->pooled = true;
	}
	if (r == 0 && ipv6 && !n->subnet6.family)
		pool_choose6(n);
	for (int six = 0; six < 2 && r == 0; six++) {
		const struct net_address *subnet = six ? &n->subnet6 : &n->subnet4;

		const struct use *by = subnet->family ? pool_collides(&used, subnet) : NULL;

		if (by)
			r = pool_refuse(subnet, by, error);
	}
	free(used.v);
	if (r < 0)
		return r;
	if (!n->range4.family)
		n->range4 = n->subnet4;
	if (n->subnet4.family && !n->gateway4.family)
		n->gateway4 = pool_second_address(&n->subnet4);
	if (n->subnet6.family && !n->gateway6.family)
		n->gateway6 = pool_second_address(&n->subnet6);
	return 0;
}
