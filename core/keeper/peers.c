// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/peers.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/io.h"

/* Request 0 is none: the connection itself is refused. */
static void peers_refuse(int fd)
{
	uint8_t frame[ARROW_FRAME_HEADER + ARROW_ANSWER_HEAD + ARROW_TEXT_MAX];
	char *text = (char *)frame + ARROW_FRAME_HEADER + ARROW_ANSWER_HEAD;
	int n = snprintf(text, ARROW_TEXT_MAX,
		"at most %d commands can be connected to an Arrow: wait for one to end", PEERS_MAX);
	uint32_t length = ARROW_ANSWER_HEAD + (uint32_t)n;

	arrow_frame_encode(frame, (struct arrow_frame){.type = ARROW_ANSWER, .length = length});
	arrow_answer_encode(frame + ARROW_FRAME_HEADER, 0, EAGAIN);
	/* A new socket has room for it; who has hung up does not mind. */
	(void)!send(fd, frame, ARROW_FRAME_HEADER + length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

struct peer *peers_add(struct peers *peers, int fd)
{
	struct peer *peer = peers->n < PEERS_MAX ? calloc(1, sizeof(*peer)) : NULL;

	if (!peer) {
		if (peers->n >= PEERS_MAX)
			peers_refuse(fd);
		close(fd);
		return NULL;
	}
	if (channel_init(&peer->channel, fd) < 0) {
		channel_release(&peer->channel);
		free(peer);
		return NULL;
	}
	peer->moved = now_ms();
	peers->v[peers->n++] = peer;
	return peer;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
	unsigned int i = 0;

	while (peers->v[i] != peer)
		i++;
	peers->v[i] = peers->v[--peers->n];
	channel_release(&peer->channel);
	free(peer->input.data);
	free(peer);
}

short peer_wanted_events(const struct peer *peer)
{
	const struct channel *c = &peer->channel;
	bool room = c->in_end - c->in_start < CHANNEL_IN_MAX;

	return (short)((room && !peer->gone ? POLLIN : 0) | (channel_pending(c) ? POLLOUT : 0));
}

void peer_fill(struct peer *peer)
{
	if (peer->gone || channel_fill(&peer->channel) == 0)
		return;
	peer->gone = true;
	peer->moved = now_ms();
}

bool peer_peek(struct peer *peer, struct arrow_frame *frame, const uint8_t **payload)
{
	int r = peer->closing ? 0 : channel_peek(&peer->channel, frame, payload);

	if (r < 0)
		shutdown(peer->channel.fd, SHUT_RDWR);
	return r > 0;
}

void peer_skip(struct peer *peer)
{
	channel_skip(&peer->channel);
}

void peer_send(
	struct peer *peer, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	/* The next turn finds that the socket is closed. */
	if (!peer->closing && channel_send(&peer->channel, stream, type, payload, length) < 0)
		shutdown(peer->channel.fd, SHUT_RDWR);
}

void peer_answer(struct peer *peer, uint32_t request, int err, const char *text)
{
	uint8_t payload[ARROW_ANSWER_HEAD + ARROW_TEXT_MAX];
	size_t length = text ? strlen(text) : 0;

	if (length > ARROW_TEXT_MAX)
		length = ARROW_TEXT_MAX;
	arrow_answer_encode(payload, request, (uint32_t)err);
	if (length)
		memcpy(payload + ARROW_ANSWER_HEAD, text, length);
	if (peer->waits_for == request)
		peer->waits_for = 0;
	peer_send(peer, ARROW_CONTROL, ARROW_ANSWER, payload, ARROW_ANSWER_HEAD + length);
}

bool peer_flush(struct peer *peer)
{
	return channel_flush(&peer->channel) == 0;
}

void peers_tell(struct peers *peers, uint16_t type, const void *payload, size_t length)
{
	for (unsigned int i = 0; i < peers->n; i++)
		peer_send(peers->v[i], ARROW_CONTROL, type, payload, length);
}

void peers_output(struct peers *peers, unsigned int fd, const void *data, size_t length)
{
	for (unsigned int i = 0; i < peers->n; i++) {
		struct peer *peer = peers->v[i];

		if (!(peer->streams & (1u << fd)))
			continue;
		/* The time that it may take begins when there is something to take. */
		if (peer->unread[fd - 1] == 0)
			peer->moved = now_ms();
		peer->unread[fd - 1] += length;
		peer_send(peer, ARROW_STREAM(1, fd), ARROW_DATA, data, length);
	}
}

void peer_credit(struct peer *peer, unsigned int fd, uint32_t bytes)
{
	uint64_t *unread = &peer->unread[fd - 1];

	*unread -= bytes < *unread ? bytes : *unread;
}

uint64_t peers_unread(const struct peers *peers, unsigned int fd)
{
	uint64_t most = 0;

	for (unsigned int i = 0; i < peers->n; i++) {
		const struct peer *peer = peers->v[i];

		if ((peer->streams & (1u << fd)) && peer->unread[fd - 1] > most)
			most = peer->unread[fd - 1];
	}
	return most;
}

static uint64_t peer_in_flight(const struct peer *peer)
{
	return (peer->streams & 2 ? peer->unread[0] : 0) +
	       (peer->streams & 4 ? peer->unread[1] : 0);
}

uint64_t peers_in_flight(const struct peers *peers)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < peers->n; i++)
		sum += peer_in_flight(peers->v[i]);
	return sum;
}

void peers_reset(struct peers *peers)
{
	for (unsigned int i = 0; i < peers->n; i++)
		peers->v[i]->unread[0] = peers->v[i]->unread[1] = 0;
}

void peer_hold_input(struct peer *peer, const uint8_t *data, size_t size)
{
	if (!peer->input.data)
		peer->input.data = malloc(ARROW_WINDOW);
	if (peer->input.data && size > ARROW_WINDOW - peer->input.end) {
		memmove(peer->input.data, peer->input.data + peer->input.start,
			peer->input.end - peer->input.start);
		peer->input.end -= peer->input.start;
		peer->input.start = 0;
	}
	if (!peer->input.data || size > ARROW_WINDOW - peer->input.end) {
		shutdown(peer->channel.fd, SHUT_RDWR);
		return;
	}
	memcpy(peer->input.data + peer->input.end, data, size);
	peer->input.end += size;
}

void peer_input_taken(struct peer *peer, size_t size)
{
	uint8_t payload[ARROW_NUMBER_BYTES];

	peer->input.start += size;
	peer->input.owed += (uint32_t)size;
	if (peer->input.owed < ARROW_WINDOW / 4)
		return;
	arrow_number_encode(payload, peer->input.owed);
	peer_send(peer, ARROW_STREAM(1, 0), ARROW_CREDIT, payload, sizeof(payload));
	peer->input.owed = 0;
}

struct peer *peers_find_stalled(const struct peers *peers)
{
	uint64_t now = now_ms();

	for (unsigned int i = 0; i < peers->n; i++) {
		struct peer *peer = peers->v[i];

		if (now - peer->moved < PEER_STALL_MS)
			continue;
		/* What it asked for last still waits for the guest. */
		if (peer->gone)
			return peer;
		/* A program in the foreground waits for its terminal or pipe, as any does. */
		if (peer->bound || peer->exec)
			continue;
		if (channel_pending(&peer->channel) || (!peer->closing && peer_in_flight(peer) > 0))
			return peer;
	}
	return NULL;
}
