/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_IMAGE_H
#define ARROW_IMAGE_IMAGE_H

/*
 * Root images: one EROFS file each, uncompressed, named by the digest of what it was made from, in
 * STORE/images/<sha256>.erofs. They are written beside and renamed, so a torn one is never seen,
 * and never change afterwards. Two processes that make the same one at once both succeed.
 */

#include <stdbool.h>

#include "util/error.h"

/* What makes them, and the package of Debian that has it. */
#define ARROW_IMAGE_TOOL "mkfs.erofs"
#define ARROW_IMAGE_PACKAGE "erofs-utils"

struct arrow_image {
	int fd;           /* open for reading; owned */
	char digest[65];  /* sha256, hex */
	char *entrypoint; /* path of the program in the image; NULL for a directory; owned */
};

/*
 * Finds or makes the image of a program: a static ELF, or a dynamic one with its interpreter and
 * libraries. The program becomes /bin/<its name> in it, everything in it is root's, and the same
 * content gives the same digest on any host. A program of which neither it nor a library changed
 * since is not read again.
 *   store: the directory of the store (made if missing)
 *   path:  of the program on the host; a name without a slash is looked for in the current
 *          directory, then in PATH
 *   library_path: directories, as LD_LIBRARY_PATH has them; NULL or "" for none
 * Errors: no such file (status 127); a directory, not executable, not an ELF, another
 * architecture (126); a missing library, by name and by whom it is needed, one that changes as
 * it is read, a full disk, no mkfs.erofs (125).
 */
int arrow_image_from_program(struct arrow_image *image, const char *store, const char *path,
	const char *library_path, struct arrow_error *error) ARROW_MUST_CHECK;

/* Whether such a path or name leads to a file at all. */
bool arrow_image_has_program(const char *path);

/*
 * Finds or makes the image of a directory tree, for --rootfs, with its owners, modes, times,
 * xattrs, hard links and device nodes. A tree whose files, sizes, modes, owners and times did not
 * change since is not read again. Mounted /proc, /sys and the like below it are left empty, and so
 * is the store itself.
 *   userns_fd: user namespace in which the tree is read and owners are looked at, or -1 for none;
 *              without one, an ordinary user's image has everything as root's
 * Errors: not a directory, a file in it that cannot be read, a tree that changes as it is read, a
 * full disk, no mkfs.erofs (all 125).
 */
int arrow_image_from_directory(struct arrow_image *image, const char *store, const char *path,
	int userns_fd, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * What a killed maker left in a store: images half made, and images or records of which the other
 * half is missing. found gets the number; they are removed if remove is set.
 */
int arrow_image_cleanup(const char *store, bool remove, unsigned int *found,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Closes and frees what it holds; fine on one that failed. */
void arrow_image_release(struct arrow_image *image);

#endif
