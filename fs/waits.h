/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_WAITS_H
#define ARROW_FS_WAITS_H

#include "fs/channel.h"
#include "fs/bounds.h"

/*
 * Requests for locks that wait. Upstream's virtio-fs driver does not send FUSE_INTERRUPT, so a
 * killed program would wait on for its lock: someone in the guest reads from the file .arrow-waits
 * who waits, looks whether they are killed, and writes there which waits are to end. Only the root
 * of the guest's kernel may open it, and only in the root of what is served is it found.
 *
 *   read    waits until there are waits, then gives a line "UNIQUE PID" for each: the number of its
 *           request and the process, as the guest's kernel told both (struct fuse_in_header)
 *   write   the wait with this UNIQUE ends with EINTR; "UNIQUE\n", one or more
 */

#define FS_WAITS_NAME ".arrow-waits"
#define FS_WAITS_ID (UINT64_C(1) << 32) /* node and handle; no other ones have this number */

struct fs_wait {
	struct fs_wait *next;
	uint64_t unique;
	uint32_t pid;
	const void *owner; /* who waits for it; only compared */
	pthread_t thread;
	bool begun, cancelled;
};

struct fs_waits {
	struct fs_channel *channel;
	int signal;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct fs_wait *first;
	unsigned int n;
	uint64_t readers[FS_READERS_MAX]; /* requests that read .arrow-waits */
	unsigned int n_readers;
};

/* signal: interrupts a thread that waits; it has a handler without SA_RESTART. */
void waits_init(struct fs_waits *w, struct fs_channel *channel, int signal);

/* A wait of the request. Returns NULL if there are too many. */
struct fs_wait *waits_add(
	struct fs_waits *w, uint64_t unique, uint32_t pid, const void *owner) ARROW_MUST_CHECK;

/* In the thread that waits: false if it is not to wait any more; asked before each attempt. */
bool waits_may_wait(struct fs_waits *w, struct fs_wait *wait) ARROW_MUST_CHECK;

/* The wait is over; frees it. */
void waits_end(struct fs_waits *w, struct fs_wait *wait);

/* Whether some wait is of this owner. */
bool waits_any(struct fs_waits *w, const void *owner);

/* Interrupts the request, a wait or a read of .arrow-waits, if it is one. */
void waits_cancel(struct fs_waits *w, uint64_t unique);

/* Interrupts all of them. */
void waits_cancel_all(struct fs_waits *w);

/*
 * A read of .arrow-waits. Returns 0 with the size of the text in data, FS_LATER when there are no
 * waits yet, or a negative errno.
 */
int waits_read(struct fs_waits *w, uint64_t unique, char *data, size_t room,
	size_t *size) ARROW_MUST_CHECK;

/* What is written there. Returns 0 or -EINVAL. */
int waits_write(struct fs_waits *w, const uint8_t *text, size_t size) ARROW_MUST_CHECK;

#endif
