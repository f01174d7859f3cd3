// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/guest_link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

int guest_link_open(struct guest_link *link, int fd)
{
	memset(link, 0, sizeof(*link));
	link->stdin_room = ARROW_WINDOW;
	return channel_init(&link->channel, fd);
}

void guest_link_release(struct guest_link *link)
{
	channel_release(&link->channel);
}

/* What came before can still be taken. */
static void link_hang_up(struct guest_link *link)
{
	close_keep_errno(steal_fd(&link->channel.fd));
}

bool guest_link_fill(struct guest_link *link)
{
	if (link->channel.fd < 0)
		return false;
	if (channel_fill(&link->channel) == 0)
		return true;
	link_hang_up(link);
	return false;
}

int guest_link_next(struct guest_link *link, struct arrow_frame *frame, const uint8_t **payload)
{
	return channel_next(&link->channel, frame, payload);
}

void guest_link_flush(struct guest_link *link)
{
	if (link->channel.fd >= 0 && channel_flush(&link->channel) < 0)
		link_hang_up(link);
}

bool guest_link_has_room(const struct guest_link *link)
{
	return link->channel.fd < 0 || channel_has_room(&link->channel, ARROW_FRAME_MAX);
}

int guest_link_send(
	struct guest_link *link, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	return link->channel.fd < 0 ? 0
				    : channel_send(&link->channel, stream, type, payload, length);
}

void guest_link_signal(struct guest_link *link, uint32_t signal)
{
	link->due.signals |= 1ull << (signal - 1);
}

void guest_link_resize(struct guest_link *link, const struct arrow_winsize *size)
{
	link->due.size = *size;
	link->due.winsize = true;
}

void guest_link_close_output(struct guest_link *link, unsigned int fd)
{
	link->due.closed[fd - 1] = true;
}

void guest_link_resume(struct guest_link *link)
{
	link->due.resume = true;
}

void guest_link_ask_time(struct guest_link *link)
{
	link->due.time = true;
}

/* Sends a frame that is due. Returns false without room. */
static bool link_send_if(struct guest_link *link, bool *due, uint16_t stream, uint16_t type,
	const void *payload, size_t length)
{
	if (*due && guest_link_send(link, stream, type, payload, length) < 0)
		return false;
	*due = false;
	return true;
}

static bool link_send_signals(struct guest_link *link)
{
	uint8_t payload[ARROW_SIGNAL_BYTES];

	for (uint32_t signal = 1; link->due.signals && signal <= ARROW_SIGNAL_MAX; signal++) {
		uint64_t bit = 1ull << (signal - 1);

		if (!(link->due.signals & bit))
			continue;
		arrow_signal_encode(payload, &(struct arrow_signal){1, signal});
		if (guest_link_send(link, ARROW_CONTROL, ARROW_SIGNAL, payload, sizeof(payload)) <
			0)
			return false;
		link->due.signals &= ~bit;
	}
	return true;
}

void guest_link_send_due(struct guest_link *link)
{
	uint8_t question[ARROW_TIME_BYTES], winsize[ARROW_WINSIZE_BYTES];

	arrow_time_encode(question, &(struct arrow_time){0});
	arrow_winsize_encode(winsize, &link->due.size);
	/* Signals come before RESUME, so that a program that is killed runs no more. */
	(void)(link_send_if(link, &link->due.winsize, ARROW_CONTROL, ARROW_WINSIZE, winsize,
		       sizeof(winsize)) &&
		link_send_if(
			link, &link->due.closed[0], ARROW_STREAM(1, 1), ARROW_CLOSED, NULL, 0) &&
		link_send_if(
			link, &link->due.closed[1], ARROW_STREAM(1, 2), ARROW_CLOSED, NULL, 0) &&
		link_send_signals(link) &&
		link_send_if(link, &link->due.resume, ARROW_CONTROL, ARROW_RESUME, NULL, 0) &&
		link_send_if(link, &link->due.time, ARROW_CONTROL, ARROW_TIME, question,
			sizeof(question)));
}

bool guest_link_send_job(struct guest_link *link, const struct arrow_job *job)
{
	if (link->channel.fd < 0)
		return false;
	while (link->job_sent < job->size) {
		size_t n = job->size - link->job_sent;

		if (n > ARROW_FRAME_MAX)
			n = ARROW_FRAME_MAX;
		if (guest_link_send(link, ARROW_CONTROL, ARROW_JOB, job->data + link->job_sent, n) <
			0)
			return false;
		link->job_sent += n;
	}
	return guest_link_send(link, ARROW_CONTROL, job->end, NULL, 0) == 0;
}

size_t guest_link_send_stdin(struct guest_link *link, const uint8_t *data, size_t size)
{
	size_t sent = 0;

	if (link->stdin_closed)
		return size; /* nobody takes it */
	while (sent < size && link->stdin_room > 0) {
		size_t n = size - sent;

		if (n > ARROW_FRAME_MAX)
			n = ARROW_FRAME_MAX;
		if (n > link->stdin_room)
			n = link->stdin_room;
		if (guest_link_send(link, ARROW_STREAM(1, 0), ARROW_DATA, data + sent, n) < 0)
			break;
		link->stdin_room -= n;
		sent += n;
	}
	return sent;
}

void guest_link_end_stdin(struct guest_link *link)
{
	if (!link->stdin_closed &&
		guest_link_send(link, ARROW_STREAM(1, 0), ARROW_EOF, NULL, 0) == 0)
		link->stdin_closed = true;
}

bool guest_link_take_stream(struct guest_link *link, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);
	uint32_t n;

	switch (f.type) {
	case ARROW_EOF:
		if (fd < 1 || fd > 2 || link->ended[fd - 1])
			return false;
		link->ended[fd - 1] = true;
		return true;
	case ARROW_CREDIT:
		if (fd != 0 || arrow_credit_decode(payload, f.length, &n) < 0 || n == 0 ||
			n > ARROW_WINDOW - link->stdin_room)
			return false;
		link->stdin_room += n;
		return true;
	case ARROW_CLOSED:
		if (fd != 0 || link->stdin_refused)
			return false;
		link->stdin_refused = link->stdin_closed = true;
		return true;
	default:
		return false;
	}
}

bool guest_link_receive_output(struct guest_link *link, unsigned int fd, size_t size)
{
	unsigned int i = fd - 1;

	if (size == 0 || link->ended[i])
		return false;
	if (link->received[i] + size - link->granted[i] > ARROW_WINDOW)
		return false;
	link->received[i] += size;
	return true;
}

void guest_link_grant(struct guest_link *link, unsigned int fd, uint64_t unread)
{
	uint64_t passed = link->received[fd - 1] - unread, *granted = &link->granted[fd - 1];

	/* Rarely, but before the guest runs dry; never more than half a window at once. */
	while (link->channel.fd >= 0 && passed - *granted >= ARROW_WINDOW / 4) {
		uint64_t n = passed - *granted;

		if (n > ARROW_WINDOW / 2)
			n = ARROW_WINDOW / 2;
		if (channel_send_u32(
			    &link->channel, ARROW_STREAM(1, fd), ARROW_CREDIT, (uint32_t)n) < 0)
			return; /* no room: at the next turn */
		*granted += n;
	}
}
