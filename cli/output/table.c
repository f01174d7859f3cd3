// SPDX-License-Identifier: Apache-2.0
#include "cli/output/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/human.h"
#include "cli/output/print.h"
#include "util/cleanup.h"
#include "util/io.h"

#define GAP 3 /* spaces between two columns */

static char *value_text(const json_t *value)
{
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_integer(value))
		return path_format("%lld", (long long)json_integer_value(value));
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "yes" : "no");
	return strdup("-");
}

static char *cell_text(const struct cli_column *column, const json_t *row, const void *arg)
{
	return cli_printable(column->text ? column->text(row, arg)
					  : value_text(json_object_get(row, column->key)));
}

static void print_line(char *const *cells, const size_t *widths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fputs(cells[i], stdout);
		/* Nothing is aligned after the last one. */
		if (i + 1 < n)
			printf("%*s",
				(int)(widths[i] - human_width(cells[i], strlen(cells[i]))) + GAP,
				"");
	}
	putchar('\n');
}

int cli_print_table(const json_t *rows, const struct cli_column *columns, const void *arg)
{
	size_t n = 0, n_rows = json_array_size(rows), max;
	_cleanup_free_ size_t *widths = NULL;
	_cleanup_strv_ char **cells = NULL;
	const json_t *row;
	size_t i, at = 0;

	while (columns[n].key || columns[n].text)
		n++;
	max = (n_rows + 1) * n;
	widths = calloc(n + 1, sizeof(*widths));
	cells = calloc(max + 1, sizeof(*cells));
	if (!widths || !cells)
		goto no_memory;

	for (i = 0; columns[0].title && i < n; i++)
		if (!(cells[at++] = strdup(columns[i].title)))
			goto no_memory;
	json_array_foreach (rows, i, row) {
		for (size_t c = 0; c < n; c++)
			if (!(cells[at++] = cell_text(&columns[c], row, arg)))
				goto no_memory;
	}
	for (i = 0; i < at; i++)
		if (human_width(cells[i], strlen(cells[i])) > widths[i % n])
			widths[i % n] = human_width(cells[i], strlen(cells[i]));
	for (i = 0; i < at; i += n)
		print_line(cells + i, widths, n);
	return cli_flush();

no_memory:
	fputs("arrow: out of memory\n", stderr);
	return ARROW_STATUS_ERROR;
}
