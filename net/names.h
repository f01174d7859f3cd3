/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_NAMES_H
#define ARROW_NET_NAMES_H

/*
 * The names of Arrows that run, for who resolves them: RUN/names, a tree of symbolic links whose
 * targets are what is looked for. So a look-up is a few system calls, however many Arrows there
 * are, it needs no lock, and what is written counts at once.
 *
 *   @arrows/<id>/<card>          -> <network>, or @joined for one that is not Arrow's
 *   <network>/clients/<address>  -> <id>/<name>
 *   <network>/names/<name>/<id>  -> <address>[,<address>]
 *   <network>/internal           there for a network that leads nowhere
 *
 * Names in paths are in lower case.
 */

#include <jansson.h>
#include <stddef.h>

#include "net/network.h"

#define NET_NAMES_NETWORKS 8u   /* an Arrow is on at most so many */
#define NET_NAMES_ADDRESSES 32u /* of a name that several Arrows have */
#define NET_NAMES_TEXT 256u     /* of a name, with a NUL */
#define NET_NAMES_LONGEST 200u  /* of an alias, or of an Arrow as arrow_parse_name() takes it */

/* In this domain names of Arrows are resolved, too: see net_attachment. */
#define NET_NAMES_DOMAIN "arrow.internal"

/* What one Arrow is called on one network; all is borrowed. */
struct net_names {
	const char *network, *id, *name;
	char card;             /* '0' to '7' */
	const json_t *aliases; /* array of strings, or NULL */
	struct net_address address4, address6;
};

/* True for a name that can be resolved. */
bool net_names_is_valid(const char *name) ARROW_MUST_CHECK;

/* For a network that comes up. Hold the lock, also for all below that write. */
int net_names_prepare(
	const struct arrow_paths *paths, const char *network, bool internal) ARROW_MUST_CHECK;

/*
 * False for a network that was never prepared, as by an older version, or whose names somebody
 * removed: its name server does not see what is published.
 */
bool net_names_stand(const struct arrow_paths *paths, const char *network);

int net_names_publish(
	const struct arrow_paths *paths, const struct net_names *names) ARROW_MUST_CHECK;

/* Of a network that is not Arrow's: only that the Arrow is on it, for it may lead out. */
int net_names_publish_joined(
	const struct arrow_paths *paths, const struct net_names *names) ARROW_MUST_CHECK;

/*
 * The same for one that has another name from now on; `old` is taken back. On an error it has the
 * old one, as before.
 */
int net_names_rename(const struct arrow_paths *paths, const struct net_names *names,
	const char *old) ARROW_MUST_CHECK;

/* Takes back what the Arrow has there, and nothing of others. */
void net_names_withdraw(const struct arrow_paths *paths, const struct net_names *names);

/* All of a network that goes down. */
void net_names_remove(const struct arrow_paths *paths, const char *network);

/*
 * Calls each() for the addresses of a network that Arrows have, in no order. Returns 0, -ENOENT
 * where names were never prepared, or another negative errno.
 */
int net_names_addresses(const struct arrow_paths *paths, const char *network,
	void (*each)(const struct net_address *address, void *arg), void *arg) ARROW_MUST_CHECK;

/* Who has an address of a network. Returns 0 or a negative errno. */
int net_names_owner(const struct arrow_paths *paths, const char *network,
	const struct net_address *address, char id[65]) ARROW_MUST_CHECK;

/* Opens RUN/names. Returns a descriptor, for the functions below, or a negative errno. */
int net_names_open(const struct arrow_paths *paths) ARROW_MUST_CHECK;

/* True if a card ('0' to '7') of an Arrow is on a network. */
bool net_names_card_is_on(int dir, const char *id, char card, const char *network);

/* What a resolver knows of the Arrow that asks. */
struct net_names_client {
	char id[65];
	char networks[NET_NAMES_NETWORKS][NET_NAME_MAX + 1];
	unsigned int n;
	bool leads_out; /* one of them is not internal, or not Arrow's */
};

/*
 * Who asks from an address of a network.
 *   dir: a descriptor of RUN/names
 * Returns 0, -ENOENT for nobody that is known, or another negative errno.
 */
int net_names_client(int dir, const char *network, const struct net_address *from,
	struct net_names_client *client) ARROW_MUST_CHECK;

/*
 * What a name means for an Arrow: NAME or NAME.NETWORK, each also in NET_NAMES_DOMAIN, on all of
 * its networks.
 *   name: in lower case, without a dot at its end
 * Returns how many addresses of either family were found; 0: no Arrow that it shares a network with
 * is called so. A negative errno says nothing of the name.
 */
int net_names_find(int dir, const struct net_names_client *client, const char *name,
	struct net_address addresses[NET_NAMES_ADDRESSES]) ARROW_MUST_CHECK;

/*
 * The name of the Arrow that has an address, on a network of the client's. Returns 0, -ENOENT or
 * another negative errno.
 */
int net_names_reverse(int dir, const struct net_names_client *client,
	const struct net_address *address, char name[NET_NAMES_TEXT]) ARROW_MUST_CHECK;

#endif
