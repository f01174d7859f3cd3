// SPDX-License-Identifier: Apache-2.0
#include "fs/waits.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WAITS_LINE 40u /* bytes of a line at most: two numbers */
#define TRIES 1000     /* signals that one wait gets */
#define TRY_NS 1000000 /* between two of them */

void waits_init(struct fs_waits *w, struct fs_channel *channel, int signal)
{
	*w = (struct fs_waits){.channel = channel,
		.signal = signal,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER};
}

static size_t waits_tell(const struct fs_waits *w, char *text, size_t room)
{
	size_t used = 0;

	for (const struct fs_wait *p = w->first; p && room - used > WAITS_LINE; p = p->next)
		used += (size_t)snprintf(
			text + used, room - used, "%" PRIu64 " %" PRIu32 "\n", p->unique, p->pid);
	return used;
}

struct fs_wait *waits_add(struct fs_waits *w, uint64_t unique, uint32_t pid, const void *owner)
{
	struct fs_wait *wait = NULL;
	char text[WAITS_LINE + 1];
	uint64_t readers[FS_READERS_MAX];
	unsigned int n = 0;
	size_t size = 0;

	pthread_mutex_lock(&w->lock);
	if (w->n < FS_WAITS_MAX)
		wait = calloc(1, sizeof(*wait));
	if (wait) {
		*wait = (struct fs_wait){
			.next = w->first, .unique = unique, .pid = pid, .owner = owner};
		w->first = wait;
		w->n++;
		size = (size_t)snprintf(
			text, sizeof(text), "%" PRIu64 " %" PRIu32 "\n", unique, pid);
		for (; w->n_readers > 0; n++)
			readers[n] = w->readers[--w->n_readers];
	}
	pthread_mutex_unlock(&w->lock);
	/* They waited because there was no other wait. */
	while (n > 0)
		channel_reply(w->channel, readers[--n], 0, text, size);
	return wait;
}

bool waits_may_wait(struct fs_waits *w, struct fs_wait *wait)
{
	bool may;

	pthread_mutex_lock(&w->lock);
	wait->thread = pthread_self();
	wait->begun = true;
	may = !wait->cancelled;
	pthread_mutex_unlock(&w->lock);
	return may;
}

void waits_end(struct fs_waits *w, struct fs_wait *wait)
{
	struct fs_wait **at = &w->first;

	pthread_mutex_lock(&w->lock);
	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	w->n--;
	pthread_cond_broadcast(&w->ended);
	pthread_mutex_unlock(&w->lock);
	free(wait);
}

bool waits_any(struct fs_waits *w, const void *owner)
{
	const struct fs_wait *p;

	pthread_mutex_lock(&w->lock);
	for (p = w->first; p && p->owner != owner;)
		p = p->next;
	pthread_mutex_unlock(&w->lock);
	return p != NULL;
}

/* With the lock. */
static struct fs_wait *waits_find(const struct fs_waits *w, uint64_t unique)
{
	struct fs_wait *p = w->first;

	while (p && p->unique != unique)
		p = p->next;
	return p;
}

/* With the lock. A signal that comes just before the thread waits is lost, so there are more. */
static void waits_interrupt(struct fs_waits *w, uint64_t unique)
{
	for (int i = 0; i < TRIES; i++) {
		struct fs_wait *p = waits_find(w, unique);
		struct timespec until;

		if (!p)
			return;
		p->cancelled = true;
		if (p->begun)
			pthread_kill(p->thread, w->signal);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TRY_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		(void)pthread_cond_timedwait(&w->ended, &w->lock, &until);
	}
}

void waits_cancel(struct fs_waits *w, uint64_t unique)
{
	bool reader = false;

	pthread_mutex_lock(&w->lock);
	for (unsigned int i = 0; i < w->n_readers && !reader; i++) {
		if (w->readers[i] == unique) {
			w->readers[i] = w->readers[--w->n_readers];
			reader = true;
		}
	}
	if (!reader)
		waits_interrupt(w, unique);
	pthread_mutex_unlock(&w->lock);
	if (reader)
		channel_reply(w->channel, unique, -EINTR, NULL, 0);
}

void waits_cancel_all(struct fs_waits *w)
{
	pthread_mutex_lock(&w->lock);
	w->n_readers = 0;
	for (struct fs_wait *p = w->first; p; p = p->next)
		p->cancelled = true;
	for (unsigned int i = 0; w->first && i < FS_WAITS_MAX; i++)
		waits_interrupt(w, w->first->unique);
	pthread_mutex_unlock(&w->lock);
}

int waits_read(struct fs_waits *w, uint64_t unique, char *data, size_t room, size_t *size)
{
	int r = 0;

	if (room <= WAITS_LINE)
		return -EINVAL;
	pthread_mutex_lock(&w->lock);
	*size = waits_tell(w, data, room);
	if (*size == 0) {
		r = w->n_readers < FS_READERS_MAX ? FS_LATER : -EBUSY;
		if (r == FS_LATER)
			w->readers[w->n_readers++] = unique;
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

int waits_write(struct fs_waits *w, const uint8_t *text, size_t size)
{
	uint64_t unique = 0;
	bool digits = false;

	for (size_t i = 0; i < size; i++) {
		if (text[i] >= '0' && text[i] <= '9' && unique < UINT64_MAX / 10) {
			unique = unique * 10 + (uint64_t)(text[i] - '0');
			digits = true;
		} else if (text[i] == '\n' && digits) {
			waits_cancel(w, unique);
			unique = 0;
			digits = false;
		} else {
			return -EINVAL;
		}
	}
	return digits ? -EINVAL : 0;
}
