// SPDX-License-Identifier: Apache-2.0
#include "registry/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "util/cleanup.h"

#define STOPPED_BY_US (-1)

struct pool {
	const struct http_options *options;
	volatile sig_atomic_t *stop;
	int (*work)(size_t i, struct http *h, void *arg, struct arrow_error *error);
	void *arg;
	size_t n;

	pthread_mutex_t lock; /* of what follows */
	size_t next;
	int result;
	struct arrow_error *error;
};

static bool pool_take_item(struct pool *p, size_t *i)
{
	bool more;

	pthread_mutex_lock(&p->lock);
	more = p->result == 0 && p->next < p->n && !*p->stop;
	if (more)
		*i = p->next++;
	pthread_mutex_unlock(&p->lock);
	return more;
}

static void pool_fail(struct pool *p, int e, struct arrow_error *error)
{
	pthread_mutex_lock(&p->lock);
	if (p->result == 0) {
		p->result = e;
		p->error->text = STEAL(error->text);
		p->error->status = error->status;
		if (!*p->stop)
			*p->stop = STOPPED_BY_US;
	}
	pthread_mutex_unlock(&p->lock);
	arrow_error_clear(error);
}

static void *pool_run_worker(void *arg)
{
	struct pool *p = arg;
	struct arrow_error error = ARROW_ERROR_INIT;
	struct http *h = http_new(p->options);
	size_t i;

	if (!h)
		pool_fail(p, arrow_fail(&error, ENOMEM, "out of memory"), &error);
	while (h && pool_take_item(p, &i)) {
		int e = p->work(i, h, p->arg, &error);

		if (e < 0)
			pool_fail(p, e, &error);
	}
	http_free(h);
	return NULL;
}

int pool_run(const struct http_options *options, volatile sig_atomic_t *stop, size_t n,
	int (*work)(size_t i, struct http *h, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error)
{
	struct pool p = {
		.options = options, .stop = stop, .work = work, .arg = arg, .n = n, .error = error};
	pthread_t threads[POOL_THREADS];
	size_t started = 0;

	pthread_mutex_init(&p.lock, NULL);
	while (started < POOL_THREADS && started < n &&
		pthread_create(&threads[started], NULL, pool_run_worker, &p) == 0)
		started++;
	if (started == 0 && n > 0)
		pool_run_worker(&p);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&p.lock);
	if (*stop == STOPPED_BY_US)
		*stop = 0;
	else if (*stop && p.result == 0)
		return arrow_fail(error, ECANCELED, "interrupted");
	return p.result;
}
