// SPDX-License-Identifier: Apache-2.0
#include "util/note.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/cleanup.h"
#include "util/text.h"

void arrow_note(const struct arrow_notes *notes, const char *fmt, ...)
{
	_cleanup_free_ char *line = NULL;
	va_list ap;
	int n;

	if (!notes->write)
		return;
	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	text_clean(line);
	notes->write(line, notes->arg);
}
