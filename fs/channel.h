/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_CHANNEL_H
#define ARROW_FS_CHANNEL_H

#include <pthread.h>

#include "fs/request.h"

/*
 * The socket to the VM: a stream of requests in one direction and of replies in the other, each of
 * which tells its own length. One thread reads; any thread may answer.
 */

struct fs_channel {
	int fd;
	pthread_mutex_t lock; /* of what is sent */
	uint8_t *in;          /* what arrived and is not done: from begin to end */
	size_t begin, end;
	uint8_t *out; /* FS_DATA_MAX bytes, for the reply of the thread that reads */
	bool touched; /* more memory of these was used than a plain use needs */
	bool timed;   /* a pause of the guest gives it back */
};

/* Takes the socket. Returns 0 or -ENOMEM. */
int channel_init(struct fs_channel *c, int fd) ARROW_MUST_CHECK;

/*
 * Waits for the next request, which is valid until the next call. Returns 1, 0 when the other side
 * has hung up, or a negative errno: -EPROTO if what came is no request, and none can follow.
 */
int channel_next(struct fs_channel *c, struct fs_request *r) ARROW_MUST_CHECK;

/* Answers a request: with a negative errno, or with 0 and size bytes. */
void channel_reply(struct fs_channel *c, uint64_t unique, int error, const void *data, size_t size);

void channel_release(struct fs_channel *c);

#endif
