// SPDX-License-Identifier: Apache-2.0
#include "net/up.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net/bridge.h"
#include "net/lease.h"
#include "net/names.h"
#include "net/pool.h"
#include "net/rules.h"
#include "net/watch.h"
#include "net/watch_state.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Sets /proc/sys/net/<name>, if it is not so. */
static int set_sysctl(const char *name, const char *value, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("/proc/sys/net/%s", name);
	_cleanup_close_ int fd = -1;
	char now[8] = "";

	fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd >= 0 && read(fd, now, sizeof(now) - 1) > 0 && now[0] == value[0])
		return 0;
	if (fd < 0 || pwrite(fd, value, strlen(value), 0) < 0)
		return arrow_fail(error, errno, "cannot set %s, which networks require: %m", name);
	return 0;
}

static int set_forwarding(const struct net_network *n, struct arrow_error *error)
{
	int r = 0;

	/* An internal network needs none. */
	if (!n->internal && n->subnet4.family)
		r = set_sysctl("ipv4/ip_forward", "1", error);
	if (r == 0 && !n->internal && n->subnet6.family)
		r = set_sysctl("ipv6/conf/all/forwarding", "1", error);
	return r;
}

/* The host may have got addresses and routes since the network was made. */
static int check_subnet(
	struct net_network *n, const struct arrow_paths *paths, struct arrow_error *error)
{
	struct net_network same = *n;
	int r = net_pool_choose(&same, false, paths, error);

	if (r != -EADDRINUSE || !n->pooled || net_watch_lives(paths, n->name) ||
		net_lease_sweep(paths, n->name) > 0)
		return r;
	arrow_error_clear(error);
	net_bridge_down(n, paths);
	n->subnet4 = n->gateway4 = n->range4 = (struct net_address){0};
	r = net_pool_choose(n, false, paths, error);
	return r == 0 ? net_network_write(n, paths, error) : r;
}

int net_network_up(
	struct net_network *n, const struct arrow_paths *paths, struct arrow_error *error)
{
	struct net_link link;
	int r = net_bridge_find(n, &link);

	if (r == 0 && link.alias[0] && net_watch_lives(paths, n->name)) {
		if (net_names_stand(paths, n->name))
			return net_rules_whole() ? 0 : net_bridge_repair(n, paths, error);
		/* That of an older version, or somebody removed the names: the next one has them.
		 */
		net_watch_kill(paths, n->name);
	}
	if (r == -EEXIST)
		return arrow_fail(error, EEXIST,
			"the interface %s of network %s was not created by Arrow: remove it, or create another network",
			n->bridge, n->name);
	if (r == -ENODEV) {
		r = check_subnet(n, paths, error);
		if (r == 0)
			r = set_forwarding(n, error);
	} else if (r < 0) {
		r = arrow_fail(error, -r, "cannot look for the bridge %s: %m", n->bridge);
	}
	if (r == 0)
		r = net_bridge_repair(n, paths, error);
	return r == 0 ? net_watch_start(n, paths, error) : r;
}
