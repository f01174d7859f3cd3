/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_HANDLE_H
#define ARROW_FS_HANDLE_H

#include "fs/node.h"

/* Files and directories that the guest has open, each by an open file of its own. */

struct fs_handle {
	uint64_t id; /* fh of FUSE */
	int fd;
	bool directory;
	bool append;       /* O_APPEND is set */
	bool written;      /* since the last FLUSH */
	uint64_t position; /* of a directory */
	struct fs_node *node;
	struct fs_handle *next; /* of the same node */
};

/* fd: taken, closed if this fails. Returns 0 or a negative errno. */
int handle_open(struct fs_slots *t, struct fs_node *n, int fd, bool directory,
	struct fs_handle **h) ARROW_MUST_CHECK;

/* The handle that the guest means, if it is one of a directory or not. NULL: -EBADF. */
struct fs_handle *handle_get(const struct fs_slots *t, uint64_t id, bool directory);

void handle_close(struct fs_slots *t, struct fs_nodes *nodes, struct fs_handle *h);

#endif
