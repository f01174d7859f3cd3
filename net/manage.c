// SPDX-License-Identifier: Apache-2.0
#include "net/manage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/bridge.h"
#include "net/lease.h"
#include "net/link.h"
#include "net/pool.h"
#include "net/watch_state.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/io.h"
#include "util/text.h"

#define MTU_DEFAULT 1500u

#define OPTION_MTU "com.docker.network.driver.mtu"
#define OPTION_BRIDGE "com.docker.network.bridge.name"

/* Takes the addresses that are asked for. Those left out are chosen later. */
static int take_addresses(
	struct net_network *n, const struct net_wish *wish, struct arrow_error *error)
{
	struct net_address a;

	for (const char *const *s = wish->subnets; s && *s; s++) {
		if (net_address_parse(*s, &a) < 0 || a.prefix == net_address_bits(a.family) ||
			a.prefix == 0)
			return arrow_fail(error, EINVAL,
				"invalid subnet '%s': give one such as 10.1.0.0/24 or fd00:1::/64",
				*s);
		if (a.prefix > (a.family == 6 ? 120 : 29))
			return arrow_fail(error, EINVAL, "the subnet %s is too small", *s);
		if ((a.family == 6 ? &n->subnet6 : &n->subnet4)->family)
			return arrow_fail(error, EINVAL,
				"a network has at most one IPv4 and one IPv6 subnet");
		*(a.family == 6 ? &n->subnet6 : &n->subnet4) = net_address_first(&a);
		(a.family == 6 ? &n->subnet6 : &n->subnet4)->prefix = a.prefix;
	}
	for (const char *const *s = wish->gateways; s && *s; s++) {
		const struct net_address *subnet;

		if (net_address_parse(*s, &a) < 0 || a.prefix != net_address_bits(a.family))
			return arrow_fail(error, EINVAL, "invalid gateway address '%s'", *s);
		subnet = a.family == 6 ? &n->subnet6 : &n->subnet4;
		if (!subnet->family || !net_address_in(subnet, &a))
			return arrow_fail(error, EINVAL,
				"the gateway %s is not in a --subnet of the network", *s);
		*(a.family == 6 ? &n->gateway6 : &n->gateway4) = a;
	}
	if (wish->range && (net_address_parse(wish->range, &n->range4) < 0 || !n->subnet4.family ||
				   n->range4.prefix < n->subnet4.prefix ||
				   !net_address_in(&n->subnet4, &n->range4)))
		return arrow_fail(error, EINVAL, "the range %s is not a part of the IPv4 --subnet",
			wish->range);
	return 0;
}

/* Whether it has IPv4, or IPv6 only. */
static int take_families(
	struct net_network *n, const struct net_wish *wish, struct arrow_error *error)
{
	n->ipv6_only = wish->no_ipv4;
	if (!n->ipv6_only)
		return 0;
	if (n->subnet4.family)
		return arrow_fail(error, EINVAL,
			"a network without IPv4 has no IPv4 subnet: leave out --ipv4=false, or give an IPv6 --subnet only");
	if (!wish->ipv6 && !n->subnet6.family)
		return arrow_fail(error, EINVAL,
			"a network requires IPv4 or IPv6: add --ipv6, or leave out --ipv4=false");
	return 0;
}

static int take_pairs(json_t *object, const char *const *pairs, struct arrow_error *error)
{
	for (; pairs && *pairs; pairs++) {
		_cleanup_free_ char *key = strdup(*pairs);
		char *value = key ? strchr(key, '=') : NULL;

		if (value)
			*value++ = '\0';
		if (!key || !*key ||
			json_object_set_new(object, key, json_string(value ? value : "")) < 0)
			return arrow_fail(error, EINVAL,
				"invalid value '%s': give KEY=VALUE in UTF-8", *pairs);
	}
	return 0;
}

static int take_options(struct net_network *n, struct arrow_error *error)
{
	json_t *value;
	const char *key, *text;
	char *end;

	n->mtu = MTU_DEFAULT;
	json_object_foreach (n->options, key, value) {
		text = json_string_value(value);
		if (strcmp(key, OPTION_MTU) == 0) {
			unsigned long mtu = strtoul(text, &end, 10);

			if (!*text || *end || mtu < NET_MTU_MIN || mtu > NET_MTU_MAX)
				return arrow_fail(error, EINVAL,
					"invalid MTU '%s': give a number from %u to %u", text,
					NET_MTU_MIN, NET_MTU_MAX);
			n->mtu = (uint32_t)mtu;
		} else if (strcmp(key, OPTION_BRIDGE) == 0) {
			if (!*text || strpbrk(text, "/ %:\n") ||
				!text_copy(n->bridge, IFNAMSIZ, text))
				return arrow_fail(
					error, EINVAL, "invalid interface name '%s'", text);
		} else {
			return arrow_fail(error, EINVAL,
				"unknown network option '%s'; known options are " OPTION_MTU
				" and " OPTION_BRIDGE,
				key);
		}
	}
	return 0;
}

static int make_identity(struct net_network *n, struct arrow_error *error)
{
	struct net_link link;

	if (hex_random(n->id, (sizeof(n->id) - 1) / 2) < 0)
		return arrow_fail(error, EIO, "cannot generate an id");
	time_text(time(NULL), n->created);
	/* The first network of a host has a name that people know again. */
	if (!n->bridge[0] && strcmp(n->name, NET_DEFAULT) == 0 &&
		net_link_find("arrow0", &link) == -ENODEV)
		strcpy(n->bridge, "arrow0");
	else if (!n->bridge[0])
		snprintf(n->bridge, sizeof(n->bridge), "arrow-%.8s", n->id);
	else if (net_link_find(n->bridge, &link) == 0)
		return arrow_fail(error, EEXIST,
			"the interface %s exists already; to join a bridge that is not Arrow's, use 'arrow run --network bridge:%s'",
			n->bridge, n->bridge);
	return 0;
}

int net_network_create(struct net_network *n, const struct arrow_paths *paths,
	const struct net_wish *wish, struct arrow_error *error)
{
	_cleanup_free_ char *path = NULL;
	int r;

	*n = (struct net_network){0};
	if (!net_network_name_is_valid(wish->name) ||
		!text_copy(n->name, sizeof(n->name), wish->name) ||
		strcmp(wish->name, "none") == 0 || strcmp(wish->name, "host") == 0 ||
		strcmp(wish->name, "user") == 0)
		return arrow_fail(error, EINVAL,
			"invalid network name '%s': use 1 to %d letters, digits, '_', '.' and '-', beginning with a letter or digit; none, host and user are reserved",
			wish->name, NET_NAME_MAX);
	path = path_format("%s/networks/%s.json", paths->data, wish->name);
	if (!path)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (access(path, F_OK) == 0)
		return arrow_fail(error, EEXIST, "network with name %s already exists", wish->name);
	n->internal = wish->internal;
	n->labels = json_object();
	n->options = json_object();
	r = take_pairs(n->labels, wish->labels, error);
	if (r == 0)
		r = take_pairs(n->options, wish->options, error);
	if (r == 0)
		r = take_options(n, error);
	if (r == 0)
		r = take_addresses(n, wish, error);
	if (r == 0)
		r = take_families(n, wish, error);
	if (r == 0)
		r = make_identity(n, error);
	if (r == 0)
		r = net_pool_choose(n, wish->ipv6, paths, error);
	if (r == 0)
		r = net_network_write(n, paths, error);
	if (r == 0)
		net_network_event(paths, n, "create", NULL);
	else
		net_network_release(n);
	return r;
}

int net_network_open(struct net_network *network, const struct arrow_paths *paths, const char *name,
	struct arrow_error *error)
{
	int r = net_network_find(network, paths, name);

	if (r == -ENOENT && strcmp(name, NET_DEFAULT) == 0)
		return net_network_create(
			network, paths, &(struct net_wish){.name = NET_DEFAULT}, error);
	if (r == -EBADMSG)
		return arrow_fail(error, EBADMSG,
			"network %s is damaged: remove %s/networks/%s.json and create it again",
			name, paths->data, name);
	if (r == -EINVAL)
		return arrow_fail(error, EINVAL,
			"invalid network name '%s': use letters, digits, '_', '.' and '-'", name);
	return r < 0 ? arrow_fail(error, -r,
			       "network %s not found; 'arrow network ls' lists the networks, 'arrow network create %s' creates it",
			       name, name)
		     : 0;
}

/* Under the lock. *watch is what is to be waited for without it. */
static int manage_remove(
	const struct arrow_paths *paths, const char *name, int *watch, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	_cleanup_free_ char *path = NULL;
	unsigned int used;
	int r = net_network_open(&n, paths, name, error);

	if (r < 0)
		return r;
	if (strcmp(n.name, NET_DEFAULT) == 0)
		return arrow_fail(
			error, EPERM, "%s is a predefined network and cannot be removed", n.name);
	used = net_lease_sweep(paths, n.name);
	if (used > 0)
		return arrow_fail(error, EBUSY,
			"network %s has %u active %s; stop them first; 'arrow network inspect %s' lists them",
			n.name, used, used == 1 ? "Arrow" : "Arrows", n.name);
	path = path_format("%s/networks/%s.json", paths->data, n.name);
	if (!path)
		return arrow_fail(error, ENOMEM, "out of memory");
	/* Its file goes last: as long as it is there, somebody else can finish this. */
	*watch = net_watch_hold(paths, n.name);
	net_bridge_down(&n, paths);
	if (unlink(path) < 0)
		return arrow_fail(error, errno, "cannot remove network %s: %m", n.name);
	net_network_event(paths, &n, "destroy", NULL);
	return 0;
}

int net_network_remove(const struct arrow_paths *paths, const char *name, struct arrow_error *error)
{
	int watch = -1, lock = net_lock(paths, error), r;

	if (lock < 0)
		return lock;
	r = manage_remove(paths, name, &watch, error);
	close_keep_errno(lock);
	/* The next network may have its address. Others need not wait for that. */
	net_watch_wait_end(watch);
	return r;
}

/* One of Docker's IPAM configurations. */
static json_t *ipam_json(const struct net_address *subnet, const struct net_address *gateway,
	const struct net_address *range)
{
	json_t *o = json_object();

	net_put_address(o, "Subnet", subnet, true);
	net_put_address(o, "Gateway", gateway, false);
	if (range && range->prefix != subnet->prefix)
		net_put_address(o, "IPRange", range, true);
	return o;
}

json_t *net_network_json(const struct net_network *n, const struct arrow_paths *paths)
{
	json_t *ipam = json_array();

	if (n->subnet4.family)
		json_array_append_new(ipam, ipam_json(&n->subnet4, &n->gateway4, &n->range4));
	if (n->subnet6.family)
		json_array_append_new(ipam, ipam_json(&n->subnet6, &n->gateway6, NULL));
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:{s:s, s:o}, s:b, s:o, s:O, s:O, s:s, s:i}",
		"Name", n->name, "Id", n->id, "Created", n->created, "Scope", "local", "Driver",
		"bridge", "EnableIPv4", n->subnet4.family != 0, "EnableIPv6",
		n->subnet6.family != 0, "IPAM", "Driver", "default", "Config", ipam, "Internal",
		n->internal, "Containers", net_lease_json(paths, n), "Labels", n->labels, "Options",
		n->options, "Bridge", n->bridge, "Mtu", (int)n->mtu);
}
