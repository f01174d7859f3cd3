// SPDX-License-Identifier: Apache-2.0
#include "net/settle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "net/bridge.h"
#include "net/lease.h"
#include "net/link.h"
#include "net/names.h"
#include "net/rules.h"
#include "net/watch.h"
#include "net/watch_state.h"
#include "util/cleanup.h"
#include "util/io.h"

struct settling {
	const struct arrow_paths *paths;
	bool fix;
	struct net_findings *findings;
	unsigned int alive;           /* on the network that is looked at */
	struct net_elements elements; /* of those on bridges that are not Arrow's */
};

static void see_lease(struct net_lease *lease, bool dead, void *arg)
{
	struct settling *s = arg;

	if (!dead) {
		s->alive++;
		return;
	}
	s->findings->dead++;
	if (!s->fix)
		return;
	/* It goes with its last descriptor, which somebody else may have. */
	if (lease->tap[0] && !lease->netns)
		net_link_delete(lease->tap);
	close_keep_errno(net_lease_end(lease, s->paths));
}

/*
 * Starts the watch of a network, NULL for that of joined bridges, also where a repair has failed
 * with r, by somebody who changes the rules just then: the watch tries again. The first failure
 * counts.
 */
static int watch_too(int r, const struct net_network *n, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error later = ARROW_ERROR_INIT;
	struct arrow_error *e = r < 0 ? &later : error;
	int started = n ? net_watch_start(n, paths, e) : net_watch_start_joined(paths, e);

	return r < 0 ? r : started;
}

static int see_network(const struct net_network *n, void *arg, struct arrow_error *error)
{
	struct settling *s = arg;
	bool lives = net_watch_lives(s->paths, n->name);
	bool named = net_names_stand(s->paths, n->name);
	int r;

	s->alive = 0;
	net_lease_each(s->paths, n->name, see_lease, s);
	if (s->alive == 0) {
		/* A watch takes it down in a moment. */
		if (lives || !net_bridge_left(n, s->paths))
			return 0;
		s->findings->left++;
		if (s->fix)
			net_bridge_down(n, s->paths);
		return 0;
	}
	if (!lives)
		s->findings->alone++;
	else if (!named || !net_bridge_whole(n, s->paths))
		s->findings->broken++;
	else
		return 0;
	if (!s->fix)
		return 0;
	r = net_bridge_repair(n, s->paths, error);
	if (lives && !named)
		net_watch_kill(s->paths, n->name);
	return lives && named ? r : watch_too(r, n, s->paths, error);
}

static void see_joined(struct net_lease *lease, bool dead, void *arg)
{
	struct settling *s = arg;

	see_lease(lease, dead, s);
	if (!dead)
		net_lease_elements(lease, &s->elements);
}

/* Arrows on bridges that are not Arrow's: only their rules are. */
static int settle_joined(struct settling *s, struct arrow_error *error)
{
	bool broken, alone;
	int r = 0;

	net_lease_each(s->paths, NET_JOINED, see_joined, s);
	broken = s->elements.n && !(net_rules_whole() && net_rules_have(&s->elements));
	alone = s->elements.n && !net_watch_lives(s->paths, NET_JOINED);
	net_elements_release(&s->elements);
	s->findings->broken += broken;
	s->findings->alone += alone;
	if (s->fix && (broken || alone))
		r = net_joined_repair(s->paths, error);
	return s->fix && alone ? watch_too(r, NULL, s->paths, error) : r;
}

int net_settle(const struct arrow_paths *paths, bool fix, struct net_findings *findings,
	struct arrow_error *error)
{
	_cleanup_free_ char *data = path_format("%s/networks", paths->data);
	_cleanup_free_ char *run = path_format("%s/networks", paths->run);
	struct settling s = {.paths = paths, .fix = fix, .findings = findings};
	_cleanup_close_ int lock = -1;
	int r;

	*findings = (struct net_findings){0};
	if (!data || !run)
		return arrow_fail(error, ENOMEM, "out of memory");
	/* Where there never was a network, nothing is made to look for some. */
	if (access(data, F_OK) < 0 && access(run, F_OK) < 0)
		return 0;
	lock = net_lock(paths, error);
	if (lock < 0)
		return lock;
	r = net_network_list(paths, see_network, &s, error);
	return r < 0 ? r : settle_joined(&s, error);
}
