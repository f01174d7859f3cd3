/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_RULES_H
#define ARROW_NET_RULES_H

/*
 * The firewall: rules.nft, which is the same everywhere, and the elements of its sets, which come
 * and go with networks and Arrows. Rules are installed through libnftables, which is loaded only
 * then; elements go straight to the kernel, in one transaction.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

enum net_set {
	NET_SET_BRIDGES,
	NET_SET_SAME,
	NET_SET_INTERNAL,
	NET_SET_NAT4,
	NET_SET_NAT6,
	NET_SET_GATEWAYS4,
	NET_SET_GATEWAYS6,
	NET_SET_PORTS4,
	NET_SET_ANY4,
	NET_SET_PORTS6,
	NET_SET_ANY6,
	NET_SET_CARRIED4,
	NET_SET_CARRIED_ANY4,
	NET_SET_CARRIED6,
	NET_SET_CARRIED_ANY6,
	NET_SET_FREE,
	NET_SET_MAC,
	NET_SET_ADDR4,
	NET_SET_ADDR6,
	NET_SET_ND6,
	NET_SETS,
};

#define NET_KEY_MAX 32u

/* Keys and data as the kernel has them: each part padded to 4 bytes. */
struct net_element {
	enum net_set set;
	uint8_t key[NET_KEY_MAX];
	uint8_t end[NET_KEY_MAX]; /* of an interval: the first key behind it */
	uint8_t data[NET_KEY_MAX];
};

struct net_elements {
	struct net_element *v; /* owned */
	size_t n;
	bool failed; /* out of memory */
};

/* These append. What goes wrong is told when the list is used. */
void net_elements_interface(struct net_elements *, enum net_set set, const char *name);
void net_elements_pair(struct net_elements *, const char *name, const char *other);
void net_elements_mac(struct net_elements *, const char *name, const uint8_t mac[6]);
/* Of ADDR4, ADDR6, ND6. */
void net_elements_source(struct net_elements *, enum net_set set, const char *name,
	const struct net_address *address);
/* Of NAT4, NAT6 as the address's family says. */
void net_elements_subnet(struct net_elements *, const struct net_address *subnet);
/* The same, for who resolves names: of GATEWAYS4, GATEWAYS6. */
void net_elements_gateway(struct net_elements *, const struct net_address *address);

/* A published port. host is of family 0 for all addresses. */
void net_elements_port(struct net_elements *, const struct net_address *host, uint16_t host_port,
	bool udp, const struct net_address *guest, uint16_t guest_port);
/* A port of the host that arrow-proxy carries, of family 4 or 6; host as above. */
void net_elements_carried(struct net_elements *, uint8_t family, const struct net_address *host,
	uint16_t host_port, bool udp);
void net_elements_release(struct net_elements *);

/* Adds elements; those that are there already do not matter. Returns 0 or a negative errno:
 * -ENOENT where there are no rules. */
int net_rules_add(const struct net_elements *elements) ARROW_MUST_CHECK;

/*
 * Removes elements; those that are not there do not matter. Returns a descriptor to be closed at
 * leisure, or -1: the kernel takes ten milliseconds and more for that.
 */
int net_rules_remove(const struct net_elements *elements);

/* True if all of them are there; of intervals that is not asked. */
bool net_rules_have(const struct net_elements *elements);

/* True if every rule is there. */
bool net_rules_whole(void);

/* Installs the rules, or mends them; elements stay. */
int net_rules_install(struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Calls each() for the taps that may send anything: those of all networks and of joined bridges, in
 * no order. Returns 0 or a negative errno, as where there are no rules.
 */
int net_rules_each_tap(void (*each)(const char *tap, void *arg), void *arg) ARROW_MUST_CHECK;

/* Removes all of it, if no network and no tap uses it. */
void net_rules_remove_unused(void);

/* Changes with each change of any rule of this network namespace; 0 if it cannot be told. */
uint32_t net_rules_generation(void);

#endif
