// SPDX-License-Identifier: Apache-2.0
/*
 * Of our own, and not libsmartcols: that library escapes every character beyond ASCII unless the
 * program sets a locale, as in the "…" of Docker's tables, and has one set of columns, where a
 * template of --format may give each line as many cells as it likes. Loading it takes more lines
 * than this.
 */
#include "cli/output/columns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/human.h"
#include "util/cleanup.h"

#define GAP 3u /* spaces between two columns, as in Docker's tables */

/* The widths of the columns, with their gaps. Returns NULL without memory. Owned by the caller. */
static size_t *columns_measure(const char *text)
{
	/* No line has more cells than the text has tabulators. */
	size_t n = 1, column = 0, *widths;

	for (const char *at = text; *at; at++)
		n += *at == '\t';
	widths = calloc(n, sizeof(*widths));
	while (widths && *text) {
		size_t size = strcspn(text, "\t\n"), width = human_width(text, size) + GAP;

		if (text[size] == '\t' && width > widths[column])
			widths[column] = width;
		column = text[size] == '\t' ? column + 1 : 0;
		text += size + (text[size] != '\0');
	}
	return widths;
}

int cli_print_columns(FILE *out, const char *text, size_t min)
{
	_cleanup_free_ size_t *widths = columns_measure(text);
	size_t column = 0;

	if (!widths)
		return -ENOMEM;
	while (*text) {
		size_t size = strcspn(text, "\t\n"), width = human_width(text, size);

		fwrite(text, 1, size, out);
		if (text[size] == '\t') {
			size_t whole = widths[column++];

			fprintf(out, "%*s", (int)((whole > min ? whole : min) - width), "");
		} else {
			fputc('\n', out);
			column = 0;
		}
		text += size + (text[size] != '\0');
	}
	return 0;
}
