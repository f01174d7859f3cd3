// SPDX-License-Identifier: Apache-2.0
#include "registry/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/text.h"

#define ID_DIGITS 12
#define BAR_WIDTH 30u
#define REDRAW_MS 100u
#define LINES_MIN 8u

struct layer {
	char id[ID_DIGITS + 1];
	uint64_t size, bytes;
	const char *state;
	bool bar;
};

struct progress {
	FILE *to;
	bool terminal, started, ended;
	pthread_t thread;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	struct layer *layers;
	size_t n;
	size_t drawn; /* lines on the terminal */
};

struct progress *progress_new(FILE *to)
{
	struct progress *p = calloc(1, sizeof(*p));
	pthread_condattr_t clock;

	if (!p)
		return NULL;
	p->to = to;
	p->terminal = to && isatty(fileno(to)) == 1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &clock);
	pthread_condattr_destroy(&clock);
	return p;
}

static void progress_print_line(const struct progress *p, const struct layer *l)
{
	if (p->to && !p->terminal) {
		fprintf(p->to, "%s: %s\n", l->id, l->state);
		fflush(p->to);
	}
}

int progress_add(struct progress *p, const char *digest, uint64_t size, const char *state)
{
	const char *colon = strchr(digest, ':');
	struct layer *more = realloc(p->layers, (p->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	p->layers = more;
	more[p->n] = (struct layer){.size = size, .state = state};
	snprintf(more[p->n].id, sizeof(more[p->n].id), "%.*s", ID_DIGITS,
		colon ? colon + 1 : digest);
	progress_print_line(p, &more[p->n]);
	return (int)p->n++;
}

static void draw_layer(const struct progress *p, const struct layer *l, unsigned int columns)
{
	char bar[BAR_WIDTH + 1], have[SIZE_TEXT], all[SIZE_TEXT];
	unsigned int n = l->size ? (unsigned int)((double)l->bytes / (double)l->size * BAR_WIDTH)
				 : BAR_WIDTH;

	/* A line that wraps would spoil the count of lines. */
	if (!l->bar || columns < 90) {
		fprintf(p->to, "\033[K%s: %.40s\r\n", l->id, l->state);
		return;
	}
	n = n > BAR_WIDTH ? BAR_WIDTH : n;
	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '=', n);
	if (n > 0 && n < BAR_WIDTH)
		bar[n - 1] = '>';
	bar[BAR_WIDTH] = '\0';
	size_text(l->bytes, have);
	size_text(l->size, all);
	fprintf(p->to, "\033[K%s: %-12.20s [%s] %9s/%s\r\n", l->id, l->state, bar, have, all);
}

/* Redraws the last layers, as many as the terminal has lines. The lock is held. */
static void progress_draw(struct progress *p)
{
	struct winsize w = {.ws_row = 24, .ws_col = 80};
	size_t first, room;

	if (ioctl(fileno(p->to), TIOCGWINSZ, &w) < 0 || w.ws_row == 0) {
		w.ws_row = 24;
		w.ws_col = 80;
	}
	room = w.ws_row > LINES_MIN ? w.ws_row - 2u : LINES_MIN - 2u;
	if (p->drawn > 0)
		fprintf(p->to, "\033[%zuA", p->drawn);
	first = p->n > room ? p->n - room : 0;
	for (size_t i = first; i < p->n; i++)
		draw_layer(p, &p->layers[i], w.ws_col);
	p->drawn = p->n - first;
	fflush(p->to);
}

static void *draw_all_the_time(void *arg)
{
	struct progress *p = arg;
	struct timespec when;

	pthread_mutex_lock(&p->lock);
	while (!p->ended) {
		progress_draw(p);
		clock_gettime(CLOCK_MONOTONIC, &when);
		when.tv_nsec += REDRAW_MS * 1000000L;
		if (when.tv_nsec >= 1000000000L) {
			when.tv_nsec -= 1000000000L;
			when.tv_sec++;
		}
		pthread_cond_timedwait(&p->changed, &p->lock, &when);
	}
	progress_draw(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void progress_start(struct progress *p)
{
	if (p->terminal && p->n > 0)
		p->started = pthread_create(&p->thread, NULL, draw_all_the_time, p) == 0;
}

void progress_state(struct progress *p, int layer, const char *text)
{
	struct layer *l;

	pthread_mutex_lock(&p->lock);
	l = &p->layers[layer];
	l->state = text;
	l->bar = false;
	progress_print_line(p, l);
	pthread_mutex_unlock(&p->lock);
}

void progress_bytes(struct progress *p, int layer, const char *doing, uint64_t bytes)
{
	struct layer *l;

	pthread_mutex_lock(&p->lock);
	l = &p->layers[layer];
	l->state = doing;
	l->bytes = bytes;
	l->bar = true;
	pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p)
{
	if (!p)
		return;
	if (p->started) {
		pthread_mutex_lock(&p->lock);
		p->ended = true;
		pthread_cond_signal(&p->changed);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->thread, NULL);
	}
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p->layers);
	free(p);
}
