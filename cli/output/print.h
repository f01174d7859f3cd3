/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_PRINT_H
#define ARROW_CLI_OUTPUT_PRINT_H

/* How a command ends: its error, or its output brought to the reader. */

#include <jansson.h>
#include <stdbool.h>

#include "util/error.h"

/* Prints "arrow: TEXT" on stderr. Returns the status to exit with, and clears the error. */
int cli_error(struct arrow_error *error);

/*
 * Flushes stdout, so that a full disk does not pass for a complete list. Returns the exit status of
 * the command.
 */
int cli_flush(void);

/* Prints JSON, indented. Returns the exit status of the command. */
int cli_print_json(const json_t *json);

/*
 * Replaces control characters by '?', in place: a text that comes from a program's arguments must
 * not move the cursor. Returns text, which may be NULL.
 */
char *cli_printable(char *text);

/* A copy of an object of texts, which are made printable. Owned by the caller. */
json_t *cli_printable_values(json_t *object);

/* The keys of an object of texts, or "key=value", with commas. Owned by the caller. */
char *cli_join(json_t *object, bool values);

#endif
