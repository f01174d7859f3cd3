/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_EROFS_H
#define ARROW_IMAGE_EROFS_H

#include <stdbool.h>

#include "util/error.h"

/* How to make an EROFS file. Files are never compressed and start on a page, for DAX. */
struct erofs_options {
	const char *source; /* absolute path of the tree */
	const char *target; /* path of the file */
	const char *digest; /* at least 32 hex digits; they become its UUID */

	/* For a tree that Arrow staged itself: all of root, of 1970, without xattrs. */
	bool canonical;
	bool all_root; /* all of root; the rest as it is */
	int userns_fd; /* user namespace in which owners are looked at, or -1 */

	/* Directories whose content is left out, relative to the tree; NULL-terminated, or NULL. */
	const char *const *empty;
	/* Some of these are mounts; to have mkfs.erofs not look at them takes CAP_SYS_ADMIN. */
	bool hide_mounts;
};

/*
 * Makes one with mkfs.erofs.
 * Errors: -ENOENT (not installed), -ENOSPC, -EIO with the last line that it wrote.
 */
int erofs_make(const struct erofs_options *options, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
