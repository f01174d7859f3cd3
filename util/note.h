/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_NOTE_H
#define ARROW_UTIL_NOTE_H

#include "util/error.h"

/* Who is told of progress and of what is no failure, a line at a time. All zeros: nobody. */
struct arrow_notes {
	void (*write)(const char *line, void *arg); /* without prefix and newline */
	void *arg;
};

/* Tells one line; control characters are replaced. */
void arrow_note(const struct arrow_notes *notes, const char *fmt, ...) ARROW_PRINTF(2, 3);

#endif
