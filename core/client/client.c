// SPDX-License-Identifier: Apache-2.0
#include "core/client/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "core/control/channel.h"
#include "util/cleanup.h"
#include "util/io.h"

#define LEAVE_DEADLINE_MS 10000u /* for the keeper to let us go */

/* An output stream: what came from the keeper and is not written yet, at most a window. */
struct output {
	int fd;
	uint16_t stream;
	uint8_t *data; /* ARROW_WINDOW bytes */
	size_t start, end;
	uint32_t owed; /* credit not returned yet */
	size_t chunk;  /* what one write may carry without blocking */
	bool broken;   /* nobody reads it any more */
};

struct client {
	const struct client_options *options;
	const struct arrow_spec *spec;
	struct channel keeper;
	struct output out[2];
	int signal_fd;

	bool started;
	bool reads_stdin;
	uint32_t credit; /* bytes of stdin that may be sent */

	bool raw;
	struct termios saved;

	uint8_t keys[CLIENT_KEYS_MAX]; /* that leave the Arrow */
	size_t n_keys, keys_seen;      /* how many were typed so far */
	uint64_t leave_by;             /* ms: DETACH was sent; 0 if not */
	uint64_t waits_since;          /* ms: for the guest; 0 while it waits for others */

	bool ended, detached, out_of_memory;
	int status;
};

void client_signals(sigset_t *set)
{
	/* Those stay with this process: its own faults, its job control, its children. */
	const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGTSTP,
		SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD};

	sigfillset(set);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		sigdelset(set, kept[i]);
}

void client_window(uint16_t *rows, uint16_t *columns)
{
	struct winsize w;

	*rows = 24;
	*columns = 80;
	for (int fd = 0; fd < 3; fd++) {
		if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_row && w.ws_col) {
			*rows = w.ws_row;
			*columns = w.ws_col;
			return;
		}
	}
}

/* Tells the user something, for which the terminal is as it was: a raw one needs more than a
 * newline. */
static void __attribute__((format(printf, 2, 3)))
client_note(const struct client *c, const char *fmt, ...)
{
	_cleanup_free_ char *line = NULL;
	struct termios raw;
	bool restore = c->raw && tcgetattr(STDIN_FILENO, &raw) == 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (restore)
		tcsetattr(STDIN_FILENO, TCSANOW, &c->saved);
	arrow_note(c->options->notes, "%s", line);
	if (restore)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static int output_init(struct output *o, uint32_t process, int fd)
{
	struct stat st;

	o->fd = fd;
	o->stream = ARROW_STREAM(process, (unsigned int)fd);
	o->data = malloc(ARROW_WINDOW);
	/* A pipe that polls writable takes PIPE_BUF at least (pipe(7)); a file takes anything. */
	o->chunk = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? ARROW_WINDOW : PIPE_BUF;
	return o->data ? 0 : -ENOMEM;
}

static int output_append(struct output *o, const uint8_t *data, size_t size)
{
	if (o->broken)
		return 0;
	if (size > ARROW_WINDOW - (o->end - o->start))
		return -EPROTO; /* beyond its credit */
	if (size > ARROW_WINDOW - o->end) {
		memmove(o->data, o->data + o->start, o->end - o->start);
		o->end -= o->start;
		o->start = 0;
	}
	memcpy(o->data + o->end, data, size);
	o->end += size;
	return 0;
}

/* Writes what fits without waiting, and gives credit back half a window at a time. */
static int output_write(struct client *c, struct output *o)
{
	size_t size = o->end - o->start;
	ssize_t n = write(o->fd, o->data + o->start, size < o->chunk ? size : o->chunk);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0) {
		/* As for any program: a closed pipe is SIGPIPE for the one that writes. Other
		 * errors (a full disk) end its output in the same way, and are told. */
		if (errno != EPIPE)
			client_note(c, "cannot write to %s: %s", o->fd == 1 ? "stdout" : "stderr",
				strerror(errno));
		o->broken = true;
		o->start = o->end = 0;
		return channel_send(&c->keeper, o->stream, ARROW_CLOSED, NULL, 0);
	}
	o->start += (size_t)n;
	o->owed += (uint32_t)n;
	if (o->start == o->end)
		o->start = o->end = 0;
	if (o->owed >= ARROW_WINDOW / 2 || o->end == 0) {
		uint32_t owed = o->owed;

		o->owed = 0;
		return channel_send_u32(&c->keeper, o->stream, ARROW_CREDIT, owed);
	}
	return 0;
}

static int client_leave(struct client *c)
{
	c->leave_by = now_ms() + LEAVE_DEADLINE_MS;
	c->reads_stdin = false;
	c->detached = true;
	return channel_send(&c->keeper, ARROW_CONTROL, ARROW_DETACH, NULL, 0);
}

/*
 * Takes the detach keys out of what was typed. Keys that only begin like them are held back until
 * the next one tells. Returns the number of bytes that are left in to; keys_seen is n_keys when all
 * were there.
 */
static size_t client_filter_keys(struct client *c, const uint8_t *from, size_t n, uint8_t *to)
{
	size_t out = 0;

	for (size_t i = 0; i < n && c->keys_seen < c->n_keys; i++) {
		if (from[i] == c->keys[c->keys_seen]) {
			c->keys_seen++;
			continue;
		}
		memcpy(to + out, c->keys, c->keys_seen);
		out += c->keys_seen;
		c->keys_seen = from[i] == c->keys[0];
		if (!c->keys_seen)
			to[out++] = from[i];
	}
	return out;
}

static int client_read_stdin(struct client *c)
{
	uint8_t in[ARROW_FRAME_MAX - CLIENT_KEYS_MAX], kept[ARROW_FRAME_MAX], *data = in;
	/* With room for keys that were held back. */
	size_t room = c->credit - CLIENT_KEYS_MAX;
	ssize_t n;
	int r = 0;

	if (room > sizeof(in))
		room = sizeof(in);
	n = read(STDIN_FILENO, in, room);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		c->reads_stdin = false;
		return channel_send(
			&c->keeper, ARROW_STREAM(c->options->process, 0), ARROW_EOF, NULL, 0);
	}
	if (c->n_keys) {
		n = (ssize_t)client_filter_keys(c, in, (size_t)n, kept);
		data = kept;
	}
	c->credit -= (uint32_t)n;
	if (n > 0)
		r = channel_send(&c->keeper, ARROW_STREAM(c->options->process, 0), ARROW_DATA, data,
			(size_t)n);
	if (r == 0 && c->n_keys && c->keys_seen == c->n_keys)
		r = client_leave(c);
	return r;
}

static void client_set_raw(struct client *c)
{
	struct termios raw;

	/* Where no byte goes to the program, Ctrl-C must stay a signal. */
	if (!c->spec->process.tty || !c->options->input || tcgetattr(STDIN_FILENO, &c->saved) < 0)
		return;
	raw = c->saved;
	cfmakeraw(&raw);
	c->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static int client_send_window(struct client *c)
{
	struct arrow_winsize size = {.process = c->options->process};
	uint8_t payload[ARROW_WINSIZE_BYTES];

	client_window(&size.rows, &size.columns);
	arrow_winsize_encode(payload, &size);
	return channel_send(&c->keeper, ARROW_CONTROL, ARROW_WINSIZE, payload, sizeof(payload));
}

static int client_handle_signal(struct client *c)
{
	struct signalfd_siginfo info;
	uint8_t payload[ARROW_SIGNAL_BYTES];

	if (read(c->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	switch (info.ssi_signo) {
	case SIGPIPE: /* write() says it */
	case SIGURG:
		return 0;
	case SIGWINCH:
		return c->spec->process.tty ? client_send_window(c) : 0;
	default:
		break;
	}
	if (!c->started || !c->options->proxy) {
		/* There is no program yet that could decide. Leaving ends an Arrow that we start.
		 */
		c->ended = true;
		c->status = 128 + (int)info.ssi_signo;
		return 0;
	}
	arrow_signal_encode(payload, &(struct arrow_signal){c->options->process, info.ssi_signo});
	return channel_send(&c->keeper, ARROW_CONTROL, ARROW_SIGNAL, payload, sizeof(payload));
}

/* One that was left may end at once; that means nothing to its command any more. */
static bool client_ends_after_leaving(struct client *c)
{
	if (c->leave_by)
		c->ended = true;
	return c->leave_by != 0;
}

static int client_handle_started(struct client *c, struct arrow_error *error)
{
	if (c->started)
		return 0;
	c->started = true;
	c->waits_since = 0;
	if (c->options->leave)
		return client_leave(c) < 0
			       ? arrow_fail(error, EPIPE, "the keeper of this Arrow does not read")
			       : 0;
	c->reads_stdin = c->options->input && c->spec->process.interactive;
	client_set_raw(c);
	/* It may have changed since the job was written. */
	return c->spec->process.tty && client_send_window(c) < 0
		       ? arrow_fail(error, EPIPE, "the keeper of this Arrow does not read")
		       : 0;
}

static int client_handle_control(
	struct client *c, struct arrow_frame f, const uint8_t *p, struct arrow_error *error)
{
	struct arrow_started started;
	struct arrow_failed failed;
	struct arrow_exited exited;
	struct arrow_answer answer;
	int r = 0;

	/* What is told to all commands, of the Arrow's program, is not for one beside it. */
	switch (f.type) {
	case ARROW_STARTED:
		r = arrow_started_decode(p, f.length, &started);
		if (r == 0 && started.process == c->options->process)
			return client_handle_started(c, error);
		break;
	case ARROW_NOTE:
		client_note(c, "%.*s", (int)f.length, (const char *)p);
		return 0;
	case ARROW_ANSWER: /* to the connection itself: a refusal */
		r = arrow_answer_decode(p, f.length, &answer);
		if (r < 0 || answer.request != 0 || answer.err == 0)
			break;
		c->ended = true;
		return arrow_fail_status(error, 1, (int)answer.err, "%.*s", (int)answer.size,
			(const char *)answer.data);
	case ARROW_FAILED:
		r = arrow_failed_decode(p, f.length, &failed);
		if (r < 0 || failed.process != c->options->process || client_ends_after_leaving(c))
			break;
		c->ended = true;
		return arrow_fail_status(
			error, (int)failed.status, EIO, "%.*s", (int)failed.length, failed.text);
	case ARROW_EXITED:
		r = arrow_exited_decode(p, f.length, &exited);
		if (r < 0 || exited.process != c->options->process || client_ends_after_leaving(c))
			break;
		c->ended = true;
		c->status = arrow_exited_status(&exited);
		c->out_of_memory = exited.how == ARROW_EXIT_OOM;
		return 0;
	default:
		break;
	}
	return r < 0 ? arrow_fail(error, -r, "the keeper of this Arrow sent a malformed frame") : 0;
}

static int client_handle_frame(
	struct client *c, struct arrow_frame f, const uint8_t *payload, struct arrow_error *error)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);
	uint32_t more;
	int r = 0;

	if (f.stream == ARROW_CONTROL)
		return client_handle_control(c, f, payload, error);
	if (!c->options->whole)
		c->waits_since = 0;
	if (fd == 0 && f.type == ARROW_CREDIT) {
		/* Never more than a window, whatever the guest says. */
		r = arrow_credit_decode(payload, f.length, &more);
		if (r == 0)
			c->credit =
				more < ARROW_WINDOW - c->credit ? c->credit + more : ARROW_WINDOW;
	} else if (fd == 0 && f.type == ARROW_CLOSED) {
		c->reads_stdin = false;
	} else if (fd != 0 && f.type == ARROW_DATA && c->options->output) { /* else left just now */
		r = output_append(&c->out[fd - 1], payload, f.length);
	}
	return r < 0 ? arrow_fail(error, -r, "the guest sent more output than it was granted") : 0;
}

static int client_handle_frames(struct client *c, struct arrow_error *error)
{
	int filled = channel_fill(&c->keeper), r;
	struct arrow_frame frame;
	const uint8_t *payload;

	while (!c->ended && (r = channel_next(&c->keeper, &frame, &payload)) != 0) {
		if (r < 0)
			return arrow_fail(
				error, -r, "the keeper of this Arrow sent a malformed frame");
		r = client_handle_frame(c, frame, payload, error);
		if (r < 0)
			return r;
	}
	if (filled < 0 && c->leave_by)
		c->ended = true; /* it let us go */
	if (filled < 0 && !c->ended)
		return arrow_fail(error, EPIPE,
			"the keeper of this Arrow was killed, and its program with it");
	return 0;
}

static bool client_takes_stdin(const struct client *c)
{
	return c->reads_stdin && c->credit > CLIENT_KEYS_MAX &&
	       channel_has_room(&c->keeper, ARROW_FRAME_MAX);
}

/*
 * How long to wait, in ms, or -1 for ever. The guest is not waited for while somebody else has to
 * do something: whoever reads our output, or writes our input.
 */
static int client_wait_time(struct client *c)
{
	const struct client_options *o = c->options;
	uint32_t limit = c->started ? o->answer_ms : o->start_ms;
	uint64_t now = now_ms();

	if (c->leave_by)
		return 100;
	for (int i = 0; i < 2; i++)
		if (c->out[i].start < c->out[i].end)
			limit = 0;
	if (limit == 0 || (c->started && client_takes_stdin(c))) {
		if (!o->whole)
			c->waits_since = 0;
		return -1;
	}
	if (!c->waits_since)
		c->waits_since = now;
	return c->waits_since + limit > now ? (int)(c->waits_since + limit - now) : 0;
}

/* Whether the guest kept it waiting for too long. */
static bool client_has_waited(const struct client *c)
{
	uint32_t limit = c->started ? c->options->answer_ms : c->options->start_ms;

	return limit && c->waits_since && now_ms() >= c->waits_since + limit;
}

static int client_run_once(struct client *c, struct arrow_error *error)
{
	enum { P_KEEPER, P_SIGNAL, P_STDIN, P_OUT };
	int wait = client_wait_time(c);
	struct pollfd p[P_OUT + 2] = {
		{c->keeper.fd, (short)(POLLIN | (channel_pending(&c->keeper) ? POLLOUT : 0)), 0},
		{c->signal_fd, POLLIN, 0},
		{client_takes_stdin(c) ? STDIN_FILENO : -1, POLLIN, 0},
	};
	int r = 0;

	for (int i = 0; i < 2; i++) {
		p[P_OUT + i].fd = c->out[i].start < c->out[i].end ? c->out[i].fd : -1;
		p[P_OUT + i].events = POLLOUT;
	}
	if (poll(p, P_OUT + 2, wait) < 0)
		return errno == EINTR ? 0 : arrow_fail(error, errno, "cannot wait: %m");

	for (int i = 0; i < 2 && r == 0; i++)
		if (p[P_OUT + i].revents)
			r = output_write(c, &c->out[i]);
	if (r == 0 && p[P_STDIN].revents)
		r = client_read_stdin(c);
	if (r == 0 && p[P_SIGNAL].revents)
		r = client_handle_signal(c);
	if (r < 0)
		return arrow_fail(error, -r, "the keeper of this Arrow does not read: %m");

	if (c->leave_by && now_ms() >= c->leave_by)
		c->ended = true;

	/* A keeper that is gone is found by reading, which also finds its last words. */
	if (channel_flush(&c->keeper) < 0)
		p[P_KEEPER].revents |= POLLHUP;
	if (p[P_KEEPER].revents & (POLLIN | POLLHUP | POLLERR))
		r = client_handle_frames(c, error);
	if (r == 0 && !c->ended && !c->leave_by && client_has_waited(c))
		return arrow_fail(error, ETIMEDOUT,
			"the Arrow did not %s within %u s; is it paused?",
			c->started ? "answer" : "start the process",
			(c->started ? c->options->answer_ms : c->options->start_ms) / 1000);
	return r;
}

/* The end was told; the last output may still be on its way to a slow reader. */
static void client_write_rest(struct client *c)
{
	for (int i = 0; i < 2; i++) {
		struct output *o = &c->out[i];

		while (o->start < o->end && !o->broken) {
			ssize_t n = write(o->fd, o->data + o->start, o->end - o->start);

			if (n < 0 && errno != EINTR && errno != EAGAIN)
				break;
			if (n < 0) { /* someone made it non-blocking */
				struct pollfd p = {o->fd, POLLOUT, 0};

				poll(&p, 1, -1);
			} else {
				o->start += (size_t)n;
			}
		}
	}
}

int client_parse_keys(const char *text, uint8_t keys[CLIENT_KEYS_MAX], struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *key;
	int n = 0;

	while (rest && (key = strsep(&rest, ","))) {
		unsigned char c = (unsigned char)key[strlen(key) - (*key != '\0')];
		bool ctrl = strncmp(key, "ctrl-", 5) == 0 && strlen(key) == 6;

		if (c >= 'a' && c <= 'z' && ctrl)
			c = (unsigned char)(c - 'a' + 1);
		else if (ctrl && (c == '@' || (c >= '[' && c <= '_')))
			c = (unsigned char)(c - '@');
		else if (strlen(key) != 1)
			n = CLIENT_KEYS_MAX;
		if (n >= CLIENT_KEYS_MAX)
			return arrow_fail(error, EINVAL,
				"--detach-keys takes 1 to %d keys such as ctrl-p,ctrl-q or a,b, not '%s'",
				CLIENT_KEYS_MAX, text);
		keys[n++] = c;
	}
	return n;
}

uint32_t client_streams(const struct arrow_attach *how)
{
	return (how->input ? 1u : 0) | (how->output && !how->no_stdout ? 2u : 0) |
	       (how->output && !how->no_stderr ? 4u : 0);
}

static int client_init(struct client *c, int fd, struct arrow_error *error)
{
	const char *keys = c->options->detach_keys;
	int r = channel_init(&c->keeper, fd);

	if (r == 0)
		r = output_init(&c->out[0], c->options->process, STDOUT_FILENO);
	if (r == 0)
		r = output_init(&c->out[1], c->options->process, STDERR_FILENO);
	if (r == 0) {
		c->signal_fd = c->options->signal_fd      ? c->options->signal_fd
			       : c->options->take_signals ? c->options->take_signals()
							  : -1;
		r = c->options->take_signals && c->signal_fd < 0 ? c->signal_fd : 0;
	}
	if (r < 0)
		return arrow_fail(error, -r, "cannot attach to the Arrow: %m");
	if (c->spec->process.tty && c->options->input) {
		r = client_parse_keys(keys && *keys ? keys : "ctrl-p,ctrl-q", c->keys, error);
		if (r < 0)
			return r;
		c->n_keys = (size_t)r;
	}
	if (c->options->attach &&
		channel_send_u32(&c->keeper, ARROW_CONTROL, ARROW_ATTACH,
			(c->options->input ? 1u : 0) | (c->options->output ? 6u : 0)) < 0)
		return arrow_fail(error, EPIPE, "cannot attach to the Arrow");
	return 0;
}

int client_run(int fd, const struct client_options *options, int *status, bool *detached,
	struct arrow_error *error)
{
	struct client c = {
		.options = options, .spec = options->spec, .signal_fd = -1, .credit = ARROW_WINDOW};
	int r = client_init(&c, fd, error);

	while (r == 0 && !c.ended)
		r = client_run_once(&c, error);

	if (c.started)
		client_write_rest(&c);
	if (c.raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &c.saved);
	if (c.raw && c.detached && isatty(STDOUT_FILENO))
		(void)!write(STDOUT_FILENO, "\r\n", 2); /* the shell begins on a line of its own */
	c.raw = false;
	if (c.out_of_memory && options->output)
		client_note(&c,
			"out of memory: the program was killed at %llu MiB; give it more with -m",
			(unsigned long long)(c.spec->limits.memory >> 20));
	if (r == 0)
		*status = c.status;
	*detached = c.detached;
	close_keep_errno(c.signal_fd);
	free(c.out[0].data);
	free(c.out[1].data);
	channel_release(&c.keeper);
	return r;
}
