/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_LINES_H
#define ARROW_UTIL_LINES_H

/* Takes whole lines out of a file that others still write: a line's rest may come later. */

#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

struct lines {
	char *data; /* what was read, and is no whole line yet; owned */
	size_t max, used;
	bool skips; /* the rest of a line that is too long */
};

/* max: bytes of the longest line, with its newline; longer ones are passed over. Returns 0 or
 * -ENOMEM. */
int lines_init(struct lines *lines, size_t max) ARROW_MUST_CHECK;

/*
 * Reads to the end of what there is now.
 *   each: gets a line without its newline; anything but 0 ends the reading
 * Returns 0, or what each() gave.
 */
int lines_read(struct lines *lines, int fd, int (*each)(void *arg, const char *line, size_t size),
	void *arg) ARROW_MUST_CHECK;

/* Forgets half a line: what follows is read of another file. */
void lines_reset(struct lines *lines);

void lines_release(struct lines *lines);

#endif
