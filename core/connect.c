// SPDX-License-Identifier: Apache-2.0
#include "core/connect.h"

#include <errno.h>
#include <string.h>

#include "core/instance.h"
#include "net/net.h"
#include "util/cleanup.h"

#define NONE "none"
#define USER "user"

/* An Arrow that does not run, locked, as it is stored now, with its networks named. */
struct target {
	struct arrow_instance instance;
	struct arrow_spec spec;
};

static void target_release(struct target *t)
{
	if (t->instance.dir)
		arrow_instance_release(&t->instance);
	arrow_spec_release(&t->spec);
}

static int no_memory(struct arrow_error *error)
{
	return arrow_fail(error, ENOMEM, "out of memory");
}

static int target_open(struct target *t, const struct arrow_paths *paths, const char *arrow,
	struct arrow_error *error)
{
	char id[ARROW_ID_HEX];
	int r;

	t->instance.dir_fd = t->instance.lock_fd = -1;
	arrow_spec_init(&t->spec);
	r = arrow_instance_find(paths, arrow, id, error);
	if (r == 0)
		r = arrow_instance_open(&t->instance, paths, id, NULL, error);
	if (r < 0)
		return r;
	r = arrow_instance_lock_wait(&t->instance, error);
	if (r == -EBUSY) {
		arrow_error_clear(error);
		return arrow_fail_status(error, 1, EBUSY,
			"Arrow %s runs, and its microVM takes no card while it does: stop it, then "
			"connect or disconnect it, and start it again",
			arrow);
	}
	/* Only now nobody else changes it. */
	if (r == 0) {
		struct arrow_instance now;

		arrow_spec_release(&t->spec);
		r = arrow_instance_open(&now, paths, id, &t->spec, error);
		arrow_instance_release(&now);
	}
	if (r == 0 && t->spec.from)
		return arrow_fail_status(error, 1, EINVAL,
			"Arrow %s was restored from %s, whose network cards it has to have", arrow,
			t->spec.from);
	if (r == 0 && t->spec.networks.n == 0 &&
		arrow_strings_add(&t->spec.networks, net_default()) < 0)
		return no_memory(error);
	return r;
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

static int add(struct arrow_spec *spec, const struct net_network *n,
	const struct arrow_connection *c, const char *arrow, struct arrow_error *error)
{
	bool first;
	int r;

	if (find(&spec->networks, n->name) < spec->networks.n)
		return arrow_fail_status(
			error, 1, EEXIST, "Arrow %s is on network %s already", arrow, n->name);
	if (find(&spec->networks, USER) < spec->networks.n)
		return arrow_fail_status(error, 1, EINVAL,
			"Arrow %s is on the user-mode network, which goes with no other: "
			"'arrow network disconnect user %s' takes it off",
			arrow, arrow);
	if (spec->networks.n == NET_CARDS_MAX)
		return arrow_fail_status(error, 1, E2BIG,
			"Arrow %s is on %u networks, which is the most", arrow, NET_CARDS_MAX);
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

int arrow_connect(const struct arrow_paths *paths, const char *arrow,
	const struct arrow_connection *connection, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	struct target t = {0};
	int lock = net_lock(paths, error), r;

	if (lock < 0)
		return lock;
	r = net_network_open(&n, paths, canonical(connection->network), error);
	/* A keeper that ends needs it. */
	close_keep_errno(lock);
	if (r < 0)
		return r;
	r = target_open(&t, paths, arrow, error);
	if (r == 0)
		r = add(&t.spec, &n, connection, arrow, error);
	if (r == 0)
		r = arrow_instance_store(&t.instance, &t.spec, error);
	target_release(&t);
	return r;
}

int arrow_disconnect(const struct arrow_paths *paths, const char *arrow, const char *network,
	struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	const char *name = canonical(network);
	struct target t = {0};
	size_t at = 0;
	int r = target_open(&t, paths, arrow, error);

	if (r == 0) {
		struct arrow_strings *networks = &t.spec.networks;

		at = find(networks, name);
		/* By its id, or one that is no network of Arrow's, or that is gone. */
		if (at == networks->n && net_network_find(&n, paths, name) == 0)
			at = find(networks, n.name);
		if (at == networks->n || strcmp(networks->v[at], NONE) == 0) {
			r = arrow_fail_status(
				error, 1, ENOENT, "Arrow %s is not on network %s", arrow, network);
		} else {
			take_away(networks, at);
			if (at == 0)
				forget_first(&t.spec);
			if (networks->n == 0 && arrow_strings_add(networks, NONE) < 0)
				r = no_memory(error);
		}
	}
	if (r == 0)
		r = arrow_instance_store(&t.instance, &t.spec, error);
	target_release(&t);
	return r;
}
