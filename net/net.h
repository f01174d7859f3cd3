/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_NET_H
#define ARROW_NET_NET_H

/*
 * The network of one Arrow.
 *
 *   net_plan()    says which cards it will have: that is what its template depends on
 *   net_attach()  makes them: leases, taps, published ports, names; before anything starts
 *   net_serve()   in the keeper: the proxy of published ports
 *   net_connect() and net_disconnect() change them while it runs
 *   net_follow()  in the keeper: whether the networks are watched over; net_mend() if not
 *   net_detach()  takes all back; a keeper that is killed has it done by whoever sees that
 */

#include <sys/types.h>

#include "net/endpoint.h"
#include "net/lease_take.h"
#include "net/link.h"
#include "net/ports.h"
#include "net/resolv.h"

#define NET_CARDS_MAX 8u
#define NET_ADDRESSES_MAX 8u
#define NET_ROUTES_MAX 16u

/* What is behind a network card. */
enum net_card_kind {
	NET_CARD_TAP = 1, /* a tap, as net_tap_open() makes it */
	NET_CARD_STREAM,  /* a stream socket with frames behind 32 bit lengths (passt) */
	NET_CARD_USER,    /* the user-mode network of what runs the VM, with published ports */
};

/* What the guest makes of eth<index>. */
struct net_card {
	enum net_card_kind kind;
	int fd;     /* owned; -1 for NET_CARD_USER */
	bool idle;  /* on no network: the rest says nothing, and it has no lease */
	char *name; /* of its network, as --network has it; owned */
	uint8_t mac[6];
	uint32_t mtu;
	struct net_address addresses[NET_ADDRESSES_MAX];
	unsigned int n_addresses;
	struct net_route routes[NET_ROUTES_MAX];
	unsigned int n_routes;
};

enum net_mode { NET_USER, NET_NETWORK, NET_BRIDGE, NET_NAMESPACE };

struct net_plan {
	struct {
		enum net_mode mode;
		const char *name; /* of the network, bridge or namespace; borrowed */
		const char *text; /* as --network has it; borrowed */
	} entries[NET_CARDS_MAX];
	unsigned int n;
	unsigned int n_idle; /* cards behind these, of NET_CARD_TAP, that are on no network yet */
	enum net_card_kind user_kind; /* of NET_USER */
};

/* What an Arrow asks for. Lists are NULL-terminated, or NULL. */
struct net_request {
	const char *id, *name;
	/* Of each card of the plan; of net_connect() the first. */
	struct net_endpoint endpoints[NET_CARDS_MAX];
	const char *const *aliases; /* on all networks */
	const struct net_ports *ports;
};

struct net_attachment {
	struct arrow_paths paths; /* borrowed strings */
	struct net_card cards[NET_CARDS_MAX];
	unsigned int n_cards;
	struct net_lease leases[NET_CARDS_MAX]; /* of the card with the same index */
	unsigned int n_leases;
	struct net_ports ports; /* with the numbers that were found */
	struct net_sockets sockets;
	struct net_address dns[3]; /* who resolves names */
	unsigned int n_dns;
	bool names;             /* they know the names of Arrows, and those in NET_NAMES_DOMAIN */
	struct net_resolv host; /* for the search domains and options of the host */
	pid_t proxy;
};

/* Whether the caller may make bridges and taps here. */
bool net_is_permitted(void);

/*
 * Reads the values of --network: none, NAME, user, bridge:DEV, ns:PATH; several names for several
 * cards. An empty list is net_default(NULL).
 * Errors: values that make no sense together; host and container:.
 */
int net_plan(struct net_plan *plan, const char *const *networks,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The value of --network where none was given: `named`, unless it is NULL or empty; else the
 * default network where the caller can make networks, and user mode where it cannot.
 *   named: from the settings of the caller; returned as it is
 */
const char *net_default(const char *named);

/*
 * Whether the networks of a plan exist, for before what takes time; net_attach() says the rest.
 * The default network is made when it is needed.
 */
int net_plan_check(const struct net_plan *plan, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* True if a card may get IPv6 addresses, which not every kernel has. */
bool net_plan_ipv6(const struct net_plan *plan, const struct arrow_paths *paths);

/* The kind of card `index` of a plan. */
enum net_card_kind net_plan_kind(const struct net_plan *plan, unsigned int index);

/* Errors: whatever keeps the network from being there; nothing is left then. */
int net_attach(struct net_attachment *attachment, const struct net_plan *plan,
	const struct net_request *request, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Puts an idle card of an Arrow that runs on a network of Arrow's, which is up or is brought up.
 * What the guest has to know of it is in the card.
 * Errors: -ENOSPC: no card is idle; as of net_attach(). Nothing has changed then.
 */
int net_connect(struct net_attachment *attachment, const char *network,
	const struct net_request *request, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes a card off its network, which makes it idle. From then on nothing reaches it, whatever the
 * guest does. Errors: -EBUSY: a card that cannot be taken off while the Arrow runs.
 */
int net_disconnect(struct net_attachment *attachment, unsigned int card,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The card that is on a network, by the text of --network; or -1. */
int net_card_on(const struct net_attachment *attachment, const char *text);

/* Starts what serves the Arrow from this process, the keeper. */
int net_serve(struct net_attachment *attachment, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Opens what tells the keeper that a watch of its networks was killed, for the rest of its life.
 * Returns a descriptor that is readable then, for net_mend(); -1 where there is nothing to follow.
 */
int net_follow(const struct net_attachment *attachment);

/* Starts those watches again, in a process of its own, which mends what went without them. */
void net_mend(const struct net_attachment *attachment, int fd);

void net_detach(struct net_attachment *attachment);

/* Docker's NetworkSettings: Networks and Ports; NULL without a card. Owned by the caller. */
json_t *net_attachment_json(const struct net_attachment *attachment);

/* Closes this process' descriptors of an attachment that another one keeps. */
void net_attachment_release(struct net_attachment *attachment);

/* For files of this folder: puts card `index` on a network; hold the lock. Opens a tap if fd is -1.
 */
int net_attach_network(struct net_attachment *attachment, unsigned int index, const char *name,
	const struct net_lease_wish *wish, struct arrow_error *error) ARROW_MUST_CHECK;

/* The same: ends what net_serve() has started. */
void net_stop_serving(struct net_attachment *attachment);

/*
 * The same: the card gets the default routes of its network, unless that is internal or another
 * card leads out by that family.
 */
void net_lead_out(
	struct net_attachment *attachment, unsigned int index, const struct net_network *network);

/* The same: adds who resolves names on a network that is up. */
void net_use_resolver(struct net_attachment *attachment, const struct net_network *network);

/* The same: the resolvers of the host, where no network of the Arrow has one. */
void net_use_host_resolvers(struct net_attachment *attachment);

/*
 * Starts passt for a user-mode card: fills in its descriptor.
 * Errors: a port that is taken meanwhile; passt is missing.
 */
int net_user_start(struct net_card *card, const struct net_ports *ports,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The addresses of every user-mode network. */
void net_user_configure(struct net_card *card, struct net_address *dns);

#endif
