// SPDX-License-Identifier: Apache-2.0
#include "core/control/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int channel_init(struct channel *c, int fd)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->in = malloc(CHANNEL_IN_MAX);
	c->out = malloc(CHANNEL_OUT_MAX);
	if (!c->in || !c->out)
		return -ENOMEM;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

void channel_release(struct channel *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->in);
	free(c->out);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

int channel_fill(struct channel *c)
{
	if (c->in_start == c->in_end) {
		c->in_start = c->in_end = 0;
	} else if (c->in_end > CHANNEL_IN_MAX / 2) {
		memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
		c->in_end -= c->in_start;
		c->in_start = 0;
	}

	while (c->in_end < CHANNEL_IN_MAX) {
		size_t room = CHANNEL_IN_MAX - c->in_end;
		ssize_t n = recv(c->fd, c->in + c->in_end, room, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		if (n == 0)
			return -EPIPE;
		c->in_end += (size_t)n;
		if ((size_t)n < room)
			break; /* the socket is empty; poll says when it is not */
	}
	return 0;
}

int channel_peek(const struct channel *c, struct arrow_frame *frame, const uint8_t **payload)
{
	size_t have = c->in_end - c->in_start;

	if (have < ARROW_FRAME_HEADER)
		return 0;
	if (arrow_frame_decode(c->in + c->in_start, frame) < 0)
		return -EPROTO;
	if (have < ARROW_FRAME_HEADER + frame->length)
		return 0;
	*payload = c->in + c->in_start + ARROW_FRAME_HEADER;
	return 1;
}

void channel_skip(struct channel *c)
{
	struct arrow_frame frame;

	if (arrow_frame_decode(c->in + c->in_start, &frame) == 0)
		c->in_start += ARROW_FRAME_HEADER + frame.length;
}

int channel_next(struct channel *c, struct arrow_frame *frame, const uint8_t **payload)
{
	int r = channel_peek(c, frame, payload);

	if (r > 0)
		channel_skip(c);
	return r;
}

bool channel_has_room(const struct channel *c, size_t length)
{
	return CHANNEL_OUT_MAX - (c->out_end - c->out_start) >= ARROW_FRAME_HEADER + length;
}

int channel_send(
	struct channel *c, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	if (length > ARROW_FRAME_MAX || !channel_has_room(c, length))
		return -ENOBUFS;
	if (CHANNEL_OUT_MAX - c->out_end < ARROW_FRAME_HEADER + length) {
		memmove(c->out, c->out + c->out_start, c->out_end - c->out_start);
		c->out_end -= c->out_start;
		c->out_start = 0;
	}
	arrow_frame_encode(c->out + c->out_end,
		(struct arrow_frame){.stream = stream, .type = type, .length = (uint32_t)length});
	if (length > 0)
		memcpy(c->out + c->out_end + ARROW_FRAME_HEADER, payload, length);
	c->out_end += ARROW_FRAME_HEADER + length;
	return 0;
}

int channel_send_u32(struct channel *c, uint16_t stream, uint16_t type, uint32_t value)
{
	uint8_t payload[ARROW_NUMBER_BYTES];

	arrow_number_encode(payload, value);
	return channel_send(c, stream, type, payload, sizeof(payload));
}

int channel_flush(struct channel *c)
{
	while (channel_pending(c)) {
		ssize_t n =
			send(c->fd, c->out + c->out_start, c->out_end - c->out_start, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		c->out_start += (size_t)n;
	}
	c->out_start = c->out_end = 0;
	return 0;
}
