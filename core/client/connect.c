// SPDX-License-Identifier: Apache-2.0
#include "core/client/connect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/control/control.h"
#include "core/client/exec.h"
#include "core/instance/instance.h"
#include "net/lease_take.h"
#include "net/manage.h"
#include "net/net.h"
#include "net/up.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/sigpipe.h"

#define ANSWER_MS 60000u

#define NONE "none"
#define USER "user"

static int no_memory(struct arrow_error *error)
{
	return arrow_fail(error, ENOMEM, "out of memory");
}

/* Its networks by name. One that was made before these were stored has what can be had now. */
static int connect_name_networks(
	struct arrow_spec *spec, const char *arrow, struct arrow_error *error)
{
	if (spec->source.from)
		return arrow_fail_status(error, 1, EINVAL,
			"Arrow %s was restored from %s, and keeps the network cards that were saved",
			arrow, spec->source.from);
	if (spec->net.names.n == 0 && arrow_strings_add(&spec->net.names, net_default(NULL)) < 0)
		return no_memory(error);
	return 0;
}

/* The same network under another name that --network takes. */
static const char *connect_canonical_name(const char *name)
{
	return strcmp(name, "default") == 0 ? NET_DEFAULT : name;
}

static size_t connect_find_network(const struct arrow_strings *networks, const char *name)
{
	size_t i = 0;

	while (i < networks->n && strcmp(connect_canonical_name(networks->v[i]), name) != 0)
		i++;
	return i;
}

static void connect_take_away(struct arrow_strings *list, size_t index)
{
	free(list->v[index]);
	/* With the NULL behind the last one. */
	memmove(list->v + index, list->v + index + 1, (list->n - index) * sizeof(*list->v));
	list->n--;
}

/* What is on the first network only. */
static void connect_forget_first(struct arrow_spec *spec)
{
	free(STEAL(spec->net.ip));
	free(STEAL(spec->net.ip6));
	free(STEAL(spec->net.mac));
}

/* What is to be done to a spec. */
struct change {
	const struct arrow_paths *paths;
	const char *arrow;
	const struct arrow_connection *connection; /* to be made */
	struct net_network *network;
	const char *left; /* name or id of the network that is left */
};

static struct net_endpoint connect_endpoint(const struct arrow_connection *c)
{
	return (struct net_endpoint){
		.ip = c->ip,
		.ip6 = c->ip6,
		.aliases = (const char *const *)c->aliases->v,
	};
}

/*
 * What is chosen has to be free now, also for an Arrow that does not run: its start would fail. Of
 * one that is on the network already that is not the error.
 */
static int connect_check_choice(
	const struct change *change, const struct arrow_spec *spec, struct arrow_error *error)
{
	struct net_endpoint chosen = connect_endpoint(change->connection);
	_cleanup_close_ int lock = -1;

	if (connect_find_network(&spec->net.names, change->network->name) < spec->net.names.n)
		return 0;
	/* It becomes the first, which what was chosen at its creation is for. */
	if (spec->net.names.n == 1 && strcmp(spec->net.names.v[0], NONE) == 0) {
		chosen.ip = chosen.ip ? chosen.ip : spec->net.ip;
		chosen.ip6 = chosen.ip6 ? chosen.ip6 : spec->net.ip6;
	}
	lock = net_lock(change->paths, error);
	return lock < 0 ? lock : net_lease_check(change->paths, change->network, &chosen, error);
}

static int connect_add_network(struct arrow_spec *spec, void *arg, struct arrow_error *error)
{
	const struct change *change = arg;
	const struct net_endpoint chosen = connect_endpoint(change->connection);
	const struct net_network *n = change->network;
	int r = connect_name_networks(spec, change->arrow, error);

	if (r < 0)
		return r;
	if (connect_find_network(&spec->net.names, n->name) < spec->net.names.n)
		return arrow_fail_status(error, 1, EEXIST, "Arrow %s is on network %s already",
			change->arrow, n->name);
	if (connect_find_network(&spec->net.names, USER) < spec->net.names.n)
		return arrow_fail_status(error, 1, EINVAL,
			"Arrow %s is on the user-mode network, which cannot be combined with others: "
			"run 'arrow network disconnect user %s' first",
			change->arrow, change->arrow);
	if (spec->net.names.n == NET_CARDS_MAX)
		return arrow_fail_status(error, 1, E2BIG,
			"Arrow %s is on %u networks already, which is the maximum", change->arrow,
			NET_CARDS_MAX);
	if (strcmp(spec->net.names.v[0], NONE) == 0)
		connect_take_away(&spec->net.names, 0);
	if (arrow_strings_add(&spec->net.names, n->name) < 0 ||
		arrow_spec_add_endpoint(spec, n->name, &chosen) < 0)
		return no_memory(error);
	return 0;
}

static int connect_leave_network(struct arrow_spec *spec, void *arg, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	const struct change *change = arg;
	struct arrow_strings *networks = &spec->net.names;
	const char *name = connect_canonical_name(change->left);
	int r = connect_name_networks(spec, change->arrow, error);
	size_t at;

	if (r < 0)
		return r;
	at = connect_find_network(networks, name);
	/* By its name, for that may be no network of Arrow's, or gone; or by its id. */
	if (at == networks->n && net_network_find(&n, change->paths, name) == 0)
		at = connect_find_network(networks, n.name);
	if (at == networks->n || strcmp(networks->v[at], NONE) == 0)
		return arrow_fail_status(error, 1, ENOENT, "Arrow %s is not on network %s",
			change->arrow, change->left);
	arrow_spec_remove_endpoint(spec, networks->v[at]);
	connect_take_away(networks, at);
	if (at == 0)
		connect_forget_first(spec);
	if (networks->n == 0 && arrow_strings_add(networks, NONE) < 0)
		return no_memory(error);
	return 0;
}

/* Tells the guest which networks its cards are on. */
static int connect_tell_guest(const struct arrow_paths *paths, const char *id,
	const struct control_answer *records, struct arrow_error *error)
{
	/* The worker says why it takes no more. */
	_cleanup_sigpipe_ struct sigpipe_block block = sigpipe_block();
	static const char *const argv[] = {"network", NULL};
	char text[ARROW_TEXT_MAX] = "";
	struct arrow_worker worker;
	int r = arrow_worker_start(
		paths, id, argv, ARROW_WORKER_INPUT | ARROW_WORKER_SHORT, &worker, error);
	ssize_t n = 0;

	if (r < 0)
		return r;
	r = write_full(worker.in, records->data, records->size);
	close_keep_errno(steal_fd(&worker.in));
	if (r == 0)
		n = read_full(worker.out, text, sizeof(text) - 1);
	if (n < 0)
		r = (int)n;
	if (r < 0)
		r = arrow_fail(error, -r, "cannot talk to the guest: %m");
	text[strcspn(text, "\n")] = '\0';
	if (r == 0 && strcmp(text, "0 ") != 0)
		r = arrow_fail_status(error, 1, EIO, "the guest did not accept the network: %s",
			n > 4 ? text + 4 : "it was started by an older version of arrow");
	return arrow_worker_end(&worker, r, error);
}

/* Has the keeper be on the networks that are stored now. */
static int connect_ask_keeper(const struct arrow_paths *paths, const struct arrow_instance *i,
	bool tell, struct arrow_error *error)
{
	struct control_answer records = {0};
	int r = control_ask(i, ARROW_NETWORKS, NULL, 0, ANSWER_MS, &records, error);

	if (r == 0 && tell && records.size)
		r = connect_tell_guest(paths, i->id, &records, error);
	free(records.data);
	return r;
}

static int connect_copy_text(char **to, const char *text)
{
	free(*to);
	*to = text ? strdup(text) : NULL;
	return !text || *to ? 0 : -ENOMEM;
}

/* As it was before: a change that could not be made in what runs. */
static int connect_restore_spec(struct arrow_spec *spec, void *arg, struct arrow_error *error)
{
	const struct arrow_spec *before = arg;
	int r = 0;

	arrow_strings_release(&spec->net.names);
	arrow_spec_release_endpoints(spec);
	for (size_t i = 0; r == 0 && i < before->net.n_endpoints; i++) {
		const struct arrow_endpoint *e = &before->net.endpoints[i];

		r = arrow_spec_add_endpoint(spec, e->network,
			&(struct net_endpoint){
				.ip = e->ip,
				.ip6 = e->ip6,
				.mac = e->mac,
				.aliases = (const char *const *)e->aliases.v,
			});
	}
	if (r < 0 || arrow_strings_add_all(&spec->net.names, before->net.names.v) < 0 ||
		connect_copy_text(&spec->net.ip, before->net.ip) < 0 ||
		connect_copy_text(&spec->net.ip6, before->net.ip6) < 0 ||
		connect_copy_text(&spec->net.mac, before->net.mac) < 0)
		return no_memory(error);
	return 0;
}

/* Here, so that the keeper need not wait for its name server: it stays up for a while. */
static int connect_bring_up(const struct change *change, struct arrow_error *error)
{
	_cleanup_close_ int lock = net_lock(change->paths, error);

	return lock < 0 ? lock : net_network_up(change->network, change->paths, error);
}

typedef int change_spec(struct arrow_spec *, void *, struct arrow_error *);

/* The keeper does it at once, too. */
static int connect_change_running(struct change *change, const struct arrow_instance *i,
	const struct arrow_spec *before, change_spec *how, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	int r = change->connection ? connect_bring_up(change, error) : 0;

	if (r == 0)
		r = arrow_instance_change(change->paths, i->id, how, change, error);

	if (r < 0)
		return r;
	r = connect_ask_keeper(change->paths, i, true, error);
	if (r == 0)
		return 0;
	/* It ended just now: what is stored counts for the next start. */
	if (!arrow_instance_is_kept(i)) {
		arrow_error_clear(error);
		return 0;
	}
	/* A guest that does not hear of it has left the network all the same. */
	if (!change->connection &&
		control_ask(i, ARROW_NETWORKS, NULL, 0, ANSWER_MS, NULL, &ignored) == 0) {
		arrow_error_clear(error);
		return 0;
	}
	if (arrow_instance_change(
		    change->paths, i->id, connect_restore_spec, (void *)before, &ignored) == 0)
		(void)!connect_ask_keeper(change->paths, i, false, &ignored);
	return arrow_error_prefix(error, r, "cannot %s Arrow %s",
		change->connection ? "connect" : "disconnect", i->name);
}

static int connect_change(struct change *change, change_spec *how, struct arrow_error *error)
{
	struct arrow_instance instance = {.dir_fd = -1, .lock_fd = -1};
	struct arrow_spec before;
	char id[ARROW_ID_HEX];
	int r;

	arrow_spec_init(&before);
	r = arrow_instance_find(change->paths, change->arrow, id, error);
	if (r == 0)
		r = arrow_instance_open(&instance, change->paths, id, &before, error);
	if (r == 0 && change->connection)
		r = connect_check_choice(change, &before, error);
	if (r == 0) {
		r = arrow_instance_lock_wait(&instance, error);
		if (r == 0) {
			r = arrow_instance_change(change->paths, id, how, change, error);
			/* Of one that runs its keeper tells. */
			if (r == 0 && change->left)
				net_network_event_by_name(change->paths,
					connect_canonical_name(change->left), "disconnect", id);
		} else if (r == -EBUSY) {
			arrow_error_clear(error);
			r = connect_change_running(change, &instance, &before, how, error);
		}
	}
	if (instance.dir)
		arrow_instance_release(&instance);
	arrow_spec_release(&before);
	return r;
}

int arrow_connect(const struct arrow_paths *paths, const char *arrow,
	const struct arrow_connection *connection, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	struct change c = {.paths = paths, .arrow = arrow, .connection = connection, .network = &n};
	int lock, r;

	if (!net_is_permitted())
		return arrow_fail(error, EPERM,
			"connecting to networks requires root or CAP_NET_ADMIN, and /dev/net/tun; without them, Arrows have --network user");
	lock = net_lock(paths, error);
	if (lock < 0)
		return lock;
	r = net_network_open(&n, paths, connect_canonical_name(connection->network), error);
	/* A keeper that ends needs it. */
	close_keep_errno(lock);
	return r < 0 ? r : connect_change(&c, connect_add_network, error);
}

int arrow_disconnect(const struct arrow_paths *paths, const char *arrow, const char *network,
	struct arrow_error *error)
{
	struct change c = {.paths = paths, .arrow = arrow, .left = network};

	return connect_change(&c, connect_leave_network, error);
}
