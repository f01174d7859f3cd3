// SPDX-License-Identifier: Apache-2.0
#include "core/client/entries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/client/entries_parts.h"
#include "core/client/name_set.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

#define MODES 01777u /* without owners there are no set-id bits either */

int entries_archive_failed(struct archive *a, struct arrow_error *error, const char *what)
{
	const char *text = archive_error_string(a);
	int err = archive_errno(a);

	return arrow_fail(error, err > 0 ? err : EIO, "%s: %s", what, text ? text : "it failed");
}

static int entries_read(
	struct entries_reader *reader, void *data, size_t size, struct arrow_error *error)
{
	ssize_t n = read_full(reader->fd, data, size);

	if (n < 0)
		return arrow_fail(error, (int)-n, "cannot read from the Arrow: %m");
	return (size_t)n == size
		       ? 0
		       : arrow_fail(error, EPIPE,
				 "the Arrow's answer was cut off: it ended or ran out of memory");
}

int entries_next(struct entries_reader *reader, struct arrow_error *error)
{
	struct arrow_entry *e = &reader->e;
	uint8_t head[ENTRY_HEAD];
	int r = entries_read(reader, head, sizeof(head), error);

	if (r < 0)
		return r;
	if (arrow_entry_decode(head, e) < 0)
		return arrow_fail(error, EPROTO, "the Arrow sent an invalid list of files");
	if (e->type == ENTRY_END)
		return 0;
	r = entries_read(reader, reader->name, e->name, error);
	reader->name[e->name] = '\0';
	if (r == 0 && e->type == ENTRY_ERROR) {
		text_clean(reader->name);
		return arrow_fail(error, e->major ? (int)e->major : EIO, "%s", reader->name);
	}
	if (r == 0)
		r = entries_read(reader, reader->link, e->link, error);
	reader->link[e->link] = '\0';
	if (r == 0)
		r = entries_read(reader, reader->xattrs, e->xattrs, error);
	if (r == 0)
		r = entries_read(
			reader, reader->segments, (size_t)e->segments * ENTRY_SEGMENT, error);
	if (r < 0)
		return r;
	if (!arrow_entry_name_ok(reader->name, e->name) || strlen(reader->link) != e->link ||
		(e->type == ENTRY_HARD_LINK && !arrow_entry_name_ok(reader->link, e->link)) ||
		!arrow_entry_segments_ok(e, reader->segments))
		return arrow_fail(error, EPROTO,
			"the Arrow sent a file with a name that leads out of the destination");
	return 1;
}

/* Whether a name is what was asked for, or is in it. */
static bool entry_was_asked_for(const struct entries_options *options, const char *name)
{
	size_t length = strlen(options->from);

	if (strcmp(options->from, ".") == 0)
		return true;
	return strncmp(name, options->from, length) == 0 &&
	       (name[length] == '\0' || (name[length] == '/' && !options->single));
}

/* The name on the other side, owned by the caller. */
static int rename_entry(const struct entries_options *options, const char *name, char **renamed,
	struct arrow_error *error)
{
	*renamed = NULL;
	if (!entry_was_asked_for(options, name))
		return arrow_fail(error, EPROTO, "the Arrow sent a file that was not asked for");
	if (!options->to || strcmp(options->from, ".") == 0)
		*renamed = strdup(name);
	else
		*renamed = path_format("%s%s", options->to, name + strlen(options->from));
	return *renamed ? 0 : arrow_fail(error, ENOMEM, "out of memory");
}

static void add_xattrs(struct archive_entry *to, const struct entries_reader *reader, bool owners)
{
	struct arrow_entry_xattr x;
	uint32_t at = 0;

	while (arrow_entry_xattr_next(reader->xattrs, reader->e.xattrs, &at, &x) > 0) {
		/* Nothing else of a guest has a meaning for the host's kernel. */
		if (strncmp(x.name, "user.", 5) == 0 ||
			(owners && strcmp(x.name, "security.capability") == 0))
			archive_entry_xattr_add_entry(to, x.name, x.value, x.size);
	}
}

static mode_t type_of(uint32_t type)
{
	switch ((enum arrow_entry_type)type) {
	case ENTRY_DIRECTORY:
		return AE_IFDIR;
	case ENTRY_LINK:
		return AE_IFLNK;
	case ENTRY_CHARACTER:
		return AE_IFCHR;
	case ENTRY_BLOCK:
		return AE_IFBLK;
	case ENTRY_FIFO:
		return AE_IFIFO;
	case ENTRY_FILE:
	case ENTRY_HARD_LINK:
	case ENTRY_END:
	case ENTRY_ERROR:
		break;
	}
	return AE_IFREG;
}

static int make_header(const struct entries_reader *reader, const struct entries_options *options,
	struct archive_entry *to, struct arrow_error *error)
{
	const struct arrow_entry *e = &reader->e;
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *link = NULL;
	int r = rename_entry(options, reader->name, &name, error);

	if (r == 0 && e->type == ENTRY_HARD_LINK)
		r = rename_entry(options, reader->link, &link, error);
	if (r < 0)
		return r;
	if (options->single && e->type == ENTRY_DIRECTORY)
		return arrow_fail(
			error, EPROTO, "the Arrow sent a directory instead of a file: '%s'", name);
	if (!options->owners && (e->type == ENTRY_CHARACTER || e->type == ENTRY_BLOCK))
		return arrow_fail(error, EPERM,
			"'%s' is a device, which is copied with -a (--archive) only", name);
	archive_entry_clear(to);
	archive_entry_copy_pathname(to, name);
	archive_entry_set_filetype(to, type_of(e->type));
	archive_entry_set_perm(to, (mode_t)(options->owners ? e->mode : e->mode & MODES));
	archive_entry_set_uid(to, e->uid);
	archive_entry_set_gid(to, e->gid);
	archive_entry_set_mtime(to, (time_t)e->mtime, (long)e->mtime_ns);
	archive_entry_set_size(to, (la_int64_t)e->size);
	if (e->type == ENTRY_LINK)
		archive_entry_copy_symlink(to, reader->link);
	if (link)
		archive_entry_copy_hardlink(to, link);
	if (e->type == ENTRY_CHARACTER || e->type == ENTRY_BLOCK)
		archive_entry_set_rdev(to, makedev(e->major, e->minor));
	add_xattrs(to, reader, options->owners);
	if (e->segments > 1 ||
		(e->segments == 1 && arrow_entry_segment(reader->segments, 0).length != e->size) ||
		(e->segments == 0 && e->size > 0)) {
		for (uint32_t i = 0; i < e->segments; i++) {
			struct arrow_entry_segment s = arrow_entry_segment(reader->segments, i);

			archive_entry_sparse_add_entry(
				to, (la_int64_t)s.offset, (la_int64_t)s.length);
		}
		if (e->segments == 0)
			archive_entry_sparse_add_entry(to, (la_int64_t)e->size, 0);
	}
	return 0;
}

/* A tar wants its holes as zeros, which it leaves out itself. */
static int write_hole(struct archive *to, uint64_t size, struct arrow_error *error)
{
	static const uint8_t zeros[ENTRIES_BUFFER];

	while (size > 0) {
		size_t n = size < ENTRIES_BUFFER ? (size_t)size : ENTRIES_BUFFER;
		la_ssize_t done = archive_write_data(to, zeros, n);

		if (done < 0)
			return entries_archive_failed(to, error, "cannot write the archive");
		size -= n;
	}
	return 0;
}

static int copy_data(
	struct entries_reader *reader, struct archive *to, bool on_disk, struct arrow_error *error)
{
	uint8_t buffer[ENTRIES_BUFFER];
	uint64_t at = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < reader->e.segments; i++) {
		struct arrow_entry_segment s = arrow_entry_segment(reader->segments, i);
		uint64_t left = s.length;

		if (!on_disk)
			r = write_hole(to, s.offset - at, error);
		at = s.offset;
		while (r == 0 && left > 0) {
			size_t n = left < ENTRIES_BUFFER ? (size_t)left : ENTRIES_BUFFER;
			la_ssize_t done;

			r = entries_read(reader, buffer, n, error);
			if (r < 0)
				return r;
			done = on_disk ? archive_write_data_block(to, buffer, n, (la_int64_t)at)
				       : archive_write_data(to, buffer, n);
			if (done < ARCHIVE_OK)
				return entries_archive_failed(to, error, "cannot write the copy");
			at += n;
			left -= n;
		}
	}
	if (r == 0 && !on_disk)
		r = write_hole(to, reader->e.size - at, error);
	return r;
}

/* A directory stays for a directory only, and takes no other file's place. */
static int check_place(const struct archive_entry *e, struct arrow_error *error)
{
	const char *name = archive_entry_pathname((struct archive_entry *)e);
	bool directory = archive_entry_filetype((struct archive_entry *)e) == AE_IFDIR;
	struct stat st;

	if (lstat(name, &st) < 0 || S_ISDIR(st.st_mode) == directory)
		return 0;
	return arrow_fail(error, EEXIST, "cannot overwrite %s \"%s\" with %s",
		directory ? "non-directory" : "directory", name,
		directory ? "directory" : "non-directory");
}

/*
 * A hard link leads to a file that came before it: anything else with that name was there before,
 * and the guest has no part in it.
 */
static int entry_check_link(
	const struct entries_reader *reader, struct name_set *files, struct arrow_error *error)
{
	int r = 0;

	if (reader->e.type == ENTRY_FILE)
		r = name_set_add(files, reader->name);
	else if (reader->e.type == ENTRY_HARD_LINK && !name_set_has(files, reader->link))
		return arrow_fail(
			error, EPROTO, "the Arrow sent a hard link to a file that it did not send");
	return r < 0 ? arrow_fail(error, -r, "cannot remember the files that came: %m") : 0;
}

int entries_extract(int fd, const struct entries_options *options, struct archive *to, bool on_disk,
	struct arrow_error *error)
{
	_cleanup_free_ struct entries_reader *reader = calloc(1, sizeof(*reader));
	_cleanup_entry_ struct archive_entry *entry = archive_entry_new();
	_cleanup_name_set_ struct name_set files = {0};
	int r;

	if (!reader || !entry)
		return arrow_fail(error, ENOMEM, "out of memory");
	reader->fd = fd;
	while ((r = entries_next(reader, error)) > 0) {
		r = make_header(reader, options, entry, error);
		if (r == 0)
			r = entry_check_link(reader, &files, error);
		if (r == 0 && on_disk)
			r = check_place(entry, error);
		if (r < 0)
			return r;
		/* The directory that all goes to stays as it is. */
		if (on_disk && strcmp(archive_entry_pathname(entry), ".") == 0 &&
			reader->e.type == ENTRY_DIRECTORY)
			continue;
		if (archive_write_header(to, entry) < ARCHIVE_WARN)
			return entries_archive_failed(to, error, archive_entry_pathname(entry));
		r = copy_data(reader, to, on_disk, error);
		if (r < 0)
			return r;
		if (archive_write_finish_entry(to) < ARCHIVE_WARN)
			return entries_archive_failed(to, error, archive_entry_pathname(entry));
	}
	return r;
}
