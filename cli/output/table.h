/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_TABLE_H
#define ARROW_CLI_OUTPUT_TABLE_H

/* Lists of rows, printed for people or for programs from the same JSON. */

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

/* --format of every command that prints a list. */
#define CLI_FORMAT_KEY 0x466d
/* clang-format off */
#define CLI_FORMAT_OPTION {"format", CLI_FORMAT_KEY, "table|json", 0, "How to print (table)", 0}
/* clang-format on */

/* Takes the value of --format. Anything else than table or json ends the command. */
bool cli_format_is_json(const char *value, const struct argp_state *state);

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

/* Prints JSON, indented. Returns the exit status of the command. */
int cli_print_json(const json_t *json);

/*
 * Brings what was printed to its reader: a full disk must not pass for a whole list. Returns the
 * exit status of the command.
 */
int cli_flush(void);

/*
 * Makes control characters into '?', in place: a text that comes from a program's arguments may not
 * move the cursor. Returns text, which may be NULL.
 */
char *cli_printable(char *text);

/* "5.1 GiB". Owned by the caller. */
char *cli_size_text(unsigned long long bytes);

#endif
