/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_TABLE_H
#define ARROW_CLI_OUTPUT_TABLE_H

/* Lists of rows, printed for people or for programs from the same JSON. */

#include <jansson.h>

struct cli_column {
	const char *title; /* NULL in all: no heading */
	const char *key;   /* of a row's string, number or truth that is shown; or NULL: */
	char *(*text)(const json_t *row, const void *arg); /* makes it, owned by the caller */
};

/*
 * Prints an array of objects as an aligned table.
 *   columns: ends with one that has neither key nor text
 *   arg:     for the text functions
 * Returns the exit status of the command.
 */
int cli_print_table(const json_t *rows, const struct cli_column *columns, const void *arg);

#endif
