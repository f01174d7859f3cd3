// SPDX-License-Identifier: Apache-2.0
/* Archives and trees of this host become entries for a guest. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/client/entries_parts.h"
#include "util/cleanup.h"
#include "util/io.h"

static void cleanup_reader(struct archive **a)
{
	archive_read_free(*a);
}

static void cleanup_resolver(struct archive_entry_linkresolver **r)
{
	archive_entry_linkresolver_free(*r);
}

#define _cleanup_reader_ __attribute__((cleanup(cleanup_reader)))
#define _cleanup_resolver_ __attribute__((cleanup(cleanup_resolver)))

/* A name as guests take it: no empty, "." or ".." part. Owned by the caller. */
static int clean_name(const char *name, char **clean, struct arrow_error *error)
{
	_cleanup_free_ char *out = malloc(strlen(name) + 2);
	size_t used = 0;

	if (!out)
		return arrow_fail(error, ENOMEM, "out of memory");
	while (*name) {
		size_t n = strcspn(name, "/");

		if (n == 2 && name[0] == '.' && name[1] == '.')
			return arrow_fail(error, EINVAL,
				"a name in the archive contains '..'; neither it nor what follows it was copied");
		if (n > 0 && !(n == 1 && name[0] == '.')) {
			if (used)
				out[used++] = '/';
			memcpy(out + used, name, n);
			used += n;
		}
		name += n + (name[n] == '/');
	}
	if (used == 0)
		out[used++] = '.';
	out[used] = '\0';
	if (used > ENTRY_NAME_MAX || !arrow_entry_name_ok(out, (uint32_t)used))
		return arrow_fail(error, ENAMETOOLONG, "the name %.64s... is too long", out);
	*clean = STEAL(out);
	return 0;
}

static uint32_t entry_type(struct archive_entry *from)
{
	if (archive_entry_hardlink(from))
		return ENTRY_HARD_LINK;
	switch (archive_entry_filetype(from)) {
	case AE_IFREG:
		return ENTRY_FILE;
	case AE_IFDIR:
		return ENTRY_DIRECTORY;
	case AE_IFLNK:
		return ENTRY_LINK;
	case AE_IFCHR:
		return ENTRY_CHARACTER;
	case AE_IFBLK:
		return ENTRY_BLOCK;
	case AE_IFIFO:
		return ENTRY_FIFO;
	default:
		return 0; /* a socket, which means nothing elsewhere */
	}
}

static uint32_t pack_xattrs(struct archive_entry *from, uint8_t *to)
{
	const char *name;
	const void *value;
	size_t size;
	uint32_t used = 0;

	archive_entry_xattr_reset(from);
	while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
		struct arrow_entry_xattr x = {.value = value, .size = (uint32_t)size};

		if (strlen(name) > ENTRY_XATTR_NAME_MAX || size > ENTRY_XATTRS_MAX)
			continue;
		if (strncmp(name, "user.", 5) != 0 && strcmp(name, "security.capability") != 0)
			continue;
		strcpy(x.name, name);
		used = arrow_entry_xattr_encode(to, used, &x);
	}
	return used;
}

static uint32_t pack_segments(struct archive_entry *from, uint64_t size, uint8_t *to)
{
	int count = archive_entry_sparse_reset(from);
	uint64_t end = 0;
	uint32_t n = 0;

	if (count > 0 && count <= (int)ENTRY_SEGMENTS_MAX) {
		la_int64_t offset, length;

		while (archive_entry_sparse_next(from, &offset, &length) == ARCHIVE_OK) {
			if (offset < 0 || length < 0 || (uint64_t)offset < end ||
				(uint64_t)offset > size ||
				(uint64_t)length > size - (uint64_t)offset)
				goto whole;
			if (length == 0)
				continue;
			arrow_entry_segment_encode(to, n++,
				&(struct arrow_entry_segment){(uint64_t)offset, (uint64_t)length});
			end = (uint64_t)(offset + length);
		}
		return n;
	}
whole:
	if (size == 0)
		return 0;
	arrow_entry_segment_encode(to, 0, &(struct arrow_entry_segment){0, size});
	return 1;
}

/* The bytes of an archive's file at ascending places; what it lacks is zeros. */
struct source {
	struct archive *archive;
	const uint8_t *block;
	size_t size;
	uint64_t offset;
	bool ended;
};

static int source_read_at(struct source *s, uint64_t at, uint8_t *to, size_t want, size_t *got,
	struct arrow_error *error)
{
	while (!s->ended && at >= s->offset + s->size) {
		const void *block;
		la_int64_t offset;
		int r = archive_read_data_block(s->archive, &block, &s->size, &offset);

		if (r == ARCHIVE_EOF) {
			s->ended = true;
		} else if (r < ARCHIVE_WARN) {
			return entries_archive_failed(
				s->archive, error, "cannot read what is copied");
		} else {
			s->block = block;
			s->offset = (uint64_t)offset;
		}
	}
	*got = want;
	if (s->ended || at < s->offset) {
		if (!s->ended && s->offset - at < want)
			*got = (size_t)(s->offset - at);
		memset(to, 0, *got);
		return 0;
	}
	if (s->offset + s->size - at < want)
		*got = (size_t)(s->offset + s->size - at);
	memcpy(to, s->block + (at - s->offset), *got);
	return 0;
}

static int entries_gone(struct arrow_error *error)
{
	return arrow_fail(error, EPIPE, "the Arrow stopped taking files");
}

static int send_data(struct archive *from, const struct arrow_entry *e, const uint8_t *segments,
	int fd, struct arrow_error *error)
{
	struct source source = {.archive = from};
	uint8_t buffer[ENTRIES_BUFFER];

	for (uint32_t i = 0; i < e->segments; i++) {
		struct arrow_entry_segment s = arrow_entry_segment(segments, i);
		uint64_t at = s.offset, left = s.length;

		while (left > 0) {
			size_t n = 0;
			int r = source_read_at(&source, at, buffer,
				left < ENTRIES_BUFFER ? (size_t)left : ENTRIES_BUFFER, &n, error);

			if (r < 0)
				return r;
			if (write_full(fd, buffer, n) < 0)
				return entries_gone(error);
			at += n;
			left -= n;
		}
	}
	return 0;
}

/* What one entry needs beside its head. */
struct packed {
	uint8_t xattrs[ENTRY_XATTRS_MAX];
	uint8_t segments[ENTRY_SEGMENTS_MAX * ENTRY_SEGMENT];
};

static int send_entry(struct archive *from, struct archive_entry *entry, const char *name,
	const struct entries_options *options, struct packed *packed, int fd,
	struct arrow_error *error)
{
	struct arrow_entry e = {.type = entry_type(entry)};
	_cleanup_free_ char *target = NULL;
	const char *link = "";
	uint8_t head[ENTRY_HEAD];
	int r;

	if (e.type == 0)
		return 0;
	if (e.type == ENTRY_HARD_LINK) {
		r = clean_name(archive_entry_hardlink(entry), &target, error);
		if (r < 0)
			return r;
		link = target;
	} else if (e.type == ENTRY_LINK) {
		link = archive_entry_symlink(entry);
		if (!link || !*link || strlen(link) > ENTRY_NAME_MAX)
			return arrow_fail(error, EINVAL, "%s: a link without a target", name);
	} else if (e.type == ENTRY_FILE) {
		e.size = archive_entry_size(entry) > 0 ? (uint64_t)archive_entry_size(entry) : 0;
		e.segments = pack_segments(entry, e.size, packed->segments);
	}
	e.mode = (uint32_t)archive_entry_perm(entry) & 07777;
	e.uid = options->owners ? (uint32_t)archive_entry_uid(entry) : 0;
	e.gid = options->owners ? (uint32_t)archive_entry_gid(entry) : 0;
	e.mtime = archive_entry_mtime(entry);
	e.mtime_ns = (uint32_t)archive_entry_mtime_nsec(entry) % 1000000000u;
	if (e.type == ENTRY_CHARACTER || e.type == ENTRY_BLOCK) {
		e.major = major(archive_entry_rdev(entry));
		e.minor = minor(archive_entry_rdev(entry));
	}
	e.name = (uint32_t)strlen(name);
	e.link = (uint32_t)strlen(link);
	e.xattrs = e.type == ENTRY_FILE || e.type == ENTRY_DIRECTORY
			   ? pack_xattrs(entry, packed->xattrs)
			   : 0;
	arrow_entry_encode(head, &e);
	if (write_full(fd, head, sizeof(head)) < 0 || write_full(fd, name, e.name) < 0 ||
		write_full(fd, link, e.link) < 0 || write_full(fd, packed->xattrs, e.xattrs) < 0 ||
		write_full(fd, packed->segments, (size_t)e.segments * ENTRY_SEGMENT) < 0)
		return entries_gone(error);
	return send_data(from, &e, packed->segments, fd, error);
}

static int send_end(int fd, struct arrow_error *error)
{
	uint8_t head[ENTRY_HEAD];

	arrow_entry_encode(head, &(struct arrow_entry){.type = ENTRY_END});
	return write_full(fd, head, sizeof(head)) < 0 ? entries_gone(error) : 0;
}

int entries_send_archive(struct archive *from, int fd, const struct entries_options *options,
	struct arrow_error *error)
{
	_cleanup_free_ struct packed *packed = malloc(sizeof(*packed));
	struct archive_entry *entry;
	int r = packed ? 0 : arrow_fail(error, ENOMEM, "out of memory"), next;

	while (r == 0 && (next = archive_read_next_header(from, &entry)) != ARCHIVE_EOF) {
		_cleanup_free_ char *name = NULL;
		const char *path = next < ARCHIVE_WARN ? NULL : archive_entry_pathname(entry);

		if (!path)
			return entries_archive_failed(from, error, "cannot read the archive");
		r = clean_name(path, &name, error);
		if (r == 0)
			r = send_entry(from, entry, name, options, packed, fd, error);
	}
	return r < 0 ? r : send_end(fd, error);
}

/* The name of what lies `root` bytes below the path that is sent. Owned by the caller. */
static int name_below(const char *path, size_t root, const struct entries_options *options,
	char **name, struct arrow_error *error)
{
	const char *first = options->to ? options->to : options->from;
	_cleanup_free_ char *whole = NULL;

	if (asprintf(&whole, "%s/%s", first, strlen(path) > root ? path + root : "") < 0)
		return arrow_fail(error, ENOMEM, "out of memory");
	return clean_name(whole, name, error);
}

static int send_tree(struct archive *disk, const char *path, int fd,
	const struct entries_options *options, struct arrow_error *error)
{
	_cleanup_resolver_ struct archive_entry_linkresolver *links =
		archive_entry_linkresolver_new();
	_cleanup_entry_ struct archive_entry *entry = archive_entry_new();
	_cleanup_free_ struct packed *packed = malloc(sizeof(*packed));
	size_t root = strlen(path);
	int r = 0, next;

	if (!links || !entry || !packed)
		return arrow_fail(error, ENOMEM, "out of memory");
	archive_entry_linkresolver_set_strategy(links, ARCHIVE_FORMAT_TAR);
	while (r == 0 && (next = archive_read_next_header2(disk, entry)) != ARCHIVE_EOF) {
		struct archive_entry *now = entry, *later = NULL;
		_cleanup_free_ char *name = NULL;
		_cleanup_free_ char *target = NULL;

		if (next < ARCHIVE_WARN)
			return entries_archive_failed(disk, error, "cannot read what is copied");
		if (archive_read_disk_can_descend(disk))
			archive_read_disk_descend(disk);
		archive_entry_linkify(links, &now, &later);
		if (!now)
			continue;
		r = name_below(archive_entry_pathname(now), root, options, &name, error);
		if (r == 0 && archive_entry_hardlink(now)) {
			r = name_below(archive_entry_hardlink(now), root, options, &target, error);
			if (r == 0)
				archive_entry_copy_hardlink(now, target);
		}
		if (r == 0)
			r = send_entry(disk, now, name, options, packed, fd, error);
	}
	return r;
}

int entries_send_path(const char *path, bool follow, int fd, const struct entries_options *options,
	struct arrow_error *error)
{
	_cleanup_reader_ struct archive *disk = archive_read_disk_new();
	int r;

	if (!disk)
		return arrow_fail(error, ENOMEM, "out of memory");
	archive_read_disk_set_behavior(disk, ARCHIVE_READDISK_NO_ACL | ARCHIVE_READDISK_NO_FFLAGS);
	if (follow)
		archive_read_disk_set_symlink_hybrid(disk);
	else
		archive_read_disk_set_symlink_physical(disk);
	if (archive_read_disk_open(disk, path) != ARCHIVE_OK)
		return entries_archive_failed(disk, error, path);
	r = send_tree(disk, path, fd, options, error);
	return r < 0 ? r : send_end(fd, error);
}
