/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_SETTLE_H
#define ARROW_NET_SETTLE_H

/*
 * Setting right what was killed, flushed or removed by hand: by `arrow doctor`, by
 * `arrow network`, and by a keeper whose watch was killed.
 */

#include "net/network.h"

/* What was found, and mended if that was asked for. */
struct net_findings {
	unsigned int dead;   /* Arrows whose keeper is gone: their addresses, names, rules */
	unsigned int left;   /* networks that are up with nobody on them, nor a watch */
	unsigned int alone;  /* networks with Arrows on them, and no watch */
	unsigned int broken; /* networks that lack rules, names, their bridge or its ports */
};

/*
 * Looks at all networks, and mends what it finds if `fix` is set; takes the lock.
 * Errors: what cannot be mended; the rest is, all the same.
 */
int net_settle(const struct arrow_paths *paths, bool fix, struct net_findings *findings,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
