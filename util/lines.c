// SPDX-License-Identifier: Apache-2.0
#include "util/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int lines_init(struct lines *lines, size_t max)
{
	*lines = (struct lines){.data = malloc(max), .max = max};
	return lines->data ? 0 : -ENOMEM;
}

/* Gives away the whole lines that there are. */
static int lines_give(
	struct lines *l, int (*each)(void *arg, const char *line, size_t size), void *arg)
{
	size_t start = 0;
	char *newline;
	int r = 0;

	while (r == 0 && (newline = memchr(l->data + start, '\n', l->used - start))) {
		size_t size = (size_t)(newline - l->data) - start;

		if (!l->skips)
			r = each(arg, l->data + start, size);
		l->skips = false;
		start += size + 1;
	}
	if (start == 0 && l->used == l->max) {
		l->skips = true;
		start = l->used;
	}
	memmove(l->data, l->data + start, l->used - start);
	l->used -= start;
	return r;
}

int lines_read(
	struct lines *l, int fd, int (*each)(void *arg, const char *line, size_t size), void *arg)
{
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(fd, l->data + l->used, l->max - l->used)) > 0) {
		l->used += (size_t)n;
		r = lines_give(l, each, arg);
	}
	return r;
}

void lines_reset(struct lines *lines)
{
	lines->used = 0;
	lines->skips = false;
}

void lines_release(struct lines *lines)
{
	free(lines->data);
	*lines = (struct lines){0};
}
