/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_RESOLV_H
#define ARROW_NET_RESOLV_H

/* The host's /etc/resolv.conf, as resolv.conf(5) describes it. */

#include <netinet/in.h>

#include "net/address.h"

#define NET_RESOLV_CONF "/etc/resolv.conf"
#define NET_RESOLV_SERVERS 3u
#define NET_RESOLV_TEXT 1024u

struct net_resolv {
	struct {
		struct net_address address;
		uint32_t scope; /* index of the interface of a link-local address, or 0 */
	} servers[NET_RESOLV_SERVERS];
	unsigned int n;
	char search[NET_RESOLV_TEXT];  /* domains, separated by blanks; "" for none */
	char options[NET_RESOLV_TEXT]; /* the same */
};

/* What counts in a text of that form. What is not understood, or does not fit, is left out. */
void net_resolv_parse(struct net_resolv *resolv, char *text);

/* Reads a file, which may be missing: nothing is in it then. */
void net_resolv_read(struct net_resolv *resolv, const char *path);

#endif
