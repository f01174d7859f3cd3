/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_WATCH_STATE_H
#define ARROW_NET_WATCH_STATE_H

/* Whether the watch of a network lives, and what it offers: see net/watch.h. */

#include <stdbool.h>

#include "util/paths.h"

/* What the process is called. */
#define NET_WATCH_TITLE "arrow-net"

/* True if a network's watch is there. */
bool net_watch_lives(const struct arrow_paths *paths, const char *network);

/*
 * Opens what tells of the watch's end: a descriptor that hangs up while there is none.
 * Returns it or a negative errno.
 */
int net_watch_follow(const struct arrow_paths *paths, const char *network) ARROW_MUST_CHECK;

/* True if the network resolves names, on its gateway's address. */
bool net_watch_resolves(const struct arrow_paths *paths, const char *network);

/*
 * For files of this folder: what net_watch_wait_end() needs of a watch, before its network is
 * removed; -1 where there is none.
 */
int net_watch_hold(const struct arrow_paths *paths, const char *network);

/* The same: waits until that watch has gone, and with it its port. Closes the descriptor. */
void net_watch_wait_end(int fd);

/*
 * The same: kills the watch of a network, which cannot serve it any more, and waits until it has
 * gone; hold the lock.
 */
void net_watch_kill(const struct arrow_paths *paths, const char *network);

/* For files of this folder: RUN/networks/<network>/<name>. NULL when out of memory. */
char *net_watch_file(
	const struct arrow_paths *paths, const char *network, const char *name) ARROW_MUST_CHECK;

#endif
