/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_INPUT_VALUES_H
#define ARROW_CLI_INPUT_VALUES_H

/* Values of options that are kept as they are. */

#include "core/spec/spec.h"

/* Replaces a string by a copy of the value. */
int cli_set_string(char **where, const char *value, struct arrow_error *error) ARROW_MUST_CHECK;

/* Adds a copy of the value to a list. */
int cli_add_string(
	struct arrow_strings *list, const char *value, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
