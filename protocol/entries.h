/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PROTOCOL_ENTRIES_H
#define ARROW_PROTOCOL_ENTRIES_H

/*
 * A stream of files, as the loader's workers `send` and `receive` speak it with the host, which
 * turns it from and into tar. docs/protocol.md explains it; both sides are compiled with this.
 *
 * An entry is a head of ENTRY_HEAD bytes, then its name, its link target, its extended attributes
 * (each u32 length of the name, u32 length of the value, name, value), its segments (each u64
 * offset, u64 length: where a regular file has data; what is between is a hole), and the data of
 * all segments. The last entry is an END, or an ERROR whose name is a line of text and
 * whose major is the errno of its cause, 0 if there is none.
 *
 * Names are relative, have no empty, "." or ".." part and are at most ENTRY_NAME_MAX bytes long;
 * the name "." alone is the directory that all is sent from. A hard link's target is a name of an
 * earlier entry.
 */

#include <stdbool.h>
#include <stddef.h>

#include "protocol/protocol.h"

#define ENTRY_HEAD 60u
#define ENTRY_NAME_MAX 4095u
#define ENTRY_XATTRS_MAX (128u * 1024u)
#define ENTRY_SEGMENTS_MAX 4096u
#define ENTRY_SEGMENT 16u
#define ENTRY_XATTR_HEAD 8u
#define ENTRY_XATTR_NAME_MAX 255u
#define ENTRY_SIZE_MAX INT64_MAX

enum arrow_entry_type {
	ENTRY_FILE = 1,
	ENTRY_DIRECTORY = 2,
	ENTRY_LINK = 3,      /* symbolic */
	ENTRY_HARD_LINK = 4, /* another name of an earlier file; without data */
	ENTRY_CHARACTER = 5,
	ENTRY_BLOCK = 6,
	ENTRY_FIFO = 7,
	ENTRY_END = 32,
	ENTRY_ERROR = 33,
};

struct arrow_entry {
	uint32_t type; /* enum arrow_entry_type */
	uint32_t mode; /* permissions: 07777 */
	uint32_t uid, gid;
	uint64_t size; /* of a regular file, holes included */
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t major, minor;       /* of a device; major of an ERROR: its errno */
	uint32_t name, link, xattrs; /* bytes */
	uint32_t segments;           /* number */
};

/* Where a regular file has data. */
struct arrow_entry_segment {
	uint64_t offset, length;
};

struct arrow_entry_xattr {
	char name[ENTRY_XATTR_NAME_MAX + 1];
	const uint8_t *value;
	uint32_t size;
};

void arrow_entry_encode(uint8_t out[ENTRY_HEAD], const struct arrow_entry *e);

/* Returns 0, or -EPROTO for a head that no honest peer sends. Of an END only the type counts. */
int arrow_entry_decode(const uint8_t in[ENTRY_HEAD], struct arrow_entry *e);

/* True for a name that leads nowhere but down from where it is taken; length is checked. */
bool arrow_entry_name_ok(const char *name, uint32_t length);

/* Segment `index` of those in `segments`, which has room for it. */
void arrow_entry_segment_encode(
	uint8_t *segments, uint32_t index, const struct arrow_entry_segment *segment);
struct arrow_entry_segment arrow_entry_segment(const uint8_t *segments, uint32_t index);

/* True when the segments of a file lie one behind the other within its size. */
bool arrow_entry_segments_ok(const struct arrow_entry *e, const uint8_t *segments);

/*
 * Adds an attribute to `used` bytes of others in xattrs, which has ENTRY_XATTRS_MAX. The value may
 * be there already: behind the head and the name. Returns how many bytes are used then; as many as
 * before for one that does not fit, or has no name or one that is too long.
 */
uint32_t arrow_entry_xattr_encode(
	uint8_t *xattrs, uint32_t used, const struct arrow_entry_xattr *xattr);

/*
 * The attribute at *at, which is moved behind it. Returns 1, 0 when there are no more, or -EPROTO
 * for what no honest peer sends.
 */
int arrow_entry_xattr_next(
	const uint8_t *xattrs, uint32_t size, uint32_t *at, struct arrow_entry_xattr *xattr);

#endif
