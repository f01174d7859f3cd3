// SPDX-License-Identifier: Apache-2.0
#include "image/oci/extract.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "image/oci/libarchive.h"
#include "image/oci/members.h"
#include "util/cleanup.h"
#include "util/io.h"

#define PIECE 65536u
#define ENTRIES_MAX 64u
#define WANTED_MAX 8u

static int copy_data(struct archive *a, const struct oci_wanted *wanted, struct arrow_error *error)
{
	_cleanup_free_ char *piece = malloc(PIECE);
	uint64_t size = 0;
	ssize_t n;
	int e;

	if (!piece)
		return arrow_no_memory(error);
	while ((n = archive_read_data(a, piece, PIECE)) > 0) {
		size += (uint64_t)n;
		if (size > wanted->max)
			return arrow_fail(
				error, EBADMSG, "%s in it is larger than allowed", wanted->path);
		e = write_full(wanted->fd, piece, (size_t)n);
		if (e < 0)
			return arrow_fail(error, -e, "cannot copy %s: %m", wanted->path);
	}
	return n < 0 ? arrow_fail(error, EBADMSG, "the layer is damaged") : 0;
}

static int take_entry(struct archive *a, struct archive_entry *entry,
	const struct oci_wanted *wanted, size_t n, bool *found, struct arrow_error *error)
{
	const char *path = oci_plain_path(archive_entry_pathname(entry));

	if (archive_entry_filetype(entry) == S_IFDIR)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(path, wanted[i].path) != 0)
			continue;
		if (found[i] || archive_entry_filetype(entry) != S_IFREG ||
			archive_entry_hardlink(entry))
			break;
		found[i] = true;
		return copy_data(a, &wanted[i], error);
	}
	return arrow_fail(error, EBADMSG, "unexpected '%.64s'", path);
}

int oci_layer_extract(int fd, const struct oci_wanted *wanted, size_t n, struct arrow_error *error)
{
	bool found[WANTED_MAX] = {false};
	struct archive_entry *entry;
	struct archive *a;
	unsigned int entries = 0;
	int e, r = 0;

	if (n > WANTED_MAX)
		return arrow_fail(error, EINVAL, "too many files requested");
	e = oci_archive_open(fd, &a, error);
	if (e < 0)
		return e;
	while (e == 0 && (r = archive_read_next_header(a, &entry)) != ARCHIVE_EOF) {
		if (r < ARCHIVE_WARN || ++entries > ENTRIES_MAX)
			e = arrow_fail(error, EBADMSG, "the layer is damaged");
		else
			e = take_entry(a, entry, wanted, n, found, error);
	}
	archive_read_free(a);
	for (size_t i = 0; e == 0 && i < n; i++)
		if (!found[i])
			e = arrow_fail(error, EBADMSG, "it has no %s", wanted[i].path);
	return e;
}
