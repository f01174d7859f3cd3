/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_STATE_H
#define ARROW_FS_STATE_H

#include "fs/caller.h"
#include "fs/locks.h"

/* What the server knows of its guest. */

struct fs_state {
	struct fs_channel channel;
	struct fs_nodes nodes;
	struct fs_slots handles;
	struct fs_work work;
	struct fs_waits waits;
	struct fs_locks locks;
	struct fs_caller caller;
	int root;         /* what is served */
	int share_signal; /* ends that nobody else changes it; blocked */
	bool exclusive;   /* nobody else changes it: the guest may keep what it saw, for a while */
	bool ready;       /* FUSE_INIT has been */
	uint32_t first_device; /* see fs_number(); 0: nothing was looked up yet */
	bool setxattr_ext;     /* the guest sends the longer struct fuse_setxattr_in */
};

struct fs_options {
	int root, socket;     /* taken */
	int interrupt_signal; /* of waits.h */
	int share_signal;     /* blocked; it ends `exclusive` */
	uint32_t files_max;   /* descriptors that the process may have open */
	bool exclusive;
};

/* Returns 0 or a negative errno. */
int state_init(struct fs_state *s, const struct fs_options *o) ARROW_MUST_CHECK;

/* Closes and forgets all that the guest has. Returns 0 or a negative errno. */
int state_reset(struct fs_state *s) ARROW_MUST_CHECK;

void state_release(struct fs_state *s);

#endif
