// SPDX-License-Identifier: Apache-2.0
/* --format for lists: which template, and the columns of a table. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output/columns.h"
#include "cli/output/format.h"
#include "cli/output/print.h"
#include "util/cleanup.h"

#define TABLE "table"
#define CELL_MIN 10u /* columns of a cell with its gap, as Docker's tables have it */

/* Shells hand on "\t" as two characters; Docker takes them for a tabulator. Owned by the caller. */
static char *rows_unescape(const char *text)
{
	char *copy = strdup(text), *to = copy;

	for (; copy && *text; text++) {
		if (text[0] == '\\' && (text[1] == 't' || text[1] == 'n')) {
			*to++ = text[1] == 't' ? '\t' : '\n';
			text++;
		} else {
			*to++ = *text;
		}
	}
	if (copy)
		*to = '\0';
	return copy;
}

/* "CreatedAt" becomes "CREATED AT". */
static void write_capitals(FILE *out, const char *field, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (i > 0 && isupper((unsigned char)field[i]) &&
			islower((unsigned char)field[i - 1]))
			fputc(' ', out);
		fputc(toupper((unsigned char)field[i]), out);
	}
}

/* The heading of a table is its template with titles for values. */
static void write_heading(FILE *out, const char *template, const struct cli_heading *headings)
{
	while (*template) {
		const char *open = strstr(template, "{{"),
			   *close = open ? strstr(open, "}}") : NULL;
		const char *dot = open ? strchr(open, '.') : NULL;
		size_t size = 0, i = 0;

		if (!close) {
			fputs(template, out);
			break;
		}
		fwrite(template, 1, (size_t)(open - template), out);
		template = close + 2;
		if (!dot || dot > close)
			continue;
		for (dot++; isalnum((unsigned char)dot[size]) || dot[size] == '_'; size++)
			;
		while (headings && headings[i].field &&
			(strlen(headings[i].field) != size ||
				strncmp(headings[i].field, dot, size) != 0))
			i++;
		if (headings && headings[i].field)
			fputs(headings[i].title, out);
		else
			write_capitals(out, dot, size);
	}
	fputc('\n', out);
}

static int write_rows(FILE *out, const char *template, const json_t *rows, struct arrow_error *e)
{
	const json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach (rows, i, row) {
		_cleanup_free_ char *text = NULL;

		if (strcmp(template, "json") != 0)
			r = cli_format_one(out, template, row, e);
		else if ((text = cli_json_text(row, JSON_COMPACT)))
			fputs(text, out);
		else
			r = arrow_no_memory(e);
		if (r < 0)
			break;
		fputc('\n', out);
	}
	return r;
}

int cli_format_object(const char *format, const json_t *object, struct arrow_error *error)
{
	_cleanup_free_ char *template = rows_unescape(format), *text = NULL;
	size_t size = 0;
	FILE *out = template ? open_memstream(&text, &size) : NULL;
	int r = 0;

	if (!out)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (strcmp(template, "json") != 0)
		r = cli_format_one(out, template, object, error);
	else if (json_dumpf(object, out, JSON_INDENT(2)) < 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (fclose(out) != 0 && r == 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0)
		puts(text);
	return r;
}

int cli_format_rows(const char *format, const char *standard, const struct cli_heading *headings,
	const json_t *rows, struct arrow_error *error)
{
	bool plain_table = !format || strcmp(format, TABLE) == 0 || *format == '\0';
	_cleanup_free_ char *template = rows_unescape(plain_table ? standard : format),
			    *text = NULL;
	size_t size = 0;
	json_t *clean = NULL;
	const char *cells;
	bool table;
	FILE *out;
	int r;

	out = template ? open_memstream(&text, &size) : NULL;
	if (!out)
		return arrow_fail(error, ENOMEM, "out of memory");
	table = strncmp(template, TABLE " ", strlen(TABLE " ")) == 0;
	cells = table ? template + strlen(TABLE " ") : template;
	if (table)
		write_heading(out, cells, headings);
	/*
	 * Cells of a table, and all that goes to a terminal, are for people; other programs get
	 * what is there. JSON has numbers for what a terminal would obey.
	 */
	if (strcmp(cells, "json") != 0 && (table || isatty(STDOUT_FILENO)))
		clean = cli_clean_json(rows, !table);
	r = write_rows(out, cells, clean ? clean : rows, error);
	json_decref(clean);
	if (fclose(out) != 0 && r == 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r < 0) {
		if (headings)
			error->status = 1;
		return r;
	}
	if (table)
		r = cli_print_columns(stdout, text, CELL_MIN);
	else
		fputs(text, stdout);
	return r < 0 ? arrow_fail(error, ENOMEM, "out of memory") : 0;
}
