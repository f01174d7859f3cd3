// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/checked.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define NEW_FILE "blocks.new"
#define COPY_FILE "blocks.copy"

/* Whether it is the file that was written, by its digest; once a boot and change. */
static bool blocks_are_whole(const char *dir, int fd)
{
	_cleanup_free_ char *note = path_format("%s/blocks.checked", dir), *text = NULL;
	_cleanup_free_ char *path = path_format("%s/blocks.digest", dir);
	_cleanup_free_ char *line = checked_text(&fd, 1, "");
	char hex[DIGEST_HEX];

	if (checked_find(note, line))
		return true;
	if (!path || read_file(AT_FDCWD, path, DIGEST_HEX, &text, NULL) < 0 ||
		digest_sparse(fd, hex) < 0 || strcmp(text, hex) != 0)
		return false;
	checked_write(note, line);
	return true;
}

int qemu_blocks_open(const char *template_dir)
{
	_cleanup_free_ char *path = path_format("%s/blocks", template_dir);
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (!path)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	if (!blocks_are_whole(template_dir, fd)) {
		unlink(path);
		return -ENOENT;
	}
	return steal_fd(&fd);
}

int qemu_blocks_create(void)
{
	int fd = open(NEW_FILE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/* With its holes. */
static int blocks_copy(int from, int to)
{
	off_t at = 0, end = lseek(from, 0, SEEK_END), data;

	while (at < end && (data = lseek(from, at, SEEK_DATA)) >= 0) {
		off_t hole = lseek(from, data, SEEK_HOLE), out = data;

		while (data < hole) {
			ssize_t n =
				copy_file_range(from, &data, to, &out, (size_t)(hole - data), 0);

			if (n <= 0)
				return n < 0 ? -errno : -EIO;
		}
		at = hole;
	}
	return end < 0 || ftruncate(to, end) < 0 ? -errno : 0;
}

void qemu_blocks_finish(int fd, bool whole)
{
	_cleanup_close_ int copy = -1;
	char hex[DIGEST_HEX];

	/*
	 * What others map is a copy: the file itself may be open, for writing, in forks that were
	 * made before it was finished.
	 */
	unlink(COPY_FILE);
	if (whole)
		copy = open(COPY_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	/* After a power failure the name must not stand for less than the whole. */
	whole = copy >= 0 && blocks_copy(fd, copy) == 0 && digest_sparse(copy, hex) == 0 &&
		fsync(copy) == 0 &&
		write_file_atomic(AT_FDCWD, "blocks.digest", 0600, hex, strlen(hex)) == 0;
	if (!whole || rename(COPY_FILE, "blocks") < 0)
		unlink(COPY_FILE);
	unlink(NEW_FILE);
}
