/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_ENTRIES_H
#define ARROW_CORE_CLIENT_ENTRIES_H

/*
 * The host's side of protocol/entries.h: files of an Arrow to and from tar and the host's disk.
 * What a guest sends is checked entry by entry, and of each file only a number is kept: names and
 * sizes are bounded.
 */

#include <stdbool.h>

#include "protocol/entries.h"
#include "image/oci/libarchive.h"
#include "util/error.h"

/* An entry that came. Name and link are checked, and end with a NUL. */
struct entries_reader {
	int fd; /* blocks; not owned */
	struct arrow_entry e;
	char name[ENTRY_NAME_MAX + 1], link[ENTRY_NAME_MAX + 1];
	uint8_t xattrs[ENTRY_XATTRS_MAX];
	uint8_t segments[ENTRY_SEGMENTS_MAX * ENTRY_SEGMENT];
};

/*
 * Takes the next entry. The data of a regular file is to be read from fd before the next call.
 * Returns 1, 0 at the END, or an error: what the guest says, without its control characters, or
 * -EPROTO, -EPIPE.
 */
int entries_next(struct entries_reader *reader, struct arrow_error *error) ARROW_MUST_CHECK;

/* What files are called, and whose they are, on the other side. */
struct entries_options {
	const char *from; /* first part of all names that come; ".": any name may */
	const char *to;   /* what stands there instead; NULL: the same */
	bool single;      /* one file called `from` is to come, and nothing below it */
	bool owners;      /* keep them, with set-id bits, capabilities and devices */
};

/*
 * Writes all entries to an archive that is open, for a file or for the disk.
 *   on_disk: the archive makes files in the current directory
 * Errors: -EPROTO for a name that was not asked for, or a hard link to a file that did not come
 * before it; -EPERM for a device without `owners`.
 */
int entries_extract(int fd, const struct entries_options *options, struct archive *to, bool on_disk,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Sends an archive that is open for reading, with an END, to fd. Names are taken as they are. */
int entries_send_archive(struct archive *from, int fd, const struct entries_options *options,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Sends a file or tree of the host, with an END, to fd.
 *   follow: the path itself, where it is a link
 */
int entries_send_path(const char *path, bool follow, int fd, const struct entries_options *options,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
