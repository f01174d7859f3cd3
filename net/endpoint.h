/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_ENDPOINT_H
#define ARROW_NET_ENDPOINT_H

/* What is chosen for an Arrow on one network; NULL where nothing is. All is borrowed. */
struct net_endpoint {
	const char *ip, *ip6, *mac;
	const char *const *aliases; /* on this network only; NULL-terminated */
};

#endif
