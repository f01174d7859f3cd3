/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_WORK_H
#define ARROW_FS_WORK_H

#include <fcntl.h>

#include "fs/channel.h"

/*
 * Requests that may take long are done by threads, so that no other request waits for them. Each
 * has its own copies of the descriptors, and knows nothing of nodes and handles.
 */

struct fs_wait;
struct fs_waits;

struct fs_job {
	struct fs_job *next;
	uint64_t unique; /* of the request that it answers */
	/* In a thread. Returns 0 or a negative errno; what is to be sent is in out. */
	int (*run)(struct fs_job *job);
	struct fs_waits *waits; /* of waits.h, for a lock */
	struct fs_wait *wait;
	int fd, other; /* owned; -1 for none */
	uint64_t offset, other_offset, length;
	int mode;          /* of fallocate(2), flock(2), or whether only data are synced */
	struct flock lock; /* of fcntl(2) */
	struct fuse_write_out out;
	size_t out_size;
};

struct fs_work {
	struct fs_channel *channel;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct fs_job *first, **last;
	pthread_cond_t ended;
	unsigned int queued, threads, idle;
	bool stopping;
	unsigned int brief; /* jobs, queued or not, that wait for nobody */
};

void work_init(struct fs_work *w, struct fs_channel *channel);

/* Waits until all that was started is done, and all threads have ended. */
void work_release(struct fs_work *w);

/* A job with a copy of the descriptor. Returns NULL without memory or descriptors. */
struct fs_job *work_job(uint64_t unique, int fd, int (*run)(struct fs_job *job));

/*
 * Does it and sends the answer. Takes the job, also when this fails. Without a thread for it, it is
 * done here, unless it waits for others. Returns FS_LATER or -ENOLCK.
 */
int work_start(struct fs_work *w, struct fs_job *job) ARROW_MUST_CHECK;

/* Frees a job that is not started. */
void work_free(struct fs_job *job);

#endif
