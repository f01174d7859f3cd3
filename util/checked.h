/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_CHECKED_H
#define ARROW_UTIL_CHECKED_H

/*
 * Notes of files whose digests were found right, so that they are not read at every start. A note
 * counts for this boot, and as long as none of the files changes. It is only a help: without one
 * the files are read.
 */

#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

/*
 * What a note of these files says: boot, size, inode and times of each, and `what`. Owned by the
 * caller; NULL if it cannot be told.
 */
char *checked_text(const int *fds, size_t n, const char *what) ARROW_MUST_CHECK;

/* Whether the note at a path says just this. Either may be NULL. */
bool checked_find(const char *path, const char *text);

/* Writes it. */
void checked_write(const char *path, const char *text);

#endif
