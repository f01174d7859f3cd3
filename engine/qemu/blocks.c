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

void qemu_blocks_finish(int fd, bool whole)
{
	char hex[DIGEST_HEX];

	/* After a power failure the name must not stand for less than the whole. */
	whole = whole && digest_sparse(fd, hex) == 0 && fsync(fd) == 0 &&
		write_file_atomic(AT_FDCWD, "blocks.digest", 0600, hex, strlen(hex)) == 0;
	if (!whole || rename(NEW_FILE, "blocks") < 0)
		unlink(NEW_FILE);
}
