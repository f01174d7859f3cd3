/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_NETWORK_H
#define ARROW_CLI_NETWORK_H

/* What the commands of `arrow network` have in common. */

#include "cli/input/each.h"

/*
 * For the keys that a command's own parser does not know: adds the names that the command line
 * gives to a list. Too few or too many of them end the command.
 */
error_t cli_network_parse_names(int key, char *arg, struct argp_state *state,
	struct arrow_strings *names, size_t least, size_t most);

/*
 * Does something with networks after what dead Arrows left on them is cleaned up, and prints what
 * went wrong. Returns the exit status: that of the work, or 1, as in Docker.
 *   locked: under the lock of all networks
 */
int cli_network_work(cli_work work, bool locked, void *arg);

#endif
