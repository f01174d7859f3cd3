/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_FORMAT_H
#define ARROW_CLI_OUTPUT_FORMAT_H

/*
 * --format with the meaning that Docker gives it: "table", "table TEMPLATE", "json", or a template
 * in the language of Go's text/template, of which scripts use this part:
 *
 *   {{.Field.Of.Field}}  {{.}}  {{$}}  {{$name}}  {{"text"}}  {{1}}  {{true}}  {{(PIPELINE).Field}}
 *   {{FUNCTION ARG...}}  {{PIPELINE | FUNCTION ARG...}}  {{/ * comment * /}}  {{- trimmed -}}
 *   {{if P}} {{else if P}} {{else}} {{end}}    {{with P}}    {{range P}}    {{range $k, $v := P}}
 *
 * Functions: json, join, split, len, index, upper, lower, title, truncate, print, println, printf,
 * and, or, not, eq, ne, lt, le, gt, ge.
 */

#include <jansson.h>
#include <stdio.h>

#include "util/error.h"

/* The exit status for a template that cannot be parsed, as docker inspect and events have it; lists
 * exit with 1 for that, too. */
#define CLI_FORMAT_STATUS 64

/* The heading of a field in a table; a field that has none is shown in capitals. */
struct cli_heading {
	const char *field; /* NULL ends the list */
	const char *title;
};

/*
 * Expands a template for one value, appended to `out`.
 * Errors: -EINVAL, with the status CLI_FORMAT_STATUS for what is not a template, and 1 for what
 * does not fit the value, such as a field that it does not have.
 */
int cli_format_one(FILE *out, const char *template, const json_t *value,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Prints one object to stdout: as indented JSON for "json", or by a template with its newline.
 * Errors: as cli_format_one(); nothing is printed then.
 */
int cli_format_object(
	const char *format, const json_t *object, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Prints an array of objects to stdout as --format says.
 *   format:   what the user gave, or NULL for `standard`
 *   standard: "table {{.ID}}\t{{.Name}}..."
 *   headings: of the fields, for tables; NULL for inspect
 * Nothing is printed when the template fails for one of the rows. Errors: as cli_format_one(),
 * but the status is always 1 where there are headings.
 */
int cli_format_rows(const char *format, const char *standard, const struct cli_heading *headings,
	const json_t *rows, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
