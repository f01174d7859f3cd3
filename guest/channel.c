// SPDX-License-Identifier: Apache-2.0
#include "guest/channel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* read(), with 0 for "nothing now": EAGAIN, or no host at the other end, who may yet come. */
static int channel_read(struct channel *channel, void *data, size_t size)
{
	ssize_t n;

	do {
		n = read(channel->fd, data, size);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return (int)n;
	channel->readable = false;
	return n == 0 || errno == EAGAIN ? 0 : -errno;
}

static int channel_take_header(struct channel *channel)
{
	int n = channel_read(
		channel, channel->header + channel->have, ARROW_FRAME_HEADER - channel->have);

	if (n <= 0)
		return n;
	channel->have += (uint32_t)n;
	if (channel->have == ARROW_FRAME_HEADER) {
		int r = arrow_frame_decode(channel->header, &channel->frame);

		if (r < 0)
			return r;
		channel->left = channel->frame.length;
	}
	return n;
}

static int channel_take_payload(struct channel *channel, const struct channel_sink *sink)
{
	size_t size = 0;
	uint8_t *to = sink->room(sink->arg, &channel->frame, &size);
	int n = channel_read(channel, to, size < channel->left ? size : channel->left);

	if (n > 0) {
		sink->took(sink->arg, &channel->frame, (size_t)n);
		channel->left -= (uint32_t)n;
	}
	return n;
}

int channel_receive(struct channel *channel, const struct channel_sink *sink, size_t budget)
{
	size_t done = 0;

	while (channel->readable && done < budget) {
		bool in_header = channel->have < ARROW_FRAME_HEADER;
		int n = in_header ? channel_take_header(channel)
				  : channel_take_payload(channel, sink);

		if (n < 0)
			return n;
		done += (size_t)n;
		if (channel->have == ARROW_FRAME_HEADER && channel->left == 0) {
			channel->have = 0;
			n = sink->end(sink->arg, &channel->frame);
			if (n < 0)
				return n;
		}
	}
	return (int)done;
}

int channel_send(struct channel *channel)
{
	int done = 0;

	while (channel->writable && channel->head < channel->tail) {
		size_t size = channel->tail - channel->head;
		ssize_t n = write(channel->fd, channel->queue + channel->head, size);

		/* The driver copies each write into memory of the kernel. A little is there yet. */
		if (n < 0 && errno == ENOMEM && size > 512)
			n = write(channel->fd, channel->queue + channel->head, 512);
		if (n > 0) {
			channel->head += (uint32_t)n;
			done += (int)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOMEM)
			return done;
		channel->writable = false;
		if (n < 0 && errno != EAGAIN)
			return -errno;
	}
	if (channel->head == channel->tail)
		channel->head = channel->tail = 0;
	return done;
}

/* Where a frame with `size` bytes may go that leaves `reserve` bytes free, or NULL. */
static uint8_t *channel_queue_room(struct channel *channel, size_t size, size_t reserve)
{
	size_t need = ARROW_FRAME_HEADER + size + reserve;

	if (channel->head > 0 && need > CHANNEL_QUEUE - channel->tail) {
		channel->tail -= channel->head;
		memmove(channel->queue, channel->queue + channel->head, channel->tail);
		channel->head = 0;
	}
	return need <= CHANNEL_QUEUE - channel->tail ? channel->queue + channel->tail : NULL;
}

static int channel_queue(struct channel *channel, uint16_t stream, uint16_t type,
	const void *payload, size_t size, size_t reserve)
{
	uint8_t *to = channel_queue_room(channel, size, reserve);

	if (!to)
		return -ENOBUFS;
	arrow_frame_encode(
		to, (struct arrow_frame){.stream = stream, .type = type, .length = (uint32_t)size});
	if (size > 0)
		memcpy(to + ARROW_FRAME_HEADER, payload, size);
	channel->tail += ARROW_FRAME_HEADER + (uint32_t)size;
	return 0;
}

int channel_put(
	struct channel *channel, uint16_t stream, uint16_t type, const void *payload, size_t size)
{
	return channel_queue(channel, stream, type, payload, size, 0);
}

int channel_offer(
	struct channel *channel, uint16_t stream, uint16_t type, const void *payload, size_t size)
{
	return channel_queue(channel, stream, type, payload, size, CHANNEL_LIFE);
}

int channel_put_from(struct channel *channel, uint16_t stream, int fd, size_t max)
{
	size_t size = max < CHANNEL_PAYLOAD ? max : CHANNEL_PAYLOAD;
	uint8_t *to = channel_queue_room(channel, size, CHANNEL_RESERVE);
	ssize_t n;

	if (!to)
		return -ENOBUFS;
	do {
		n = read(fd, to + ARROW_FRAME_HEADER, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n > 0) {
		arrow_frame_encode(
			to, (struct arrow_frame){
				    .stream = stream, .type = ARROW_DATA, .length = (uint32_t)n});
		channel->tail += ARROW_FRAME_HEADER + (uint32_t)n;
	}
	return (int)n;
}
