// SPDX-License-Identifier: Apache-2.0
/*
 * The commands that are connected to a keeper. Each gets the output that it takes part in, and the
 * guest gets credit only for what all of them have passed on: so none needs a buffer of more than a
 * window a stream. Their input goes to the program in the order in which it comes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/keeper/state.h"
#include "util/cleanup.h"
#include "util/io.h"

struct peer *peer_add(struct keeper *k, int fd)
{
	struct peer *peer = k->n_peers < PEERS_MAX ? calloc(1, sizeof(*peer)) : NULL;

	if (!peer) {
		close(fd);
		return NULL;
	}
	if (channel_init(&peer->channel, fd) < 0) {
		channel_release(&peer->channel);
		free(peer);
		return NULL;
	}
	peer->moved = now_ms();
	k->peers[k->n_peers++] = peer;
	return peer;
}

void peer_remove(struct keeper *k, struct peer *peer)
{
	unsigned int i = 0;

	execs_peer_gone(k, peer);
	while (k->peers[i] != peer)
		i++;
	k->peers[i] = k->peers[--k->n_peers];
	if (k->snapshot.peer == peer)
		k->snapshot.peer = NULL;
	channel_release(&peer->channel);
	free(peer->held);
	free(peer);
}

void peer_send(struct keeper *k, struct peer *peer, uint16_t stream, uint16_t type,
	const void *payload, size_t length)
{
	/* Its end of the socket is found closed at the next turn. */
	if (!peer->closing && channel_send(&peer->channel, stream, type, payload, length) < 0)
		shutdown(peer->channel.fd, SHUT_RDWR);
}

void peer_answer(struct keeper *k, struct peer *peer, uint32_t request, int err, const char *text)
{
	uint8_t payload[8 + ARROW_TEXT_MAX];
	size_t length = text ? strlen(text) : 0;

	if (length > ARROW_TEXT_MAX)
		length = ARROW_TEXT_MAX;
	arrow_put32(payload, request);
	arrow_put32(payload + 4, (uint32_t)err);
	if (length)
		memcpy(payload + 8, text, length);
	if (peer->waits_for == request)
		peer->waits_for = 0;
	peer_send(k, peer, ARROW_CONTROL, ARROW_ANSWER, payload, 8 + length);
}

void peers_tell(struct keeper *k, uint16_t type, const void *payload, size_t length)
{
	for (unsigned int i = 0; i < k->n_peers; i++)
		peer_send(k, k->peers[i], ARROW_CONTROL, type, payload, length);
}

void peers_output(struct keeper *k, unsigned int fd, const void *data, size_t length)
{
	for (unsigned int i = 0; i < k->n_peers; i++) {
		struct peer *peer = k->peers[i];

		if (!(peer->streams & (1u << fd)))
			continue;
		/* The time that it may take begins when there is something to take. */
		if (peer->acked[fd - 1] + length == k->received[fd - 1])
			peer->moved = now_ms();
		peer_send(k, peer, ARROW_STREAM(1, fd), ARROW_DATA, data, length);
	}
}

static uint64_t in_flight(const struct keeper *k, const struct peer *peer)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < 2; i++)
		if (peer->streams & (2u << i))
			sum += k->received[i] - peer->acked[i];
	return sum;
}

uint64_t peers_in_flight(const struct keeper *k)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < k->n_peers; i++)
		sum += in_flight(k, k->peers[i]);
	return sum;
}

void peers_check_stalls(struct keeper *k)
{
	uint64_t now = now_ms();

	for (unsigned int i = 0; i < k->n_peers; i++) {
		struct peer *peer = k->peers[i];

		/* A program in the foreground waits for its terminal or pipe, as any does. */
		if (peer->bound || peer->exec || now - peer->moved < STALL_DEADLINE_MS)
			continue;
		if (channel_pending(&peer->channel) || (!peer->closing && in_flight(k, peer) > 0))
			peer_remove(k, k->peers[i--]);
	}
}

/* The room for stdin is on the guest's side; without any, it is held here. */
static void hold(struct keeper *k, struct peer *peer, const uint8_t *data, size_t size)
{
	if (!peer->held)
		peer->held = malloc(ARROW_WINDOW);
	if (peer->held && size > ARROW_WINDOW - peer->held_end) {
		memmove(peer->held, peer->held + peer->held_start,
			peer->held_end - peer->held_start);
		peer->held_end -= peer->held_start;
		peer->held_start = 0;
	}
	if (!peer->held || size > ARROW_WINDOW - peer->held_end) {
		shutdown(peer->channel.fd, SHUT_RDWR); /* it sent more than it may */
		return;
	}
	memcpy(peer->held + peer->held_end, data, size);
	peer->held_end += size;
}

static void peer_stdin(struct keeper *k, struct peer *peer)
{
	while (peer->held_start < peer->held_end) {
		size_t n = peer->held_end - peer->held_start;

		if (n > ARROW_FRAME_MAX)
			n = ARROW_FRAME_MAX;
		if (n > k->stdin_room)
			n = k->stdin_room;
		if (k->stdin_closed)
			n = peer->held_end - peer->held_start; /* nobody takes it */
		else if (n == 0 || !channel_has_room(&k->guest, n) ||
			 channel_send(&k->guest, ARROW_STREAM(1, 0), ARROW_DATA,
				 peer->held + peer->held_start, n) < 0)
			break;
		else
			k->stdin_room -= n;
		peer->held_start += n;
		peer->owed += (uint32_t)n;
	}
	if (peer->owed >= ARROW_WINDOW / 4) {
		uint8_t payload[4];

		arrow_put32(payload, peer->owed);
		peer_send(k, peer, ARROW_STREAM(1, 0), ARROW_CREDIT, payload, sizeof(payload));
		peer->owed = 0;
	}
	if (peer->held_eof && peer->held_start == peer->held_end && !k->stdin_closed &&
		channel_send(&k->guest, ARROW_STREAM(1, 0), ARROW_EOF, NULL, 0) == 0)
		k->stdin_closed = true;
}

void peers_stdin(struct keeper *k)
{
	if (k->guest.fd < 0 || !k->started || keeper_frozen(k))
		return;
	for (unsigned int i = 0; i < k->n_peers; i++)
		peer_stdin(k, k->peers[i]);
}

static void stdin_frame(
	struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	if (!(peer->streams & 1) || !k->config->spec->process.interactive)
		return;
	if (f.type == ARROW_DATA)
		hold(k, peer, payload, f.length);
	else if (f.type == ARROW_EOF && k->config->spec->process.stdin_once)
		peer->held_eof = true;
}

static void output_frame(struct keeper *k, struct peer *peer, unsigned int fd, struct arrow_frame f,
	const uint8_t *payload)
{
	uint64_t *acked = &peer->acked[fd - 1], passed = k->received[fd - 1] - *acked;

	if (!(peer->streams & (1u << fd)))
		return;
	peer->moved = now_ms();
	if (k->phase == ENDING && !k->stopping) /* a slow reader is not a stuck guest */
		keeper_phase(k, ENDING, DONE_DEADLINE_MS);
	if (f.type == ARROW_CREDIT && f.length == 4) {
		*acked += arrow_get32(payload) < passed ? arrow_get32(payload) : passed;
		return;
	}
	if (f.type != ARROW_CLOSED)
		return;
	peer->streams &= ~(1u << fd);
	/* A pipe of the foreground that breaks, breaks for the program. */
	if (peer->bound && k->guest.fd >= 0 &&
		channel_send(&k->guest, f.stream, ARROW_CLOSED, NULL, 0) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

static void peer_frame(
	struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);

	if (f.stream == ARROW_CONTROL)
		keeper_request(k, peer, f, payload);
	else if (ARROW_STREAM_PROCESS(f.stream) != 1)
		execs_peer_frame(k, peer, f, payload);
	else if (fd == 0)
		stdin_frame(k, peer, f, payload);
	else if (fd <= 2)
		output_frame(k, peer, fd, f, payload);
}

void peer_receive(struct keeper *k, struct peer *peer)
{
	struct arrow_frame frame;
	const uint8_t *payload;
	int r;

	while (!peer->closing && !keeper_frozen(k) &&
		(k->guest.fd < 0 || channel_has_room(&k->guest, ARROW_FRAME_MAX))) {
		r = channel_next(&peer->channel, &frame, &payload);
		if (r < 0)
			shutdown(peer->channel.fd, SHUT_RDWR); /* it sends nonsense */
		if (r <= 0)
			return;
		peer_frame(k, peer, frame, payload);
	}
}
