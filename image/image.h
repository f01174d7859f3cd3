/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_IMAGE_H
#define ARROW_IMAGE_IMAGE_H

/*
 * Root images: one EROFS file each, uncompressed, named by the digest of what it was made from, in
 * STORE/images/<sha256>.erofs. They are written beside and renamed, so a torn one is never seen,
 * and never change afterwards. Two processes that make the same one at once both succeed.
 */

#include "util/error.h"

struct arrow_image {
	int fd;           /* open for reading; owned */
	char digest[65];  /* sha256, hex */
	char *entrypoint; /* path of the program in the image; NULL for a directory; owned */
};

/*
 * Finds or makes the image of a program: a static ELF, or a dynamic one with its interpreter and
 * libraries. The program becomes /bin/<its name>.
 *   store: the directory of the store (made if missing)
 *   path:  of the program on the host; a name without a slash is taken as a file name
 * Errors: no such file (status 127); a directory, not executable, not an ELF, another
 * architecture (126); a missing library, by name and by whom it is needed (125); a full disk.
 */
int arrow_image_from_program(struct arrow_image *image, const char *store, const char *path,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Finds or makes the image of a directory tree, for --rootfs. A tree whose files, sizes, modes,
 * owners and times did not change since is not read again.
 *   userns_fd: user namespace in which owners are looked at, or -1 for none
 */
int arrow_image_from_directory(struct arrow_image *image, const char *store, const char *path,
	int userns_fd, struct arrow_error *error) ARROW_MUST_CHECK;

void arrow_image_release(struct arrow_image *image);

#endif
