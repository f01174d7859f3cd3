/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_ROOTFS_H
#define ARROW_IMAGE_OCI_ROOTFS_H

/*
 * A root file system in the making, from layers to one EROFS image: names and metadata are kept in
 * memory, the content of files goes straight to its place in the image. Nothing is ever created on
 * the host under a name that a layer gives, so no layer can reach anything there, and owners,
 * devices and xattrs need no privilege.
 *
 * Paths are resolved as if the tree were the root: links are followed within it, ".." stops at it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "image/limits.h"
#include "util/error.h"

#define ROOTFS_BLOCK 4096u
#define ROOTFS_NAME_MAX 255u
#define ROOTFS_LINK_MAX 4095u
#define ROOTFS_DEPTH_MAX 512u    /* directories in each other */
#define ROOTFS_XATTRS_MAX 65536u /* bytes of one file's xattrs */

struct rootfs_xattr {
	uint8_t prefix; /* EROFS_XATTR_INDEX_* */
	char *name;     /* without the prefix; owned */
	void *value;    /* owned */
	size_t size;
};

struct rootfs_inode;

struct rootfs_name {
	const char *name;
	struct rootfs_inode *inode;
};

struct rootfs_inode {
	uint32_t mode; /* with S_IFMT */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t rdev;  /* as the kernel packs it */
	uint32_t links; /* entries that lead here; directories: 1 */
	uint64_t size;
	uint64_t block; /* where the content begins */
	char *target;   /* of a symbolic link; owned */
	struct rootfs_xattr *xattrs;
	size_t n_xattrs;

	/* Of a directory: */
	void *children; /* tsearch() tree of struct rootfs_entry */
	size_t n_children;
	struct rootfs_inode *parent; /* NULL for the root */
	unsigned int depth;

	/* While the image is written: */
	uint64_t nid;
	struct rootfs_name *sorted; /* n_children + 2 with "." and ".."; owned */
	bool inlined;
};

struct rootfs_entry {
	char *name; /* owned */
	struct rootfs_inode *inode;
	uint32_t layer; /* that put it here */
};

struct rootfs {
	struct rootfs_inode *root;
	int fd;              /* of the image; not owned */
	uint64_t next_block; /* for content */
	uint64_t files;      /* inodes */
	uint64_t max_size, max_files, max_memory;
	uint64_t content; /* bytes that are in use */
	uint64_t memory;  /* bytes of names, targets and xattrs, as far as they are limited */
};

/*
 * Begins an empty tree: a root directory of mode 0755.
 *   fd: of an empty file for the image, for writing
 *   limits: of what may be in it
 * Errors: -ENOMEM.
 */
int rootfs_begin(struct rootfs *fs, int fd, const struct arrow_image_limits *limits,
	struct arrow_error *error) ARROW_MUST_CHECK;
void rootfs_release(struct rootfs *fs);
#define _cleanup_rootfs_ __attribute__((cleanup(rootfs_release)))

/*
 * These return 0 or a negative errno and set no error: -ENOTDIR, -ELOOP, -ENAMETOOLONG, -ENOENT,
 * -EFBIG (more files than allowed), -EOVERFLOW (more memory than allowed), -ENOMEM.
 */

/*
 * The directory that a path names, links followed.
 *   create: make what is missing, with mode 0755
 *   layer:  that makes it
 */
int rootfs_walk(struct rootfs *fs, const char *path, bool create, uint32_t layer,
	struct rootfs_inode **directory) ARROW_MUST_CHECK;

struct rootfs_entry *rootfs_find(const struct rootfs_inode *directory, const char *name);

/*
 * Puts an inode under a name. What had the name goes, with all below it; a directory that replaces
 * a directory keeps what is in that one.
 *   fresh: made by rootfs_inode() and after a success owned by the tree; or an inode of the tree,
 *          for a hard link
 */
int rootfs_put(struct rootfs *fs, struct rootfs_inode *directory, const char *name,
	struct rootfs_inode *fresh, uint32_t layer) ARROW_MUST_CHECK;

/* Removes what layers below this one put under a name, or (NULL) into the directory. */
int rootfs_hide(struct rootfs *fs, struct rootfs_inode *directory, const char *name,
	uint32_t layer) ARROW_MUST_CHECK;

/* The entries of a directory by name; NULL-terminated; the array is the caller's. */
struct rootfs_entry **rootfs_children(const struct rootfs_inode *directory) ARROW_MUST_CHECK;

/* A new inode, not yet in the tree; NULL when out of memory. */
struct rootfs_inode *rootfs_inode(uint32_t mode) ARROW_MUST_CHECK;
void rootfs_inode_free(struct rootfs *fs, struct rootfs_inode *inode);

/*
 * Adds a copy of an xattr, or replaces its value; names of unknown prefixes are left out.
 * -E2BIG: too many bytes.
 */
int rootfs_xattr(struct rootfs *fs, struct rootfs_inode *inode, const char *name, const void *value,
	size_t size) ARROW_MUST_CHECK;

/* Sets where a symbolic link leads, once. */
int rootfs_target(
	struct rootfs *fs, struct rootfs_inode *inode, const char *target) ARROW_MUST_CHECK;

/*
 * Makes room for content. inode->block is set; the content is then written by the caller at
 * block * ROOTFS_BLOCK. -EFBIG if the tree becomes larger than allowed.
 */
int rootfs_reserve(struct rootfs *fs, struct rootfs_inode *inode, uint64_t size) ARROW_MUST_CHECK;

/*
 * Writes superblock, directories and inodes (image/oci/erofs_write.c). The same tree gives the same
 * bytes. Nothing may be added afterwards.
 *   digest: 64 hexadecimal digits, of which the UUID is made
 */
int rootfs_write(struct rootfs *fs, const char *digest) ARROW_MUST_CHECK;

#endif
