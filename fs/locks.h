/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_LOCKS_H
#define ARROW_FS_LOCKS_H

#include "fs/handle.h"
#include "fs/waits.h"
#include "fs/work.h"

/*
 * Locks of the guest are locks of the host, so that they hold between the guest, the host and other
 * guests, and end with this process.
 *
 * POSIX locks (fcntl(2)) belong to a process and a file: each such pair has an open file of its own
 * here, with locks of open files (F_OFD_SETLK). FLUSH, which the guest sends when the process
 * closes the file, releases them; so does RELEASE for locks of the guest's own open files.
 * Locks of flock(2) belong to an open file, and are set on its handle.
 *
 * There is no EDEADLK: Linux does not look for circles of such locks.
 */

struct fs_locks {
	struct fs_nodes *nodes;
	struct fs_work *work;
	struct fs_waits *waits;
	unsigned int n; /* owners */
};

struct fs_lock_request {
	uint64_t unique, owner;
	struct fs_handle *handle;
	struct flock lock;
	uint32_t caller; /* pid of the thread that asks */
	uint32_t pid;    /* of the process that gets the lock */
	bool flock, wait;
};

/* Sets or removes a lock. Returns 0, FS_LATER while it waits, or a negative errno: -EAGAIN. */
int locks_set(struct fs_locks *l, const struct fs_lock_request *r) ARROW_MUST_CHECK;

/* The first lock that is in the way, in r->lock and r->pid (0: not of this guest). */
int locks_test(struct fs_locks *l, struct fs_lock_request *r) ARROW_MUST_CHECK;

/* The owner has closed the file, or the handle is closed. */
void locks_flush(struct fs_locks *l, struct fs_node *n, uint64_t owner);
void locks_release(struct fs_locks *l, const struct fs_handle *h);

#endif
