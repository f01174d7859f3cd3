// SPDX-License-Identifier: Apache-2.0
#include "core/connect.h"

#include <errno.h>
#include <string.h>

#include "core/instance.h"
#include "net/net.h"
#include "util/cleanup.h"

#define NONE "none"
#define USER "user"

static int no_memory(struct arrow_error *error)
{
	return arrow_fail(error, ENOMEM, "out of memory");
}

/* Opens and locks an Arrow, which must not run. */
static int open_idle(struct arrow_instance *instance, const struct arrow_paths *paths,
	const char *arrow, struct arrow_error *error)
{
	char id[ARROW_ID_HEX];
	int r = arrow_instance_find(paths, arrow, id, error);

	if (r == 0)
		r = arrow_instance_open(instance, paths, id, NULL, error);
	if (r < 0)
		return r;
	r = arrow_instance_lock_wait(instance, error);
	if (r == -EBUSY) {
		arrow_error_clear(error);
		r = arrow_fail_status(error, 1, EBUSY,
			"Arrow %s runs, and its microVM takes no card while it does: stop it, then "
			"connect or disconnect it, and start it again",
			arrow);
	}
	return r;
}

/* Its networks by name, also where none is named. */
static int name_networks(struct arrow_spec *spec, const char *arrow, struct arrow_error *error)
{
	if (spec->from)
		return arrow_fail_status(error, 1, EINVAL,
			"Arrow %s was restored from %s, whose network cards it has to have", arrow,
			spec->from);
	if (spec->networks.n == 0 && arrow_strings_add(&spec->networks, net_default()) < 0)
		return no_memory(error);
	return 0;
}

/* The same network under another name that --network takes. */
static const char *canonical(const char *name)
{
	return strcmp(name, "default") == 0 ? NET_DEFAULT : name;
}

static size_t find(const struct arrow_strings *networks, const char *name)
{
	size_t i = 0;

	while (i < networks->n && strcmp(canonical(networks->v[i]), name) != 0)
		i++;
	return i;
}

static void take_away(struct arrow_strings *list, size_t index)
{
	free(list->v[index]);
	/* With the NULL behind the last one. */
	memmove(list->v + index, list->v + index + 1, (list->n - index) * sizeof(*list->v));
	list->n--;
}

/* An address that is chosen has to be one of the network's. */
static int take_address(char **to, const char *text, const struct net_address *subnet,
	const struct net_network *n, bool first, struct arrow_error *error)
{
	struct net_address a;

	if (!text)
		return 0;
	if (!first)
		return arrow_fail_status(error, 1, EINVAL,
			"an Arrow's addresses are chosen on its first network only: disconnect it "
			"from the others first, or leave out --ip and --ip6");
	if (net_address_parse(text, &a) < 0 || !subnet->family || a.family != subnet->family ||
		!net_address_in(subnet, &a))
		return arrow_fail_status(error, 1, EINVAL, "%s is no IPv%u address of network %s",
			text, subnet == &n->subnet6 ? 6 : 4, n->name);
	free(*to);
	*to = strdup(text);
	return *to ? 0 : no_memory(error);
}

/* What is on the first network only. */
static void forget_first(struct arrow_spec *spec)
{
	free(STEAL(spec->ip));
	free(STEAL(spec->ip6));
	free(STEAL(spec->mac));
}

/* What is to be done to a spec. */
struct change {
	const struct arrow_paths *paths;
	const char *arrow;
	const struct arrow_connection *connection; /* to be made */
	const struct net_network *network;
	const char *left;      /* name or id of the network that is left */
	char id[ARROW_ID_HEX]; /* gets the Arrow's */
};

static int add(struct arrow_spec *spec, void *arg, struct arrow_error *error)
{
	const struct change *change = arg;
	const struct arrow_connection *c = change->connection;
	const struct net_network *n = change->network;
	bool first;
	int r = name_networks(spec, change->arrow, error);

	if (r < 0)
		return r;
	if (find(&spec->networks, n->name) < spec->networks.n)
		return arrow_fail_status(error, 1, EEXIST, "Arrow %s is on network %s already",
			change->arrow, n->name);
	if (find(&spec->networks, USER) < spec->networks.n)
		return arrow_fail_status(error, 1, EINVAL,
			"Arrow %s is on the user-mode network, which goes with no other: "
			"'arrow network disconnect user %s' takes it off",
			change->arrow, change->arrow);
	if (spec->networks.n == NET_CARDS_MAX)
		return arrow_fail_status(error, 1, E2BIG,
			"Arrow %s is on %u networks, which is the most", change->arrow,
			NET_CARDS_MAX);
	if (strcmp(spec->networks.v[0], NONE) == 0)
		take_away(&spec->networks, 0);
	first = spec->networks.n == 0;
	r = take_address(&spec->ip, c->ip, &n->subnet4, n, first, error);
	if (r == 0)
		r = take_address(&spec->ip6, c->ip6, &n->subnet6, n, first, error);
	for (size_t i = 0; r == 0 && i < c->aliases->n; i++) {
		if (!net_lease_name_is_valid(c->aliases->v[i]))
			r = arrow_fail_status(error, 1, EINVAL,
				"'%s' is no name that a network can resolve", c->aliases->v[i]);
		else if (arrow_strings_add(&spec->network_aliases, c->aliases->v[i]) < 0)
			r = no_memory(error);
	}
	if (r == 0 && arrow_strings_add(&spec->networks, n->name) < 0)
		r = no_memory(error);
	return r;
}

static int leave(struct arrow_spec *spec, void *arg, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	const struct change *change = arg;
	struct arrow_strings *networks = &spec->networks;
	const char *name = canonical(change->left);
	int r = name_networks(spec, change->arrow, error);
	size_t at;

	if (r < 0)
		return r;
	at = find(networks, name);
	/* By its name, for that may be no network of Arrow's, or gone; or by its id. */
	if (at == networks->n && net_network_find(&n, change->paths, name) == 0)
		at = find(networks, n.name);
	if (at == networks->n || strcmp(networks->v[at], NONE) == 0)
		return arrow_fail_status(error, 1, ENOENT, "Arrow %s is not on network %s",
			change->arrow, change->left);
	take_away(networks, at);
	if (at == 0)
		forget_first(spec);
	if (networks->n == 0 && arrow_strings_add(networks, NONE) < 0)
		return no_memory(error);
	return 0;
}

static int change_idle(struct change *change,
	int (*how)(struct arrow_spec *, void *, struct arrow_error *), struct arrow_error *error)
{
	struct arrow_instance instance = {.dir_fd = -1, .lock_fd = -1};
	int r = open_idle(&instance, change->paths, change->arrow, error);

	if (r == 0) {
		memcpy(change->id, instance.id, sizeof(change->id));
		r = arrow_instance_change(change->paths, instance.id, how, change, error);
	}
	if (instance.dir)
		arrow_instance_release(&instance);
	return r;
}

int arrow_connect(const struct arrow_paths *paths, const char *arrow,
	const struct arrow_connection *connection, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	struct change change = {
		.paths = paths, .arrow = arrow, .connection = connection, .network = &n};
	int lock = net_lock(paths, error), r;

	if (lock < 0)
		return lock;
	r = net_network_open(&n, paths, canonical(connection->network), error);
	/* A keeper that ends needs it. */
	close_keep_errno(lock);
	return r < 0 ? r : change_idle(&change, add, error);
}

int arrow_disconnect(const struct arrow_paths *paths, const char *arrow, const char *network,
	struct arrow_error *error)
{
	struct change change = {.paths = paths, .arrow = arrow, .left = network};

	int r = change_idle(&change, leave, error);

	if (r == 0)
		net_network_event(paths, canonical(network), "disconnect", change.id);
	return r;
}
