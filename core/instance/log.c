// SPDX-License-Identifier: Apache-2.0
#include "core/instance/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/spec/parse.h"
#include "core/spec/spec_json.h"
#include "util/cleanup.h"
#include "util/io.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define MAX_FILES 1000u
#define ATTRS_MAX 8192u /* bytes: with them an entry is not longer than the reader takes */

/* Entries of one log_write() go out together: as much as a frame can become, six bytes a byte. */
#define BATCH_MAX (7u * ARROW_LOG_LINE)

static int parse_count(const char *text, uint32_t max, uint32_t *n)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value < 1 || value > max)
		return -EINVAL;
	*n = (uint32_t)value;
	return 0;
}

static int log_set_option(struct log *log, const char *option, struct arrow_error *error)
{
	const char *value = strchr(option, '=');
	bool file = log->driver == LOG_JSON_FILE;

	if (!value)
		return arrow_fail(error, EINVAL, "--log-opt takes NAME=VALUE, not '%s'", option);
	value++;
	if (file && strncmp(option, "max-size=", 9) == 0) {
		int r;

		log->max_size = 0;
		if (strcmp(value, "-1") == 0)
			return 0; /* no limit, as with Docker */
		r = arrow_parse_size(value, &log->max_size, error);
		return r == 0 && log->max_size == 0
			       ? arrow_fail(error, EINVAL,
					 "max-size must be more than 0, or -1 for no limit")
			       : r;
	}
	if (file && strncmp(option, "max-file=", 9) == 0)
		return parse_count(value, MAX_FILES, &log->max_file) < 0
			       ? arrow_fail(error, EINVAL, "max-file must be a number from 1 to %u",
					 MAX_FILES)
			       : 0;
	if (file && (strncmp(option, "labels=", 7) == 0 || strncmp(option, "env=", 4) == 0))
		return 0;
	return arrow_fail(error, EINVAL,
		"unknown log option '%s': json-file has max-size, max-file, labels and env",
		option);
}

int log_options(struct log *log, const struct arrow_spec *spec, struct arrow_error *error)
{
	const char *name = spec->log.driver;
	struct log scratch;
	bool sized = false;

	if (!log)
		log = &scratch;
	memset(log, 0, sizeof(*log));
	log->fd = log->dir_fd = -1;
	if (!name || strcmp(name, "json-file") == 0)
		log->driver = LOG_JSON_FILE;
	else if (strcmp(name, "journald") == 0)
		log->driver = LOG_JOURNALD;
	else if (strcmp(name, "none") == 0)
		log->driver = LOG_NONE;
	else
		return arrow_fail(error, EINVAL,
			"unknown log driver '%s': use json-file, journald or none", name);
	if (log->driver == LOG_JSON_FILE &&
		arrow_parse_size(ARROW_LOG_MAX_SIZE, &log->max_size, error) < 0)
		return -EINVAL;
	for (size_t i = 0; i < spec->log.opts.n; i++) {
		int r = log_set_option(log, spec->log.opts.v[i], error);

		if (r < 0)
			return r;
		sized |= strncmp(spec->log.opts.v[i], "max-size=", 9) == 0;
	}
	if (log->max_file > 1 && !log->max_size)
		return arrow_fail(error, EINVAL, "max-file needs a max-size that is not -1");
	/* As with Docker, one who only says how large a file may be has one. */
	if (!log->max_file)
		log->max_file = sized ? 1 : ARROW_LOG_MAX_FILE;
	return 0;
}

/* The pairs "key=value" whose keys are in a list of words with commas between. */
static void log_pick_attrs(json_t *attrs, const char *keys, const struct arrow_strings *pairs)
{
	for (; *keys; keys += strcspn(keys, ","), keys += *keys == ',') {
		size_t size = strcspn(keys, ",");

		for (size_t i = 0; i < pairs->n; i++) {
			const char *pair = pairs->v[i];

			if (size == 0 || strcspn(pair, "=") != size ||
				strncmp(pair, keys, size) != 0)
				continue;
			json_object_setn_new(attrs, pair, size,
				arrow_text_json(pair[size] ? pair + size + 1 : ""));
		}
	}
}

/* What --log-opt labels= and env= add to each line. */
static int log_make_attrs(struct log *log, const struct arrow_spec *spec, struct arrow_error *error)
{
	json_t *attrs = json_object();
	_cleanup_free_ char *text = NULL;
	int r = 0;

	for (size_t i = 0; i < spec->log.opts.n; i++) {
		const char *option = spec->log.opts.v[i];

		if (strncmp(option, "labels=", 7) == 0)
			log_pick_attrs(attrs, option + 7, &spec->labels);
		else if (strncmp(option, "env=", 4) == 0)
			log_pick_attrs(attrs, option + 4, &spec->process.env);
	}
	if (json_object_size(attrs) > 0) {
		text = json_dumps(attrs, JSON_COMPACT | JSON_SORT_KEYS);
		log->attrs = text ? path_format(",\"attrs\":%s", text) : NULL;
		if (!log->attrs)
			r = arrow_no_memory(error);
		else if (strlen(log->attrs) > ATTRS_MAX)
			r = arrow_fail(error, E2BIG,
				"the labels and variables of --log-opt take more than %u bytes of each line",
				ATTRS_MAX);
	}
	json_decref(attrs);
	return r;
}

static int open_file(struct log *log)
{
	struct stat st;
	char last;

	log->fd = openat(log->dir_fd, ARROW_LOG_FILE,
		O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log->fd < 0 || fstat(log->fd, &st) < 0)
		return -errno;
	/* A keeper that was killed may have left half a line. */
	while (st.st_size > 0 && pread(log->fd, &last, 1, st.st_size - 1) == 1 && last != '\n')
		if (ftruncate(log->fd, --st.st_size) < 0)
			return -errno;
	log->size = (uint64_t)st.st_size;
	return 0;
}

static int open_journal(struct log *log)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};

	log->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (log->fd < 0 || connect(log->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

int log_open(struct log *log, const struct arrow_spec *spec, int dir_fd, const char *id,
	const char *name, struct arrow_error *error)
{
	int r = log_options(log, spec, error);

	if (r < 0)
		return r;
	log->dir_fd = dir_fd;
	log->id = id;
	log->name = name;
	if (log->driver == LOG_JSON_FILE) {
		r = log_make_attrs(log, spec, error);
		if (r < 0)
			return r;
		r = open_file(log);
		if (r < 0)
			return arrow_fail(error, -r, "cannot open the log of the Arrow: %m");
	} else if (log->driver == LOG_JOURNALD) {
		r = open_journal(log);
		if (r < 0)
			return arrow_fail(error, -r,
				"cannot reach the journal at " JOURNAL_SOCKET
				": %m; use --log-driver json-file");
	}
	return 0;
}

/* log.json.1 becomes log.json.2 and so on; the oldest is lost. */
static void log_rotate(struct log *log)
{
	for (uint32_t n = log->max_file - 1; n > 0; n--) {
		char from[48], to[48];

		snprintf(to, sizeof(to), ARROW_LOG_FILE ".%u", n);
		if (n > 1)
			snprintf(from, sizeof(from), ARROW_LOG_FILE ".%u", n - 1);
		else
			snprintf(from, sizeof(from), ARROW_LOG_FILE);
		renameat(log->dir_fd, from, log->dir_fd, to);
	}
	if (log->max_file == 1)
		unlinkat(log->dir_fd, ARROW_LOG_FILE, 0);
	close_keep_errno(steal_fd(&log->fd));
	/* One that cannot be opened now is tried again with the next line. */
	if (open_file(log) < 0)
		close_keep_errno(steal_fd(&log->fd));
}

/* Writes whole entries, or nothing of them. */
static int log_put(struct log *log, const char *text, size_t size)
{
	if (log->fd < 0 && open_file(log) < 0) {
		close_keep_errno(steal_fd(&log->fd));
		return -EIO;
	}
	if (log->max_size && log->size > 0 && log->size + size > log->max_size) {
		log_rotate(log);
		if (log->fd < 0)
			return -EIO;
	}
	if (write_full(log->fd, text, size) < 0) {
		if (ftruncate(log->fd, (off_t)log->size) < 0)
			close_keep_errno(steal_fd(&log->fd)); /* open_file() mends it */
		return -EIO;
	}
	log->size += size;
	return 0;
}

/* The length of the UTF-8 sequence at text, or 0 for what is none. */
static size_t utf8_length(const uint8_t *t, size_t size)
{
	size_t n = t[0] < 0x80 ? 1 : t[0] < 0xc2 ? 0 : t[0] < 0xe0 ? 2 : t[0] < 0xf0 ? 3 : 4;

	if (n == 0 || t[0] > 0xf4 || n > size)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((t[i] & 0xc0) != 0x80)
			return 0;
	if ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] > 0x9f) ||
		(t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] > 0x8f))
		return 0;
	return n;
}

/* As Docker's encoder: what is not UTF-8 becomes U+FFFD. Returns where it ended; to has 6 * size.
 */
static char *log_escape(char *to, const uint8_t *text, size_t size)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < size;) {
		uint8_t c = text[i];
		size_t n;

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
			*to++ = (char)c;
			i++;
			continue;
		}
		n = utf8_length(text + i, size - i);
		if (n > 1 || c == 0x7f) {
			memcpy(to, text + i, n);
			to += n;
			i += n;
			continue;
		}
		*to++ = '\\';
		if (n == 0) {
			memcpy(to, "ufffd", 5);
			to += 5;
		} else if (c == '"' || c == '\\') {
			*to++ = (char)c;
		} else if (c == '\n' || c == '\r' || c == '\t') {
			*to++ = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		} else {
			memcpy(to, "u00", 3);
			to[3] = hex[c >> 4];
			to[4] = hex[c & 15];
			to += 5;
		}
		i++;
	}
	return to;
}

struct batch {
	char *data;
	size_t used, room;
	uint64_t lines;
	char time[TIME_TEXT];
};

static void flush_batch(struct log *log, struct batch *b)
{
	if (b->used == 0)
		return;
	if (log->lost > 0) {
		char text[256];
		int n = snprintf(text, sizeof(text),
			"{\"log\":\"arrow: %llu lines were lost: the disk was full\\n\",\"stream\":\"stderr\",\"time\":\"%s\"}\n",
			(unsigned long long)log->lost, b->time);

		if (log_put(log, text, (size_t)n) == 0)
			log->lost = 0;
	}
	if (log->lost > 0 || log_put(log, b->data, b->used) < 0)
		log->lost += b->lines;
	b->used = 0;
	b->lines = 0;
}

static void add_json(struct log *log, struct batch *b, unsigned int fd, const uint8_t *text,
	size_t size, bool end)
{
	size_t most = 6 * size + 128 + (log->attrs ? strlen(log->attrs) : 0);
	char *to;

	if (b->used + most > b->room || (log->max_size && b->used + most > log->max_size))
		flush_batch(log, b);
	to = b->data + b->used;
	to += sprintf(to, "{\"log\":\"");
	to = log_escape(to, text, size);
	to += sprintf(to, "%s\",\"stream\":\"%s\"%s,\"time\":\"%s\"}\n", end ? "\\n" : "",
		fd == 1 ? "stdout" : "stderr", log->attrs ? log->attrs : "", b->time);
	b->used = (size_t)(to - b->data);
	b->lines++;
}

/* A datagram of fields to the journal: a value with newlines in it needs its length in front. */
static void send_journal(struct log *log, unsigned int fd, const uint8_t *text, size_t size)
{
	uint8_t length[8] = {0};
	_cleanup_free_ char *head = path_format(
		"PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nCONTAINER_NAME=%s\nCONTAINER_ID=%.12s\n"
		"CONTAINER_ID_FULL=%s\nCONTAINER_TAG=%.12s\nMESSAGE\n",
		fd == 1 ? 6 : 3, log->name, log->name, log->id, log->id, log->id);
	struct iovec parts[4] = {{head, head ? strlen(head) : 0}, {length, sizeof(length)},
		{(void *)text, size}, {(void *)"\n", 1}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};

	for (size_t i = 0; i < sizeof(length); i++)
		length[i] = (uint8_t)((uint64_t)size >> (8 * i));
	/* A journal that does not take it holds nobody up. */
	if (!head || sendmsg(log->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log->lost++;
}

static void log_put_entry(struct log *log, struct batch *b, unsigned int fd, const uint8_t *text,
	size_t size, bool end)
{
	if (log->driver == LOG_JSON_FILE)
		add_json(log, b, fd, text, size, end);
	else
		send_journal(log, fd, text, size);
}

/* For so many bytes of text; each entry of them fits. */
static int log_begin_batch(const struct log *log, struct batch *b, size_t size)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(now, b->time);
	b->room = 6 * size + 1024 < BATCH_MAX ? 6 * size + 1024 : BATCH_MAX;
	b->room += log->attrs ? strlen(log->attrs) : 0;
	if (log->driver == LOG_JSON_FILE)
		b->data = malloc(b->room);
	return b->data || log->driver != LOG_JSON_FILE ? 0 : -ENOMEM;
}

void log_write(struct log *log, unsigned int fd, const void *data, size_t size)
{
	struct log_line *line = &log->line[fd - 1];
	const uint8_t *p = data;
	struct batch b = {0};

	if (log->driver == LOG_NONE || size == 0)
		return;
	if (!line->data)
		line->data = malloc(ARROW_LOG_LINE);
	if (!line->data || log_begin_batch(log, &b, size + line->used) < 0) {
		log->lost++;
		return;
	}
	while (size > 0) {
		const uint8_t *newline = memchr(p, '\n', size);
		size_t n = newline ? (size_t)(newline - p) : size;
		size_t room = ARROW_LOG_LINE - line->used;

		if (line->used == 0 && newline && n <= ARROW_LOG_LINE) {
			log_put_entry(log, &b, fd, p, n, true);
			p += n + 1;
			size -= n + 1;
			continue;
		}
		if (n > room) { /* longer than an entry may be */
			n = room;
			newline = NULL;
		}
		memcpy(line->data + line->used, p, n);
		line->used += n;
		p += n;
		size -= n;
		if (newline || line->used == ARROW_LOG_LINE) {
			log_put_entry(
				log, &b, fd, (uint8_t *)line->data, line->used, newline != NULL);
			line->used = 0;
		}
		if (newline) {
			p++;
			size--;
		}
	}
	flush_batch(log, &b);
	free(b.data);
}

void log_finish(struct log *log)
{
	struct batch b = {0};

	size_t used = log->line[0].used + log->line[1].used;

	if (used == 0 || log_begin_batch(log, &b, used) < 0)
		return;
	for (unsigned int i = 0; i < 2; i++) {
		if (log->line[i].used)
			log_put_entry(log, &b, i + 1, (uint8_t *)log->line[i].data,
				log->line[i].used, false);
		log->line[i].used = 0;
	}
	flush_batch(log, &b);
	free(b.data);
}

void log_close(struct log *log)
{
	close_keep_errno(log->fd);
	for (unsigned int i = 0; i < 2; i++)
		free(log->line[i].data);
	free(log->attrs);
	memset(log, 0, sizeof(*log));
	log->fd = log->dir_fd = -1;
}
