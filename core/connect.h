/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CONNECT_H
#define ARROW_CORE_CONNECT_H

/*
 * `arrow network connect` and `disconnect`: which networks an Arrow is on from its next start. The
 * cards of one that runs are devices of its VM, which has no hotplug: it has to be stopped first.
 */

#include "core/arrow.h"

/* What is asked for; texts are those of the options, NULL where not given. */
struct arrow_connection {
	const char *network; /* name or id */
	const char *ip, *ip6;
	const struct arrow_strings *aliases;
};

/*
 * Adds a network to those of an Arrow, by name or id. One that is on none leaves that.
 * Errors: -EBUSY (it runs), -EEXIST (it is on it), -ENOENT, what goes with no other network.
 */
int arrow_connect(const struct arrow_paths *paths, const char *arrow,
	const struct arrow_connection *connection, struct arrow_error *error) ARROW_MUST_CHECK;

/* Takes one away; the last one leaves `none`. Errors: -EBUSY, -ENOENT (it is not on it). */
int arrow_disconnect(const struct arrow_paths *paths, const char *arrow, const char *network,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
