// SPDX-License-Identifier: Apache-2.0
#include "cli/output/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/columns.h"
#include "cli/output/print.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

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
	return text_clean(column->text ? column->text(row, arg)
				       : value_text(json_object_get(row, column->key)));
}

int cli_print_table(const json_t *rows, const struct cli_column *columns, const void *arg)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, n = 0, i;
	FILE *f = open_memstream(&text, &size);
	const json_t *row;
	int r = f ? 0 : -ENOMEM;

	while (columns[n].key || columns[n].text)
		n++;
	for (i = 0; r == 0 && columns[0].title && i < n; i++)
		fprintf(f, "%s%c", columns[i].title, i + 1 < n ? '\t' : '\n');
	json_array_foreach (rows, i, row) {
		for (size_t c = 0; r == 0 && c < n; c++) {
			_cleanup_free_ char *cell = cell_text(&columns[c], row, arg);

			if (cell)
				fprintf(f, "%s%c", cell, c + 1 < n ? '\t' : '\n');
			else
				r = -ENOMEM;
		}
	}
	if (f && fclose(f) != 0)
		r = -ENOMEM;
	if (r == 0)
		r = cli_print_columns(stdout, text, 0);
	if (r == 0)
		return cli_flush();
	fputs("arrow: out of memory\n", stderr);
	return CLI_FAILED;
}
