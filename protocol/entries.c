// SPDX-License-Identifier: Apache-2.0
#include "protocol/entries.h"

#include <errno.h>
#include <string.h>

void arrow_entry_encode(uint8_t out[ENTRY_HEAD], const struct arrow_entry *e)
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

int arrow_entry_decode(const uint8_t in[ENTRY_HEAD], struct arrow_entry *e)
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
		return -EPROTO;
	if (e->mode > 07777 || e->size > ENTRY_SIZE_MAX || e->mtime_ns >= 1000000000u ||
		e->name < 1 || e->name > ENTRY_NAME_MAX || e->link > ENTRY_NAME_MAX ||
		e->xattrs > ENTRY_XATTRS_MAX || e->segments > ENTRY_SEGMENTS_MAX)
		return -EPROTO;
	if (e->type == ENTRY_ERROR && e->major > ARROW_ERRNO_MAX)
		return -EPROTO;
	if (e->type != ENTRY_FILE && (e->size != 0 || e->segments != 0))
		return -EPROTO;
	if ((e->type == ENTRY_LINK || e->type == ENTRY_HARD_LINK) != (e->link > 0))
		return -EPROTO;
	return 0;
}

bool arrow_entry_name_ok(const char *name, uint32_t length)
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

void arrow_entry_segment_encode(
	uint8_t *segments, uint32_t index, const struct arrow_entry_segment *segment)
{
	uint8_t *out = segments + (size_t)index * ENTRY_SEGMENT;

	arrow_put64(out, segment->offset);
	arrow_put64(out + 8, segment->length);
}

struct arrow_entry_segment arrow_entry_segment(const uint8_t *segments, uint32_t index)
{
	const uint8_t *in = segments + (size_t)index * ENTRY_SEGMENT;

	return (struct arrow_entry_segment){arrow_get64(in), arrow_get64(in + 8)};
}

bool arrow_entry_segments_ok(const struct arrow_entry *e, const uint8_t *segments)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < e->segments; i++) {
		struct arrow_entry_segment s = arrow_entry_segment(segments, i);

		if (s.offset < end || s.offset > e->size || s.length > e->size - s.offset)
			return false;
		end = s.offset + s.length;
	}
	return true;
}

uint32_t arrow_entry_xattr_encode(
	uint8_t *xattrs, uint32_t used, const struct arrow_entry_xattr *xattr)
{
	size_t length = strlen(xattr->name), room = ENTRY_XATTRS_MAX - used;
	uint8_t *out = xattrs + used;

	if (length == 0 || length > ENTRY_XATTR_NAME_MAX || room < ENTRY_XATTR_HEAD + length ||
		xattr->size > room - ENTRY_XATTR_HEAD - length)
		return used;
	arrow_put32(out, (uint32_t)length);
	arrow_put32(out + 4, xattr->size);
	memcpy(out + ENTRY_XATTR_HEAD, xattr->name, length);
	out += ENTRY_XATTR_HEAD + length;
	if (out != xattr->value && xattr->size > 0)
		memcpy(out, xattr->value, xattr->size);
	return used + ENTRY_XATTR_HEAD + (uint32_t)length + xattr->size;
}

int arrow_entry_xattr_next(
	const uint8_t *xattrs, uint32_t size, uint32_t *at, struct arrow_entry_xattr *xattr)
{
	uint32_t left = size - *at, length;

	if (left == 0)
		return 0;
	if (left < ENTRY_XATTR_HEAD)
		return -EPROTO;
	length = arrow_get32(xattrs + *at);
	xattr->size = arrow_get32(xattrs + *at + 4);
	left -= ENTRY_XATTR_HEAD;
	if (length == 0 || length > ENTRY_XATTR_NAME_MAX || length > left ||
		xattr->size > left - length)
		return -EPROTO;
	memcpy(xattr->name, xattrs + *at + ENTRY_XATTR_HEAD, length);
	xattr->name[length] = '\0';
	xattr->value = xattrs + *at + ENTRY_XATTR_HEAD + length;
	*at += ENTRY_XATTR_HEAD + length + xattr->size;
	return 1;
}
