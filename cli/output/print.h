/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_PRINT_H
#define ARROW_CLI_OUTPUT_PRINT_H

/* How a command ends: its error, or its output brought to the reader. */

#include <jansson.h>
#include <stdbool.h>

#include "util/error.h"

/* The exit status of a command that failed, as Docker has it. */
#define CLI_FAILED 1

/* Prints "arrow: TEXT" on stderr. Returns the status to exit with, and clears the error. */
int cli_error(struct arrow_error *error);

/*
 * The same for commands whose exit status is that of a program: run and exec, which fail with 125
 * to 127.
 */
int cli_error_of_program(struct arrow_error *error);

/*
 * Flushes stdout, so that a full disk does not pass for a complete list. Returns the exit status of
 * the command.
 */
int cli_flush(void);

/* Prints JSON, indented. Returns the exit status of the command. */
int cli_print_json(const json_t *json);

/*
 * JSON as text; on a terminal without control characters, which JSON writes as numbers. The
 * caller's; NULL when out of memory.
 */
char *cli_json_text(const json_t *json, size_t flags);

/*
 * A copy of a value whose strings went through text_clean(), or text_clean_lines(); of none an
 * empty object. NULL when out of memory.
 */
json_t *cli_clean_json(const json_t *json, bool lines);

/* The keys of an object of texts, or "key=value", with commas. Owned by the caller. */
char *cli_join(json_t *object, bool values);

#endif
