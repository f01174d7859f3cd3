// SPDX-License-Identifier: Apache-2.0
#include "fs/work.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/bounds.h"

#define STACK 65536u
#define IDLE_MAX 2u                               /* threads that wait for the next job */
#define BRIEF_MAX (FS_THREADS_MAX - FS_WAITS_MAX) /* threads for what does not wait for others */

void work_init(struct fs_work *w, struct fs_channel *channel)
{
	*w = (struct fs_work){.channel = channel,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.more = PTHREAD_COND_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER};
	w->last = &w->first;
}

void work_release(struct fs_work *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->more);
	while (w->threads > 0)
		pthread_cond_wait(&w->ended, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

struct fs_job *work_job(uint64_t unique, int fd, int (*run)(struct fs_job *job))
{
	struct fs_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->unique = unique;
	job->run = run;
	job->other = -1;
	/* The same open file: its locks are those of the original. */
	job->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (job->fd < 0) {
		free(job);
		return NULL;
	}
	return job;
}

void work_free(struct fs_job *job)
{
	if (job->fd >= 0)
		close(job->fd);
	if (job->other >= 0)
		close(job->other);
	free(job);
}

static void work_do(struct fs_channel *channel, struct fs_job *job)
{
	int r = job->run(job);

	/* Before the answer: what the guest does next must not meet what is open here. */
	if (job->fd >= 0)
		close(job->fd);
	job->fd = -1;
	channel_reply(channel, job->unique, r, &job->out, r == 0 ? job->out_size : 0);
	work_free(job);
}

static void *work_loop(void *arg)
{
	struct fs_work *w = arg;
	bool brief;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct fs_job *job = w->first;

		if (job) {
			w->first = job->next;
			if (!w->first)
				w->last = &w->first;
			w->queued--;
			brief = !job->wait;
			pthread_mutex_unlock(&w->lock);
			work_do(w->channel, job);
			pthread_mutex_lock(&w->lock);
			if (brief)
				w->brief--;
		} else if (w->idle < IDLE_MAX && !w->stopping) {
			w->idle++;
			pthread_cond_wait(&w->more, &w->lock);
			w->idle--;
		} else {
			break;
		}
	}
	w->threads--;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* With the lock. */
static int work_add_thread(struct fs_work *w)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return -r;
	(void)pthread_attr_setstacksize(&attr, STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, work_loop, w);
	pthread_attr_destroy(&attr);
	if (r == 0)
		w->threads++;
	return -r;
}

/* With the lock. Whether the job will be done: by a thread of its own, or by one of enough others.
 */
static bool work_has_thread(struct fs_work *w, const struct fs_job *job)
{
	if (!job->wait && w->brief >= BRIEF_MAX)
		return w->queued < FS_JOBS_MAX;
	return w->idle > w->queued || (w->threads < FS_THREADS_MAX && work_add_thread(w) == 0);
}

int work_start(struct fs_work *w, struct fs_job *job)
{
	bool queued;

	pthread_mutex_lock(&w->lock);
	queued = work_has_thread(w, job);
	if (queued) {
		w->brief += !job->wait;
		*w->last = job;
		w->last = &job->next;
		w->queued++;
		pthread_cond_signal(&w->more);
	}
	pthread_mutex_unlock(&w->lock);
	if (!queued && job->wait) {
		work_free(job);
		return -ENOLCK;
	}
	if (!queued)
		work_do(w->channel, job);
	return FS_LATER;
}
