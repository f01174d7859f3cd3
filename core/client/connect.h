/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_CONNECT_H
#define ARROW_CORE_CLIENT_CONNECT_H

/*
 * `arrow network connect` and `disconnect`: which networks an Arrow is on, now and from its next
 * start. The cards of one that runs are devices of its VM, which has no hotplug: it can be on as
 * many networks at once as it has cards.
 */

#include "core/spec/spec.h"

/* What is asked for; texts are those of the options, NULL where not given. */
struct arrow_connection {
	const char *network; /* name or id */
	const char *ip, *ip6;
	const struct arrow_strings *aliases; /* on this network */
};

/*
 * The caller ignores SIGPIPE: a guest that takes no more is told of by an error.
 *
 * Adds a network to those of an Arrow, by name or id. One that is on none leaves that.
 * Errors: -EEXIST (it is on it), -ENOENT, -ENOSPC (it runs and has no free card), what goes with no
 * other network.
 */
int arrow_connect(const struct arrow_paths *paths, const char *arrow,
	const struct arrow_connection *connection, struct arrow_error *error) ARROW_MUST_CHECK;

/* Takes one away; the last one leaves `none`. Errors: -ENOENT (it is not on it), -EBUSY
 * (it runs, and it is no network of Arrow's). */
int arrow_disconnect(const struct arrow_paths *paths, const char *arrow, const char *network,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
