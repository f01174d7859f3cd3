/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_ENTRY_H
#define ARROW_FS_ENTRY_H

#include "fs/state.h"

/* What several operations do: entries and attributes in replies, and files that are opened. */

/* Where an open file is found by its number: the current directory is /proc/self/fd. */
#define FS_PATH_MAX 16
void fs_path(int fd, char path[FS_PATH_MAX]);

/*
 * The number of a file for the guest, which sees one file system where the host may have several (a
 * file system below that of virtiofs, FUSE_ATTR_SUBMOUNT, has no ACLs in Linux). Those of the first
 * one that it looked up are the host's.
 */
uint64_t fs_number(const struct fs_state *s, uint32_t major, uint32_t minor, uint64_t ino);

/* The attributes of a file for the guest, with that number. */
void fs_fill_attr(const struct fs_state *s, const struct statx *x, struct fuse_attr *attr);

/*
 * How long the guest may keep what it is told; in seconds. Who shares the files from some moment on
 * waits until all that is forgotten.
 */
uint64_t fs_keep(struct fs_state *s);

/*
 * The entry of a directory, with one more lookup of its node.
 *   name: NULL for a file without a name, which fd is a descriptor of
 * Returns 0 or a negative errno.
 */
int fs_entry(struct fs_state *s, struct fs_node *parent, const char *name, const struct statx *x,
	int fd, struct fuse_entry_out *entry, struct fs_node **node) ARROW_MUST_CHECK;

/* The same for a reply that is nothing but the entry of this name, as it is now. */
int fs_reply_entry(struct fs_state *s, struct fs_node *parent, const char *name,
	struct fs_reply *out) ARROW_MUST_CHECK;

/* Flags for open(2), of those that the guest's program gave. */
int fs_open_flags(uint32_t flags);

/*
 * Opens a file that is a regular one, and nothing else: opening a device or a pipe of the host has
 * effects. Returns a descriptor or a negative errno.
 */
int fs_open(struct fs_state *s, struct fs_node *n, uint32_t flags, bool keep_suid) ARROW_MUST_CHECK;

/* Makes a handle of a descriptor, which is taken. Returns 0 or a negative errno. */
int fs_open_handle(struct fs_state *s, struct fs_node *n, int fd, uint32_t flags,
	struct fuse_open_out *open) ARROW_MUST_CHECK;

#endif
