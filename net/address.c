// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/text.h"

unsigned int net_address_bits(uint8_t family)
{
	return family == 6 ? 128 : 32;
}

int net_address_parse(const char *text, struct net_address *address)
{
	char host[NET_ADDRESS_TEXT], *slash, *end;
	unsigned long prefix;

	*address = (struct net_address){0};
	if (!text_copy(host, sizeof(host), text))
		return -EINVAL;
	slash = strchr(host, '/');
	if (slash)
		*slash++ = '\0';
	address->family = strchr(host, ':') ? 6 : 4;
	if (inet_pton(address->family == 6 ? AF_INET6 : AF_INET, host, address->bytes) != 1)
		return -EINVAL;
	prefix = net_address_bits(address->family);
	if (slash) {
		if (*slash < '0' || *slash > '9')
			return -EINVAL;
		prefix = strtoul(slash, &end, 10);
		if (*end || prefix > net_address_bits(address->family))
			return -EINVAL;
	}
	address->prefix = (uint8_t)prefix;
	return 0;
}

const char *net_address_text(
	const struct net_address *address, bool with_prefix, char text[NET_ADDRESS_TEXT])
{
	text[0] = '\0';
	if (address->family &&
		inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->bytes, text,
			NET_ADDRESS_TEXT) &&
		with_prefix)
		sprintf(text + strlen(text), "/%u", address->prefix);
	return text;
}

/* Copies it with the bits behind its prefix set to `ones`. */
static struct net_address with_tail(const struct net_address *subnet, bool ones)
{
	struct net_address a = *subnet;
	unsigned int bits = net_address_bits(a.family);

	for (unsigned int i = a.prefix; i < bits; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i % 8));

		a.bytes[i / 8] = (uint8_t)(ones ? a.bytes[i / 8] | bit : a.bytes[i / 8] & ~bit);
	}
	a.prefix = (uint8_t)bits;
	return a;
}

struct net_address net_address_first(const struct net_address *subnet)
{
	return with_tail(subnet, false);
}

struct net_address net_address_last(const struct net_address *subnet)
{
	return with_tail(subnet, true);
}

struct net_address net_address_add(const struct net_address *address, uint64_t n)
{
	struct net_address a = *address;
	unsigned int last = net_address_bits(a.family) / 8 - 1;

	for (unsigned int i = 0; n && i < (a.family == 6 ? 8u : 4u); i++) {
		n += a.bytes[last - i];
		a.bytes[last - i] = (uint8_t)n;
		n >>= 8;
	}
	return a;
}

/* True if the first bits are the same. */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));

	return memcmp(a, b, bits / 8) == 0 &&
	       (bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

bool net_address_in(const struct net_address *subnet, const struct net_address *address)
{
	return subnet->family == address->family &&
	       same_bits(subnet->bytes, address->bytes, subnet->prefix);
}

bool net_address_overlap(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family &&
	       same_bits(a->bytes, b->bytes, a->prefix < b->prefix ? a->prefix : b->prefix);
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family &&
	       memcmp(a->bytes, b->bytes, net_address_bits(a->family) / 8) == 0;
}

int net_mac_parse(const char *text, uint8_t mac[6])
{
	static const uint8_t none[6];
	unsigned int byte;

	if (strlen(text) != NET_MAC_TEXT - 1)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		if (!strchr("0123456789abcdefABCDEF", text[3 * i]) ||
			!strchr("0123456789abcdefABCDEF", text[3 * i + 1]) ||
			(i < 5 && text[3 * i + 2] != ':') ||
			sscanf(text + 3 * i, "%2x", &byte) != 1)
			return -EINVAL;
		mac[i] = (uint8_t)byte;
	}
	return (mac[0] & 1) || memcmp(mac, none, 6) == 0 ? -EINVAL : 0;
}

const char *net_mac_text(const uint8_t mac[6], char text[NET_MAC_TEXT])
{
	snprintf(text, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	return text;
}

struct net_address net_address_link_local(const uint8_t mac[6])
{
	return (struct net_address){
		.family = 6,
		.prefix = 64,
		.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe,
			mac[3], mac[4], mac[5]},
	};
}
