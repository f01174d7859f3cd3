/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_PRUNE_H
#define ARROW_CLI_PRUNE_H

/* What the commands that remove many things at once have in common. */

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <time.h>

#include "core/spec/spec.h"

/* --filter of them: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]. */
struct cli_prune_filter {
	struct timespec until; /* 0: not limited */
	struct arrow_strings labels, not_labels;
};

/* Takes a value of --filter; anything else ends the command. */
void cli_prune_filter_parse(
	struct cli_prune_filter *filter, const char *value, const struct argp_state *state);

/* Whether something with "created" (RFC 3339) and "labels" (an object) may go. arg: the filter. */
bool cli_prune_filter_passes(const json_t *row, void *arg);

void cli_prune_filter_release(struct cli_prune_filter *filter);

/*
 * Removes the networks that no Arrow is on and that pass, but for the default one, and prints their
 * names as Docker does. Takes the lock of all networks.
 */
int cli_prune_networks(const struct arrow_paths *paths, const struct cli_prune_filter *filter,
	struct arrow_error *error);

/* Asks whether to go on, as Docker does. What is no yes, or no answer, is no. */
bool cli_confirm(void);

#endif
