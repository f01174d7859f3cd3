// SPDX-License-Identifier: Apache-2.0
#include "core/instance/log_reader.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/instance/instance.h"
#include "core/instance/log.h"
#include "core/spec/parse.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/lines.h"

#define FILES_MAX 1000      /* as many as max-file allows */
#define BLOCK (64u * 1024u) /* bytes that are read at once */
#define LINE_MAX (8u * ARROW_LOG_LINE)
#define LOOK_MS 500 /* between two looks where no event comes */

struct reader {
	const struct log_query *query;
	int (*each)(const struct log_entry *entry, void *arg);
	void *arg;
	int dir_fd, fd; /* of the file that is being read; owned */
	struct lines lines;
	char *text; /* of one line */
	bool done;  /* beyond --until */
};

static int open_log(int dir_fd, unsigned int n)
{
	char name[48];

	snprintf(name, sizeof(name), n ? ARROW_LOG_FILE ".%u" : ARROW_LOG_FILE, n);
	return openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

/* Counts lines from the end of a file. Returns the offset of the first of them; left gets how many
 * were not found. */
static off_t reader_find_tail(int fd, long *left)
{
	_cleanup_free_ char *block = malloc(BLOCK);
	struct stat st;
	off_t at;

	if (!block || fstat(fd, &st) < 0)
		return 0;
	at = st.st_size;
	while (at > 0) {
		size_t n = at > (off_t)BLOCK ? BLOCK : (size_t)at;

		at -= (off_t)n;
		if (pread(fd, block, n, at) != (ssize_t)n)
			return 0;
		for (size_t i = n; i-- > 0;) {
			/* The newline at the very end closes the last line. */
			if (block[i] != '\n' || at + (off_t)i + 1 == st.st_size)
				continue;
			if (--*left == 0)
				return at + (off_t)i + 1;
		}
	}
	if (st.st_size > 0)
		--*left;
	return 0;
}

static int reader_compare(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

/* An entry of which the strings are known. */
static int reader_pass_entry(struct reader *r, const struct log_entry *entry)
{
	const struct log_query *q = r->query;
	struct timespec when;

	if (!q->until.tv_sec && !q->since.tv_sec)
		return r->each(entry, r->arg);
	if (time_parse(entry->time, &when) < 0)
		return 0;
	if (q->until.tv_sec && reader_compare(&when, &q->until) > 0)
		r->done = true;
	else if (!q->since.tv_sec || reader_compare(&when, &q->since) >= 0)
		return r->each(entry, r->arg);
	return 0;
}

/* Escapes as Go's url.QueryEscape does, which is how Docker shows attributes. */
static void reader_print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-_.~", *text))
			fputc(*text, out);
		else if (*text == ' ')
			fputc('+', out);
		else
			fprintf(out, "%%%02X", (unsigned char)*text);
	}
}

/* "KEY=VALUE,KEY=VALUE", in the order in which they are stored; "" for none. */
static char *reader_make_attrs(json_t *attrs)
{
	char *text = NULL;
	size_t size, n = 0;
	FILE *out = open_memstream(&text, &size);
	const char *key;
	json_t *value;

	if (!out)
		return NULL;
	json_object_foreach (attrs, key, value) {
		if (!json_is_string(value))
			continue;
		fputs(n++ ? "," : "", out);
		reader_print_escaped(out, key);
		fputc('=', out);
		reader_print_escaped(out, json_string_value(value));
	}
	if (fclose(out) != 0)
		free(STEAL(text));
	return text;
}

/* A line that is no entry, such as half of one, is passed over. */
static int reader_pass_any_line(struct reader *r, const char *line, size_t size)
{
	json_t *o = json_loadb(line, size, JSON_ALLOW_NUL, NULL);
	const json_t *text = json_object_get(o, "log");
	const char *stream = json_string_value(json_object_get(o, "stream"));
	const char *time = json_string_value(json_object_get(o, "time"));
	_cleanup_free_ char *attrs = reader_make_attrs(json_object_get(o, "attrs"));
	int result = 0;

	if (json_is_string(text) && stream && time && attrs)
		result = reader_pass_entry(r, &(struct log_entry){
						      .fd = strcmp(stream, "stderr") == 0 ? 2 : 1,
						      .time = time,
						      .attrs = attrs,
						      .text = json_string_value(text),
						      .size = json_string_length(text),
					      });
	json_decref(o);
	return result;
}

/*
 * Takes the text at the beginning of a line apart, up to its quote, into r->text. Returns what is
 * behind the quote; NULL for escapes that are left to a whole parser.
 */
static const char *reader_unescape(struct reader *r, const char *at, const char *end, size_t *size)
{
	char *to = r->text;

	while (at < end && *at != '"') {
		size_t n = 0;

		while (at + n < end && at[n] != '"' && at[n] != '\\')
			n++;
		memcpy(to, at, n);
		to += n;
		at += n;
		if (at == end || *at == '"')
			break;
		if (at + 1 == end)
			return NULL;
		switch (at[1]) {
		case 'n':
			*to++ = '\n';
			break;
		case 't':
			*to++ = '\t';
			break;
		case 'r':
			*to++ = '\r';
			break;
		case '"':
		case '\\':
			*to++ = at[1];
			break;
		default:
			return NULL;
		}
		at += 2;
	}
	*size = (size_t)(to - r->text);
	return at < end ? at + 1 : NULL;
}

/* Lines as core/instance/log.c writes them are read without a parser: it takes most of the time. */
static int reader_pass_line(struct reader *r, const char *line, size_t size)
{
	static const char head[] = "{\"log\":\"", out[] = ",\"stream\":\"stdout\",\"time\":\"",
			  err[] = ",\"stream\":\"stderr\",\"time\":\"";
	const char *end = line + size, *at = NULL;
	char time[TIME_TEXT];
	size_t text_size = 0, left;
	bool is_out;

	if (size > sizeof(head) && memcmp(line, head, sizeof(head) - 1) == 0)
		at = reader_unescape(r, line + sizeof(head) - 1, end, &text_size);
	left = at ? (size_t)(end - at) : 0;
	is_out = left > sizeof(out) && memcmp(at, out, sizeof(out) - 1) == 0;
	if (!is_out && !(left > sizeof(err) && memcmp(at, err, sizeof(err) - 1) == 0))
		return reader_pass_any_line(r, line, size);
	at += sizeof(out) - 1;
	left = (size_t)(end - at);
	if (left < 3 || left - 2 >= sizeof(time) || memcmp(end - 2, "\"}", 2) != 0)
		return reader_pass_any_line(r, line, size);
	memcpy(time, at, left - 2);
	time[left - 2] = '\0';
	return reader_pass_entry(r, &(struct log_entry){
					    .fd = is_out ? 1 : 2,
					    .time = time,
					    .attrs = "",
					    .text = r->text,
					    .size = text_size,
				    });
}

static int reader_pass_line_until(void *arg, const char *line, size_t size)
{
	struct reader *r = arg;
	int e = reader_pass_line(r, line, size);

	return e < 0 ? e : r->done;
}

/* Reads to the end of the file, or of what is wanted. Returns 0, or what each() gave. */
static int read_on(struct reader *r)
{
	int e = r->done ? 0 : lines_read(&r->lines, r->fd, reader_pass_line_until, r);

	return e < 0 ? e : 0;
}

static void reader_use(struct reader *r, int fd)
{
	close_keep_errno(r->fd);
	r->fd = fd;
	lines_reset(&r->lines);
}

/* Reads what there is now, from the oldest file to the newest, which stays open. */
static int read_files(struct reader *r)
{
	int fds[FILES_MAX], n = 0, e = 0;
	off_t start = 0;
	long left = r->query->tail;

	/* The newest first: a rotation meanwhile only lets us see a file twice. */
	for (unsigned int i = 0; n < FILES_MAX; i++) {
		int fd = open_log(r->dir_fd, i);

		if (fd < 0 && i > 0)
			break;
		if (fd >= 0 && n > 0 && same_file(fd, fds[n - 1]))
			close(fd);
		else if (fd >= 0)
			fds[n++] = fd;
	}
	for (int i = 0; i < n && left > 0; i++) {
		start = reader_find_tail(fds[i], &left);
		if (left > 0)
			continue;
		while (n > i + 1) /* older ones have nothing that is wanted */
			close(fds[--n]);
		if (lseek(fds[i], start, SEEK_SET) < 0)
			e = -errno;
	}
	while (n > 0) {
		reader_use(r, fds[--n]);
		if (r->query->tail == 0 && lseek(r->fd, 0, SEEK_END) < 0)
			e = -errno;
		if (e == 0)
			e = read_on(r);
	}
	return e;
}

/* The file that follows the one that is read, if that one was rotated away; else -1. */
static int next_file(struct reader *r)
{
	int newest = open_log(r->dir_fd, 0), last = -1;

	if (newest < 0 || r->fd < 0 || same_file(newest, r->fd)) {
		if (r->fd < 0)
			return newest;
		close_keep_errno(newest);
		return -1;
	}
	last = newest;
	for (unsigned int i = 1; i < FILES_MAX; i++) {
		int fd = open_log(r->dir_fd, i);

		if (fd < 0)
			return last; /* ours is gone: the oldest there is */
		if (same_file(fd, r->fd)) {
			close(fd);
			return last;
		}
		close(last);
		last = fd;
	}
	return last;
}

static bool too_late(const struct log_query *q)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return q->until.tv_sec && reader_compare(&now, &q->until) > 0;
}

static int reader_follow(struct reader *r, const struct arrow_instance *instance)
{
	_cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	bool kept = true;
	char events[4096];

	/* Without it there is the look every half second. */
	if (watch >= 0)
		inotify_add_watch(watch, instance->dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
	while (!r->done && kept && !too_late(r->query)) {
		struct pollfd p = {watch, POLLIN, 0};
		int e, fd;

		/* Asked before the log is read: what was written up to the end is in it. */
		kept = arrow_instance_is_kept(instance);
		e = r->fd >= 0 ? read_on(r) : 0;
		while (e == 0 && (fd = next_file(r)) >= 0) {
			e = r->fd >= 0 ? read_on(r) : 0; /* what came before it was rotated */
			reader_use(r, fd);
			if (e == 0)
				e = read_on(r);
		}
		if (e < 0)
			return e;
		e = r->each(NULL, r->arg);
		if (e < 0)
			return e;
		if (kept && !r->done && poll(&p, 1, LOOK_MS) > 0)
			while (read(watch, events, sizeof(events)) > 0)
				;
	}
	return 0;
}

static int reader_check_driver(
	const struct arrow_spec *spec, const char *name, const char *id, struct arrow_error *error)
{
	struct log log;
	int r = log_options(&log, spec, error);

	if (r < 0)
		return r;
	if (log.driver == LOG_JOURNALD)
		return arrow_fail_status(error, 1, ENOTSUP,
			"the log of Arrow %s is in the host's journal: 'journalctl -o cat CONTAINER_ID_FULL=%s' shows it",
			name, id);
	if (log.driver == LOG_NONE)
		return arrow_fail_status(error, 1, ENOTSUP,
			"Arrow %s has no log: it was started in the foreground with --rm, or with --log-driver none",
			name);
	return 0;
}

int arrow_logs(const struct arrow_paths *paths, const char *name, const struct log_query *query,
	int (*each)(const struct log_entry *entry, void *arg), void *arg, struct arrow_error *error)
{
	_cleanup_free_ char *text = malloc(LINE_MAX);
	struct reader reader = {.query = query, .each = each, .arg = arg, .fd = -1, .text = text};
	struct arrow_instance instance;
	struct arrow_spec spec;
	char id[ARROW_ID_HEX];
	int r = text ? arrow_instance_find(paths, name, id, error) : arrow_no_memory(error);

	if (r < 0)
		return r;
	r = arrow_instance_open(&instance, paths, id, &spec, error);
	if (r == 0)
		r = reader_check_driver(&spec, instance.name, id, error);
	if (r == 0) {
		reader.dir_fd = instance.dir_fd;
		r = lines_init(&reader.lines, LINE_MAX);
		if (r == 0)
			r = read_files(&reader);
		if (r == 0 && query->follow)
			r = reader_follow(&reader, &instance);
		if (r < 0)
			r = arrow_fail(error, -r, "cannot read the log of Arrow %s: %m", name);
		close_keep_errno(reader.fd);
		lines_release(&reader.lines);
	}
	arrow_instance_release(&instance);
	arrow_spec_release(&spec);
	return r;
}

int log_parse_time(const char *text, struct timespec *when, struct arrow_error *error)
{
	char *end;
	double seconds = strtod(text, &end);
	_cleanup_error_ struct arrow_error no_duration = ARROW_ERROR_INIT;
	uint64_t ns;

	if (*text >= '0' && *text <= '9' && *end == '\0' && seconds < 1e12) {
		when->tv_sec = (time_t)seconds;
		when->tv_nsec = (long)((seconds - (double)when->tv_sec) * 1e9);
		return 0;
	}
	if (arrow_parse_duration(text, &ns, &no_duration) == 0) {
		clock_gettime(CLOCK_REALTIME, when);
		when->tv_sec -= (time_t)(ns / 1000000000);
		return 0;
	}
	if (time_parse(text, when) == 0)
		return 0;
	return arrow_fail(error, EINVAL,
		"invalid time '%s': give seconds since 1970, a duration such as 1h30m, or a date such as 2026-11-24T15:00:00Z",
		text);
}
