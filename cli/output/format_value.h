/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_FORMAT_VALUE_H
#define ARROW_CLI_OUTPUT_FORMAT_VALUE_H

/* Values of a --format template, which are JSON, and the functions on them. */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "util/error.h"

#define FORMAT_ARGS_MAX 16u

/* Writes a value as Go's "%v" does: true, 5, text, [a b], map[k:v]. */
void format_write(FILE *out, const json_t *value);

/* Whether {{if}} takes it: neither null, false, 0 nor empty. */
bool format_truth(const json_t *value);

/*
 * Calls a function of templates.
 *   result: owned by the caller
 * Errors: -ENOENT (no such function), -EINVAL (its arguments do not fit), -ENOMEM.
 */
int format_call(json_t **result, const char *name, json_t *const *args, size_t n,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
