/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_INPUT_FILTER_H
#define ARROW_CLI_INPUT_FILTER_H

/* --filter KEY=VALUE of lists, as Docker has them. */

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

#include "core/spec/spec.h"

struct cli_filter {
	const char *key; /* NULL ends the list */
	/* arg: cli_filter_passes()'s; value: empty only with `empty` */
	bool (*matches)(const void *arg, const json_t *object, const char *value);
	bool all;   /* every value must match, not any */
	bool empty; /* "" is a value, too */
};

/* The filter of "key=value", or NULL for what is none. */
const struct cli_filter *cli_filter_find(const struct cli_filter *filters, const char *text);

/*
 * Ends the command because of a filter: as Docker does with 125 if it is not KEY=VALUE at all, else
 * with 1.
 */
void cli_filter_refuse(const struct argp_state *state, const char *text);

/*
 * Whether an object passes all that was given: those of one key are alternatives (but for `all`),
 * those of different keys must all match. Each was found by cli_filter_find().
 */
bool cli_filter_passes(const struct cli_filter *filters, const struct arrow_strings *given,
	const json_t *object, const void *arg);

/* Whether text matches an extended regular expression, as Docker matches names. One that is not
 * valid matches nothing. */
bool cli_matches(const char *text, const char *expression);

/* Whether an object of labels has "key", or "key=value". */
bool cli_has_label(const json_t *labels, const char *label);

#endif
