/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_TREE_H
#define ARROW_IMAGE_TREE_H

/*
 * The fingerprint of a directory tree: a digest over the name, type, mode, owner, size, times,
 * inode and device number of everything in it. Content, link targets and xattrs are not read,
 * since none of them changes without the change time.
 */

#include <stdbool.h>
#include <sys/stat.h>

#include "util/digest.h"
#include "util/error.h"

struct tree_options {
	const char *path; /* absolute */
	const char *salt; /* goes into the fingerprint first */
	struct stat skip; /* a directory whose content is left out, by device and inode */
	int userns_fd;    /* user namespace to look from, or -1 */
	bool check;       /* fail for what cannot be read */
};

struct tree {
	char fingerprint[DIGEST_HEX];
	bool racy;    /* something changed so lately that a further change would not show */
	char **empty; /* directories whose content is left out, relative; NULL-terminated; owned */
	char *mount;  /* the first of them that is a mount, or NULL; owned */
};

/*
 * Takes the fingerprint. Mounts of proc, sysfs and the like below the tree are left out.
 * Errors: a file or directory that cannot be read, by its name; -ESTALE, with no error set, for
 * one that went away meanwhile.
 */
int tree_read(struct tree *tree, const struct tree_options *options,
	struct arrow_error *error) ARROW_MUST_CHECK;

void tree_release(struct tree *tree);
#define _cleanup_tree_ __attribute__((cleanup(tree_release)))

#endif
