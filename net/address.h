/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_ADDRESS_H
#define ARROW_NET_ADDRESS_H

/* IP addresses and prefixes as values. Pure: no system calls. */

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

#define NET_ADDRESS_TEXT 52 /* of any address with its prefix, and a NUL */

struct net_address {
	uint8_t family;    /* 4 or 6; 0 for none */
	uint8_t prefix;    /* bits: 32 or 128 of a host */
	uint8_t bytes[16]; /* network order; IPv4: the first 4 */
};

/*
 * Reads "ADDRESS" or "ADDRESS/PREFIX". Without a prefix it is a host's.
 * Returns 0, or -EINVAL for anything else.
 */
int net_address_parse(const char *text, struct net_address *address) ARROW_MUST_CHECK;

/* Writes the address, with its prefix or without. Returns text. */
const char *net_address_text(
	const struct net_address *address, bool with_prefix, char text[NET_ADDRESS_TEXT]);

/* Bits of an address of this family: 32 or 128. */
unsigned int net_address_bits(uint8_t family);

/* The first address of a subnet: all bits behind the prefix cleared. */
struct net_address net_address_first(const struct net_address *subnet);

/* The last one: all of them set. */
struct net_address net_address_last(const struct net_address *subnet);

/* The address that lies n behind; it may wrap. Of IPv6, only the last 64 bits are counted. */
struct net_address net_address_add(const struct net_address *address, uint64_t n);

/* True if both are of one family and the subnet holds the address. */
bool net_address_in(const struct net_address *subnet, const struct net_address *address);

/* True if two subnets have an address in common. */
bool net_address_overlap(const struct net_address *a, const struct net_address *b);

/* True if they are the same address, whatever their prefixes. */
bool net_address_equal(const struct net_address *a, const struct net_address *b);

/* Reads 01:23:45:67:89:ab. Returns 0, or -EINVAL also for a multicast or a zero address. */
int net_mac_parse(const char *text, uint8_t mac[6]) ARROW_MUST_CHECK;

#define NET_MAC_TEXT 18
const char *net_mac_text(const uint8_t mac[6], char text[NET_MAC_TEXT]);

/* The address that IPv6 makes up of a MAC on the link. */
struct net_address net_address_link_local(const uint8_t mac[6]);

#endif
