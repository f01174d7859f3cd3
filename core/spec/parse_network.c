// SPDX-License-Identifier: Apache-2.0
/* --network as Docker's command line has it. */
#include "core/spec/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/address.h"
#include "net/names.h"
#include "util/cleanup.h"

int arrow_parse_address(const char *text, uint8_t family, struct arrow_error *error)
{
	struct net_address address;

	if (net_address_parse(text, &address) == 0 && address.family == family)
		return 0;
	return arrow_fail(error, EINVAL, "invalid IPv%u address '%s'", family, text);
}

int arrow_parse_mac(const char *text, struct arrow_error *error)
{
	uint8_t mac[6];

	if (net_mac_parse(text, mac) == 0)
		return 0;
	return arrow_fail(error, EINVAL,
		"invalid MAC address '%s': give a unicast one such as 02:00:00:12:34:56", text);
}

/* What the fields of a --network say. */
struct network {
	const char *name;
	struct net_endpoint chosen;
	struct arrow_strings aliases;
};

static int network_take_alias(struct network *n, const char *value, struct arrow_error *error)
{
	if (!net_names_is_valid(value))
		return arrow_fail(error, EINVAL,
			"invalid network alias '%s': use letters, digits, '_', '.' and '-'", value);
	return arrow_strings_add(&n->aliases, value) < 0 ? arrow_no_memory(error) : 0;
}

static int network_take_field(
	struct network *n, const char *key, const char *value, struct arrow_error *error)
{
	static const char *const others[] = {"driver-opt", "gw-priority", "link-local-ip"};
	const struct {
		const char *key;
		const char **to;
	} fields[] = {{"name", &n->name}, {"ip", &n->chosen.ip}, {"ip6", &n->chosen.ip6},
		{"mac-address", &n->chosen.mac}};
	const char **to = NULL;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (strcmp(key, others[i]) == 0)
			return arrow_fail(error, EINVAL, "%s is not supported", key);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (strcmp(key, fields[i].key) == 0)
			to = fields[i].to;
	if (!to && strcmp(key, "alias") != 0)
		return arrow_fail(error, EINVAL,
			"unknown key '%s': use name, ip, ip6, mac-address or alias", key);
	if (!value || *value == '\0')
		return arrow_fail(error, EINVAL, "%s requires a value, as in %s=VALUE", key, key);
	if (!to)
		return network_take_alias(n, value, error);
	if (*to)
		return arrow_fail(error, EINVAL, "%s is given twice", key);
	*to = value;
	if (to == &n->chosen.ip || to == &n->chosen.ip6)
		return arrow_parse_address(value, to == &n->chosen.ip ? 4 : 6, error);
	return to == &n->chosen.mac ? arrow_parse_mac(value, error) : 0;
}

/* KEY=VALUE,... and not the name of a network, bridge or namespace, with a '=' in it perhaps. */
static bool network_is_long(const char *text)
{
	static const char keys[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-\"";

	return text[strspn(text, keys)] == '=';
}

int arrow_parse_network(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text);
	struct network n = {0};
	char *rest = copy, *field;
	int r = 0;

	if (!copy)
		return arrow_no_memory(error);
	if (*text == '\0')
		return 0;
	if (!network_is_long(text))
		return arrow_strings_add(&spec->net.names, text) < 0 ? arrow_no_memory(error) : 0;
	while (r == 0 && (field = arrow_parse_next_field(&rest))) {
		char *value = strchr(field, '=');

		if (value)
			*value++ = '\0';
		r = network_take_field(&n, field, value, error);
	}
	if (r == 0 && !n.name)
		r = arrow_fail(error, EINVAL, "name is missing, as in name=NETWORK");
	n.chosen.aliases = (const char *const *)n.aliases.v;
	if (r == 0 && (arrow_strings_add(&spec->net.names, n.name) < 0 ||
			      arrow_spec_add_endpoint(spec, n.name, &n.chosen) < 0))
		r = arrow_no_memory(error);
	arrow_strings_release(&n.aliases);
	return r < 0 ? arrow_error_prefix(error, r, "invalid network '%s'", text) : 0;
}

int arrow_check_networks(const struct arrow_spec *spec, struct arrow_error *error)
{
	const struct arrow_spec_net *net = &spec->net;
	const struct arrow_endpoint *e =
		net->names.n ? arrow_spec_find_endpoint(spec, net->names.v[0]) : NULL;
	const char *twice = NULL;

	if (e && e->ip && net->ip)
		twice = "ip";
	else if (e && e->ip6 && net->ip6)
		twice = "ip6";
	else if (e && e->mac && net->mac)
		twice = "mac-address";
	return twice ? arrow_fail(error, EINVAL,
			       "--%s and %s= of --network cannot be combined: leave out one of them",
			       twice, twice)
		     : 0;
}
