// SPDX-License-Identifier: Apache-2.0
#include "guest/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/tty.h"
#include "util/cleanup.h"

/* Credit goes back in portions of this: rarely, and before the host runs dry. */
#define CREDIT_PORTION (ARROW_WINDOW / 4)

struct process *stream_process(struct loader *loader, uint32_t number)
{
	if (number < 1 || number > ARROW_PROCESSES || !loader->processes[number - 1].used)
		return NULL;
	return &loader->processes[number - 1];
}

static int stream_watch_fd(struct loader *loader, int fd, uint32_t events, uint16_t stream)
{
	struct epoll_event event = {.events = events | EPOLLET, .data.u64 = stream};

	return epoll_ctl(loader->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int stream_watch(struct loader *loader, uint32_t number)
{
	struct process *p = stream_process(loader, number);
	int r = 0;

	if (p->tty >= 0)
		return stream_watch_fd(loader, p->tty, EPOLLIN | EPOLLOUT, ARROW_STREAM(number, 1));
	if (p->in.fd >= 0)
		r = stream_watch_fd(loader, p->in.fd, EPOLLOUT, ARROW_STREAM(number, 0));
	for (uint16_t fd = 1; r == 0 && fd <= 2 && !(number == PROGRAM && loader->stage.watched);
		fd++)
		r = stream_watch_fd(loader, p->out[fd - 1].fd, EPOLLIN, ARROW_STREAM(number, fd));
	return r;
}

void stream_ready(struct loader *loader, uint16_t stream, uint32_t events)
{
	struct process *p = stream_process(loader, ARROW_STREAM_PROCESS(stream));
	uint32_t fd = ARROW_STREAM_FD(stream);

	if (!p)
		return;
	if (fd == 0 || p->tty >= 0) {
		p->in.writable = true;
		if (fd == 0 && (events & EPOLLERR))
			p->in.gone = true;
	}
	if (fd != 0) {
		p->out[fd - 1].readable = true;
		if (events & (EPOLLHUP | EPOLLERR))
			p->out[fd - 1].hung_up = true;
	}
}

int stream_expect(struct loader *loader)
{
	struct input *in = &loader->processes[PROGRAM - 1].in;

	in->ring = mmap(
		NULL, ARROW_WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (in->ring != MAP_FAILED)
		return 0;
	in->ring = NULL;
	return -errno;
}

/* The input behind a stream, if there is one: from stream_expect() on, or a process. */
static struct input *stream_is_input_behind(struct loader *loader, uint16_t stream)
{
	uint32_t number = ARROW_STREAM_PROCESS(stream);
	struct process *p = stream_process(loader, number);

	if (ARROW_STREAM_FD(stream) != 0)
		return NULL;
	if (p)
		return &p->in;
	return number == PROGRAM && loader->processes[PROGRAM - 1].in.ring
		       ? &loader->processes[PROGRAM - 1].in
		       : NULL;
}

/* The input that a DATA frame goes to, if anybody takes it. */
static struct input *stream_find_input(struct loader *loader, const struct arrow_frame *frame)
{
	struct input *in =
		frame->type == ARROW_DATA ? stream_is_input_behind(loader, frame->stream) : NULL;

	return in && in->ring && !in->ended && in->length < ARROW_WINDOW ? in : NULL;
}

static bool stream_is_job(const struct loader *loader, const struct arrow_frame *frame)
{
	return frame->stream == ARROW_CONTROL && frame->type == ARROW_JOB &&
	       (loader->life == LIFE_WAIT || loader->held);
}

/* The number in front of the payload of EXEC has come: the rest are records. */
static bool stream_is_exec(const struct loader *loader, const struct arrow_frame *frame)
{
	return frame->stream == ARROW_CONTROL && frame->type == ARROW_EXEC &&
	       loader->control_size >= ARROW_EXEC_HEAD;
}

/* The process that an EXEC names, or 0: its head has come. */
static uint32_t exec_number(const struct loader *loader)
{
	struct arrow_exec_piece piece;

	return arrow_exec_decode(loader->control, ARROW_EXEC_HEAD, &piece) < 0 ? 0 : piece.process;
}

/* Where the next records of the process go that an EXEC names, or NULL. */
static uint8_t *exec_room(struct loader *loader, size_t *size)
{
	struct process *p = process_vacant(loader->processes, exec_number(loader));

	return p ? records_room(&p->records, ARROW_EXEC_MAX, size) : NULL;
}

static void exec_took(struct loader *loader, size_t size)
{
	struct process *p = process_vacant(loader->processes, exec_number(loader));

	if (p && !p->records.overflow)
		p->records.size += size;
}

static uint8_t *sink_room(void *arg, const struct arrow_frame *frame, size_t *size)
{
	struct loader *loader = arg;
	struct input *in = stream_find_input(loader, frame);
	uint8_t *to;

	if (in) {
		uint32_t end = (in->start + in->length) % ARROW_WINDOW;
		uint32_t straight = ARROW_WINDOW - end;

		*size = ARROW_WINDOW - in->length;
		if (*size > straight)
			*size = straight;
		return in->ring + end;
	}
	if (stream_is_job(loader, frame)) {
		to = records_room(&loader->records, ARROW_JOB_MAX, size);
		if (to)
			return to;
	} else if (stream_is_exec(loader, frame)) {
		to = exec_room(loader, size);
		if (to)
			return to;
	} else if (frame->type == ARROW_EXEC) {
		*size = ARROW_EXEC_HEAD - loader->control_size;
		return loader->control + loader->control_size;
	} else if (frame->type != ARROW_DATA && loader->control_size < sizeof(loader->control)) {
		*size = sizeof(loader->control) - loader->control_size;
		return loader->control + loader->control_size;
	}
	*size = sizeof(loader->dropped);
	return loader->dropped;
}

static void sink_took(void *arg, const struct arrow_frame *frame, size_t size)
{
	struct loader *loader = arg;
	struct input *in = stream_find_input(loader, frame);

	if (in)
		in->length += (uint32_t)size;
	else if (stream_is_job(loader, frame) && !loader->records.overflow)
		loader->records.size += size;
	else if (stream_is_exec(loader, frame))
		exec_took(loader, size);
	else if (frame->type != ARROW_DATA && loader->control_size < sizeof(loader->control))
		loader->control_size += size;
}

static int sink_end(void *arg, const struct arrow_frame *frame)
{
	struct loader *loader = arg;
	struct process *p = stream_process(loader, ARROW_STREAM_PROCESS(frame->stream));
	struct input *in = stream_is_input_behind(loader, frame->stream);
	uint32_t fd = ARROW_STREAM_FD(frame->stream);
	uint32_t more;

	loader->control_size = 0;
	if (frame->stream == ARROW_CONTROL) {
		loader->take_control(loader, frame);
		return 0;
	}
	if (in && frame->type == ARROW_EOF)
		in->ended = true;
	if (!p || fd > 2)
		return 0;
	if (frame->type == ARROW_CLOSED && fd != 0) {
		p->out[fd - 1].unwanted = true;
		p->out[fd - 1].readable = true;
	} else if (frame->type == ARROW_CREDIT && fd != 0 &&
		   arrow_credit_decode(loader->control, frame->length, &more) == 0) {
		struct output *out = &p->out[fd - 1];

		/* Never more than a window, whatever the host says. */
		out->credit = more < ARROW_WINDOW - out->credit ? out->credit + more : ARROW_WINDOW;
	}
	return 0;
}

struct channel_sink stream_sink(struct loader *loader)
{
	return (struct channel_sink){
		.room = sink_room, .took = sink_took, .end = sink_end, .arg = loader};
}

/* All of the host's bytes are passed on and it has no more. */
static void stream_end_input(struct process *p)
{
	int byte = p->tty >= 0 ? tty_eof_byte(p->tty) : -1;
	uint8_t eof = (uint8_t)byte;

	if (byte >= 0 && write(p->tty, &eof, 1) < 0 && errno == EAGAIN) {
		p->in.writable = false;
		return;
	}
	process_close_input(p);
}

static bool stream_pump_input(struct loader *loader, struct process *p, uint32_t number)
{
	struct input *in = &p->in;
	uint16_t stream = ARROW_STREAM(number, 0);
	uint8_t credit[ARROW_NUMBER_BYTES];
	bool moved = false;

	while (in->fd >= 0 && in->writable && !in->gone && in->length > 0) {
		uint32_t straight = ARROW_WINDOW - in->start;
		uint32_t size = in->length < straight ? in->length : straight;
		ssize_t n = write(in->fd, in->ring + in->start, size);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			in->gone = true;
		if (n < (ssize_t)size)
			in->writable = false;
		if (n <= 0)
			break;
		in->start = (in->start + (uint32_t)n) % ARROW_WINDOW;
		in->length -= (uint32_t)n;
		in->passed += (uint32_t)n;
		moved = true;
	}
	if (in->length == 0)
		in->start = 0; /* so that little input touches little memory */
	if (in->fd >= 0 && in->gone) {
		process_close_input(p);
		in->tell = true;
	}
	if (in->fd >= 0 && in->ended && in->length == 0 && in->writable)
		stream_end_input(p);
	if (in->tell && channel_offer(&loader->channel, stream, ARROW_CLOSED, NULL, 0) == 0)
		in->tell = false;
	arrow_number_encode(credit, in->passed);
	if (in->passed >= CREDIT_PORTION &&
		channel_offer(&loader->channel, stream, ARROW_CREDIT, credit, sizeof(credit)) == 0)
		in->passed = 0;
	return moved;
}

static void stream_close_output(struct process *p, struct output *out, bool kept)
{
	if (p->tty >= 0 && p->in.fd >= 0)
		process_close_input(p);
	if (out->fd == p->tty)
		p->tty = -1;
	if (kept)
		out->fd = -1;
	close_keep_errno(steal_fd(&out->fd));
	out->tell = true;
}

/* One read: a frame at most, so that no stream waits for another. */
static bool stream_read_output(struct loader *loader, struct process *p, uint16_t stream)
{
	struct output *out = &p->out[ARROW_STREAM_FD(stream) - 1];
	uint32_t want = out->credit < CHANNEL_PAYLOAD ? out->credit : CHANNEL_PAYLOAD;
	int n;

	if (out->unwanted) {
		/* A pipe breaks, as it would without Arrow; a terminal is emptied. */
		n = 0;
		if (p->tty >= 0) {
			want = sizeof(loader->dropped);
			n = (int)read(out->fd, loader->dropped, want);
			n = n < 0 ? -errno : n;
		}
	} else if (want > 0) {
		n = channel_put_from(&loader->channel, stream, out->fd, want);
		if (n > 0)
			out->credit -= (uint32_t)n;
	} else {
		return false;
	}
	if (n == -ENOBUFS)
		return false;
	if (n == 0 || (n < 0 && n != -EAGAIN)) {
		/*
		 * Of the program a pipe that nobody has the other end of stays as it is, and a
		 * terminal when it is gone: nobody sees them closed, and the VM ends with it.
		 */
		stream_close_output(p, out,
			ARROW_STREAM_PROCESS(stream) == PROGRAM && !out->unwanted &&
				(p->tty < 0 || !p->alive));
		return true;
	}
	/* A short read has emptied a pipe. The end of it is another event, unless it has come. */
	if (n < 0 || (n < (int)want && p->tty < 0 && !out->hung_up))
		out->readable = false;
	return n > 0;
}

static bool stream_pump_output(struct loader *loader, struct process *p, uint16_t stream)
{
	struct output *out = &p->out[ARROW_STREAM_FD(stream) - 1];
	bool moved = false;

	if (out->fd >= 0 && out->readable)
		moved = stream_read_output(loader, p, stream);
	if (out->tell && channel_offer(&loader->channel, stream, ARROW_EOF, NULL, 0) == 0)
		out->tell = false;
	return moved;
}

bool stream_pump(struct loader *loader)
{
	bool moved = false;

	for (uint32_t number = 1; number <= loader->top; number++) {
		struct process *p = stream_process(loader, number);

		if (!p)
			continue;
		moved |= stream_pump_input(loader, p, number);
		moved |= stream_pump_output(loader, p, ARROW_STREAM(number, 1));
		moved |= stream_pump_output(loader, p, ARROW_STREAM(number, 2));
	}
	return moved;
}

bool stream_retry(struct loader *loader)
{
	bool waits = false;

	for (uint32_t i = 0; i < loader->top; i++) {
		struct process *p = &loader->processes[i];

		if (p->used && p->tty >= 0 && p->in.fd >= 0 && !p->in.writable &&
			(p->in.length > 0 || p->in.ended)) {
			p->in.writable = true;
			waits = true;
		}
	}
	return waits;
}

void stream_process_ended(struct process *p)
{
	p->alive = false;
	process_close_input(p);
	p->in.tell = false;
	close_keep_errno(steal_fd(&p->slave));
	for (int i = 0; i < 2; i++)
		p->out[i].readable = true;
}

void stream_rebind(struct loader *loader, uint32_t number, const struct job *job)
{
	struct process *p = stream_process(loader, number);
	struct input *in = p ? &p->in : NULL;

	if (!p)
		return;
	if (number != PROGRAM) { /* whoever started it is not here */
		process_close_streams(p);
		free(p->records.data);
		free(p->failure);
		*p = (struct process){.tty = -1, .slave = -1};
		return;
	}
	/* What came from the other host and did not get to the program is not for this one. */
	in->start = in->length = in->passed = 0;
	in->tell = in->fd < 0 && (job->flags & ARROW_JOB_STDIN);
	in->ended = !(job->flags & ARROW_JOB_STDIN);
	in->writable = true;
	for (int i = 0; i < 2; i++) {
		struct output *out = &p->out[i];

		out->credit = ARROW_WINDOW;
		out->unwanted = false;
		out->readable = true;
		out->tell = out->fd < 0;
	}
	if (p->tty >= 0 && job->window.rows && job->window.columns)
		tty_resize(p->tty, job->window.rows, job->window.columns);
}

bool stream_drained(const struct loader *loader)
{
	for (uint32_t i = 0; i < loader->top; i++) {
		const struct process *p = &loader->processes[i];

		if (p->tell_start || p->tell_exit || p->failure)
			return false;
		for (int k = 0; p->used && k < 2; k++) {
			if (p->out[k].fd >= 0 || p->out[k].tell)
				return false;
		}
	}
	return true;
}

void stream_abandon(struct loader *loader)
{
	for (uint32_t i = 0; i < loader->top; i++) {
		struct process *p = &loader->processes[i];

		for (int k = 0; p->used && k < 2; k++) {
			/* The program's output is whole for whoever reads it, however late. */
			if (p->out[k].fd >= 0 && (i > 0 || !p->out[k].readable))
				stream_close_output(p, &p->out[k], false);
		}
	}
}
