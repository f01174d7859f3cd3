// SPDX-License-Identifier: Apache-2.0
#include "core/instance/event_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/event.h"
#include "util/io.h"
#include "util/lines.h"

#define LOOK_MS 500 /* between two looks where no change is told */
#define NS 1000000000ll

struct reader {
	const struct events_query *query;
	int (*each)(const json_t *event, void *arg);
	void *arg;
	const char *data;
	int fd; /* of the file that is being read; owned */
	struct lines lines;
};

static int open_file(const char *data, const char *name)
{
	_cleanup_free_ char *path = path_format("%s/%s", data, name);

	return path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static long long ns_of(const struct timespec *t)
{
	return t->tv_sec * NS + t->tv_nsec;
}

/* A line that is no event, such as half of one, is passed over. */
static int events_pass_line(void *arg, const char *line, size_t size)
{
	struct reader *r = arg;
	const struct events_query *q = r->query;
	json_t *event = json_loadb(line, size, 0, NULL);
	long long when = json_integer_value(json_object_get(event, "timeNano"));
	int e = 0;

	if (when && when >= ns_of(&q->since) && (!q->until.tv_sec || when <= ns_of(&q->until)))
		e = r->each(event, r->arg);
	json_decref(event);
	return e;
}

static int read_on(struct reader *r)
{
	return r->fd >= 0 ? lines_read(&r->lines, r->fd, events_pass_line, r) : 0;
}

/* What there is now: of the two files the older one first. The newer one stays open. */
static int read_files(struct reader *r)
{
	int newest = open_file(r->data, EVENT_FILE), e = 0;

	if (!r->query->past) {
		r->fd = newest;
		return newest >= 0 && lseek(newest, 0, SEEK_END) < 0 ? -errno : 0;
	}
	r->fd = open_file(r->data, EVENT_FILE_OLD);
	/* Set aside in between: it is the newer one of before. */
	if (newest >= 0 && r->fd >= 0 && same_file(newest, r->fd))
		close_keep_errno(steal_fd(&newest));
	e = read_on(r);
	if (newest < 0)
		return e;
	close_keep_errno(r->fd);
	r->fd = newest;
	lines_reset(&r->lines);
	return e < 0 ? e : read_on(r);
}

/* Goes to the file that follows, once ours was set aside. Returns whether there is one. */
static bool next_file(struct reader *r)
{
	int newest = open_file(r->data, EVENT_FILE), old;

	if (newest < 0 || (r->fd >= 0 && same_file(newest, r->fd))) {
		close_keep_errno(newest);
		return false;
	}
	old = r->fd >= 0 ? open_file(r->data, EVENT_FILE_OLD) : -1;
	if (old >= 0 && !same_file(old, r->fd)) { /* one was filled meanwhile */
		close(newest);
		newest = old;
	} else {
		close_keep_errno(old);
	}
	close_keep_errno(r->fd);
	r->fd = newest;
	lines_reset(&r->lines);
	return true;
}

/* Milliseconds until --until; LOOK_MS at most, -1 when it is over. */
static int time_left(const struct events_query *q)
{
	struct timespec now;
	long long left;

	clock_gettime(CLOCK_REALTIME, &now);
	left = (ns_of(&q->until) - ns_of(&now)) / 1000000;
	if (!q->until.tv_sec || left > LOOK_MS)
		return LOOK_MS;
	return left < 0 ? -1 : (int)left + 1;
}

static int reader_follow(struct reader *r)
{
	_cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char changes[4096];
	int e, left = 0;

	if (watch >= 0)
		inotify_add_watch(watch, r->data, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
	while (left >= 0) {
		struct pollfd p = {watch, POLLIN, 0};

		/* Asked before it is read: what came up to then is told. */
		left = time_left(r->query);
		do {
			e = read_on(r);
		} while (e == 0 && next_file(r));
		if (e < 0)
			return e;
		if (left >= 0 && poll(&p, 1, left) > 0)
			while (read(watch, changes, sizeof(changes)) > 0)
				;
	}
	return 0;
}

int arrow_events(const struct arrow_paths *paths, const struct events_query *query,
	int (*each)(const json_t *event, void *arg), void *arg, struct arrow_error *error)
{
	struct reader r = {.query = query, .each = each, .arg = arg, .data = paths->data, .fd = -1};
	int e = lines_init(&r.lines, EVENT_LINE_MAX);

	if (e == 0)
		e = read_files(&r);
	if (e == 0)
		e = reader_follow(&r);
	close_keep_errno(r.fd);
	lines_release(&r.lines);
	return e < 0 ? arrow_fail(error, -e, "cannot read the events in %s: %m", paths->data) : 0;
}
