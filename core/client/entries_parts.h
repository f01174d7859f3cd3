/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_ENTRIES_PARTS_H
#define ARROW_CORE_CLIENT_ENTRIES_PARTS_H

/* What core/client/entries.c, which takes entries, and core/client/entries_send.c, which sends
 * them, share. */

#include "core/client/entries.h"

#define ENTRIES_BUFFER 65536u /* bytes that are moved at once */

static inline void cleanup_entry(struct archive_entry **e)
{
	archive_entry_free(*e);
}

#define _cleanup_entry_ __attribute__((cleanup(cleanup_entry)))

/* Fails with what libarchive says; what: of which it says it. */
int entries_archive_failed(struct archive *a, struct arrow_error *error, const char *what);

#endif
