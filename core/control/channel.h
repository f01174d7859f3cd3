/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CONTROL_CHANNEL_H
#define ARROW_CORE_CONTROL_CHANNEL_H

/*
 * One end of a channel of frames (protocol/protocol.h) over a non-blocking socket, with a bounded
 * buffer each way. Used by the keeper, towards guest and client, and by the client.
 */

#include <stdbool.h>
#include <stddef.h>

#include "protocol/frame.h"
#include "util/error.h"

/* Room for a window of each of stdout and stderr, and for control frames beside them. */
#define CHANNEL_OUT_MAX (2u * ARROW_WINDOW + 4u * ARROW_FRAME_MAX)
#define CHANNEL_IN_MAX (2u * (ARROW_FRAME_MAX + ARROW_FRAME_HEADER))

struct channel {
	int fd;
	uint8_t *in; /* CHANNEL_IN_MAX bytes */
	size_t in_start, in_end;
	uint8_t *out; /* CHANNEL_OUT_MAX bytes */
	size_t out_start, out_end;
};

/* Takes over the socket and makes it non-blocking. Returns 0 or a negative errno. */
int channel_init(struct channel *c, int fd) ARROW_MUST_CHECK;

void channel_release(struct channel *c);

/*
 * Reads what there is from the socket.
 * Returns 0, -EPIPE when the peer is gone (frames that came before are still to be taken).
 */
int channel_fill(struct channel *c) ARROW_MUST_CHECK;

/*
 * Takes the next whole frame. The payload stays valid until the next channel_fill().
 * Returns 1 with a frame, 0 when there is none, -EPROTO for a frame no honest peer sends.
 */
int channel_next(
	struct channel *c, struct arrow_frame *frame, const uint8_t **payload) ARROW_MUST_CHECK;

/* The same in two steps: shows the next whole frame and leaves it there; takes what was shown. */
int channel_peek(const struct channel *c, struct arrow_frame *frame,
	const uint8_t **payload) ARROW_MUST_CHECK;
void channel_skip(struct channel *c);

/* Whether a frame with so many bytes of payload can be sent now. */
bool channel_has_room(const struct channel *c, size_t length);

/*
 * Queues a frame.
 * Returns 0 or -ENOBUFS: nothing was queued, the caller asked too much of a peer that does not
 * read.
 */
int channel_send(struct channel *c, uint16_t stream, uint16_t type, const void *payload,
	size_t length) ARROW_MUST_CHECK;

/* The same for a payload of one number. */
int channel_send_u32(
	struct channel *c, uint16_t stream, uint16_t type, uint32_t value) ARROW_MUST_CHECK;

/* Whether something is queued, so that the socket must be polled for output. */
static inline bool channel_pending(const struct channel *c)
{
	return c->out_start < c->out_end;
}

/* Writes what the socket takes. Returns 0 or -EPIPE. */
int channel_flush(struct channel *c) ARROW_MUST_CHECK;

#endif
