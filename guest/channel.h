/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_CHANNEL_H
#define ARROW_GUEST_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/frame.h"

/*
 * The loader's end of the control channel: frames over a file descriptor that does not block.
 *
 * Payloads are not copied in user space: what comes in is read straight to where it belongs, and
 * what the program writes is read straight into the queue that goes out. Readiness is edge
 * triggered: `readable` and `writable` are set by the event loop and cleared here on EAGAIN.
 */

/* The virtio console takes 32 KiB a write; header and payload together shall fit in one. */
#define CHANNEL_PAYLOAD (32768u - ARROW_FRAME_HEADER)
#define CHANNEL_RESERVE 8192u /* room that only control frames may use */
#define CHANNEL_LIFE 4096u    /* of these, what only frames of the program's life may use */
#define CHANNEL_QUEUE (3u * 32768u + CHANNEL_RESERVE)

struct channel {
	int fd;
	bool readable, writable;

	/* The frame that is coming in. */
	uint8_t header[ARROW_FRAME_HEADER];
	uint32_t have; /* bytes of the header */
	uint32_t left; /* bytes of the payload still to come */
	struct arrow_frame frame;

	/* What waits to go out: queue[head..tail). */
	uint32_t head, tail;
	uint8_t queue[CHANNEL_QUEUE];
};

/* Who takes the payloads. */
struct channel_sink {
	/* Where the next bytes of the payload belong, and in *size how many fit there, 1 at least.
	 */
	uint8_t *(*room)(void *arg, const struct arrow_frame *frame, size_t *size);
	/* So many bytes have been put there. */
	void (*took)(void *arg, const struct arrow_frame *frame, size_t size);
	/* The frame is whole. A negative errno ends channel_receive(). */
	int (*end)(void *arg, const struct arrow_frame *frame);
	void *arg;
};

/*
 * Takes in frames until nothing is there or about `budget` bytes are read. Returns the bytes that
 * were read, -EPROTO for a frame that no honest peer sends, or what the sink or read() returned.
 */
int channel_receive(struct channel *channel, const struct channel_sink *sink, size_t budget);

/* Writes out what waits. Returns the bytes that were written or a negative errno. */
int channel_send(struct channel *channel);

/* Queues a frame. Returns 0, or -ENOBUFS when not even the reserve has room for it. */
int channel_put(
	struct channel *channel, uint16_t stream, uint16_t type, const void *payload, size_t size);

/*
 * The same for frames that can wait and be tried again: leaves room for those of the program's
 * life, which cannot.
 */
int channel_offer(
	struct channel *channel, uint16_t stream, uint16_t type, const void *payload, size_t size);

/*
 * Reads from fd into the queue, as one DATA frame of at most `max` bytes. Returns what read()
 * does, with a negative errno; -ENOBUFS when there is no room now.
 */
int channel_put_from(struct channel *channel, uint16_t stream, int fd, size_t max);

static inline bool channel_idle(const struct channel *channel)
{
	return channel->head == channel->tail;
}

#endif
