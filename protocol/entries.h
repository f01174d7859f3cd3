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

#include "protocol/protocol.h"

#define ENTRY_HEAD 60u
#define ENTRY_NAME_MAX 4095u
#define ENTRY_XATTRS_MAX (128u * 1024u)
#define ENTRY_SEGMENTS_MAX 4096u
#define ENTRY_SEGMENT 16u
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

static inline void arrow_entry_encode(uint8_t out[ENTRY_HEAD], const struct arrow_entry *e)
{
	arrow_put32(out, e->type);
	arrow_put32(out + 4, e->mode);
	arrow_put32(out + 8, e->uid);
	arrow_put32(out + 12, e->gid);
	arrow_put64(out + 16, e->size);
	arrow_put64(out + 24, (uint64_t)e->mtime);
	arrow_put32(out + 32, e->mtime_ns);
	arrow_put32(out + 36, e->major);
	arrow_put32(out + 40, e->minor);
	arrow_put32(out + 44, e->name);
	arrow_put32(out + 48, e->link);
	arrow_put32(out + 52, e->xattrs);
	arrow_put32(out + 56, e->segments);
}

/* Returns 0, or -1 for a head that no honest peer sends. */
static inline int arrow_entry_decode(const uint8_t in[ENTRY_HEAD], struct arrow_entry *e)
{
	*e = (struct arrow_entry){
		.type = arrow_get32(in),
		.mode = arrow_get32(in + 4),
		.uid = arrow_get32(in + 8),
		.gid = arrow_get32(in + 12),
		.size = arrow_get64(in + 16),
		.mtime = (int64_t)arrow_get64(in + 24),
		.mtime_ns = arrow_get32(in + 32),
		.major = arrow_get32(in + 36),
		.minor = arrow_get32(in + 40),
		.name = arrow_get32(in + 44),
		.link = arrow_get32(in + 48),
		.xattrs = arrow_get32(in + 52),
		.segments = arrow_get32(in + 56),
	};
	if (e->type == ENTRY_END)
		return 0;
	if ((e->type < ENTRY_FILE || e->type > ENTRY_FIFO) && e->type != ENTRY_ERROR)
		return -1;
	if (e->mode > 07777 || e->size > ENTRY_SIZE_MAX || e->mtime_ns >= 1000000000u ||
		e->name < 1 || e->name > ENTRY_NAME_MAX || e->link > ENTRY_NAME_MAX ||
		e->xattrs > ENTRY_XATTRS_MAX || e->segments > ENTRY_SEGMENTS_MAX)
		return -1;
	if (e->type != ENTRY_FILE && (e->size != 0 || e->segments != 0))
		return -1;
	if ((e->type == ENTRY_LINK || e->type == ENTRY_HARD_LINK) != (e->link > 0))
		return -1;
	return 0;
}

/* True for a name that leads nowhere but down from where it is taken; length is checked. */
static inline bool arrow_entry_name_ok(const char *name, uint32_t length)
{
	uint32_t start = 0;

	if (length == 1 && name[0] == '.')
		return true;
	if (length < 1 || length > ENTRY_NAME_MAX || memchr(name, '\0', length))
		return false;
	for (uint32_t i = 0; i <= length; i++) {
		uint32_t part = i - start;

		if (i < length && name[i] != '/')
			continue;
		if (part == 0 || part > 255 || (part == 1 && name[start] == '.') ||
			(part == 2 && name[start] == '.' && name[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

/* The segments of a file lie one behind the other within its size. */
static inline bool arrow_entry_segments_ok(const struct arrow_entry *e, const uint8_t *segments)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < e->segments; i++) {
		uint64_t offset = arrow_get64(segments + (size_t)i * ENTRY_SEGMENT);
		uint64_t length = arrow_get64(segments + (size_t)i * ENTRY_SEGMENT + 8);

		if (offset < end || offset > e->size || length > e->size - offset)
			return false;
		end = offset + length;
	}
	return true;
}

#endif
