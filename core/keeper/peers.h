/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_PEERS_H
#define ARROW_CORE_KEEPER_PEERS_H

/*
 * The commands that are connected to a keeper. This part queues frames for them and returns whole
 * frames from them; what a frame means is up to requests.c.
 *
 * Each command gets the output of the streams that it takes part in. The guest gets credit only for
 * what all of them have passed on, so no command needs a buffer of more than a window per stream.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/channel.h"

#define PEERS_MAX 300        /* commands at once: one for each process, and some more */
#define PEER_STALL_MS 30000u /* a command that takes none of its output for so long is dropped */

struct exec;

/* A command that is connected. */
struct peer {
	struct channel channel;
	bool bound;           /* the Arrow ends with it */
	bool closing;         /* removed once everything is sent; its frames are ignored */
	bool gone;            /* it has hung up; frames that came before are still to be taken */
	unsigned int streams; /* bit n: it takes part in fd n of process 1 */
	struct exec *exec;    /* the process beside the program that it started, or NULL */
	uint32_t waits_for;   /* a STOP or RESTART that is not answered yet, or 0 */
	uint64_t unread[2];   /* bytes of stdout and stderr that it has not passed on */
	uint64_t moved;       /* ms: when it last took something */

	/* Its stdin that the guest has no room for yet. */
	struct {
		uint8_t *data; /* ARROW_WINDOW bytes, allocated when needed */
		size_t start, end;
		bool eof;      /* EOF follows */
		uint32_t owed; /* credit not returned yet */
	} input;
};

struct peers {
	struct peer *v[PEERS_MAX];
	unsigned int n;
};

/* Adds a command by its socket, taken over. Returns NULL if there are too many, or no memory. */
struct peer *peers_add(struct peers *peers, int fd);

/* Closes the connection and frees the peer. */
void peers_remove(struct peers *peers, struct peer *peer);

/* What to poll the socket for; 0: leave it out, as a socket with a hang-up is always ready. */
short peer_wanted_events(const struct peer *peer);

/* Reads from the socket, as far as there is room; sets `gone` once the command has hung up. */
void peer_fill(struct peer *peer);

/*
 * The next whole frame, which stays until peer_skip(). The payload is valid until then.
 * Returns false if there is none, or what comes is no frame: then the connection is shut down.
 */
bool peer_peek(struct peer *peer, struct arrow_frame *frame, const uint8_t **payload);
void peer_skip(struct peer *peer);

/* Queues a frame. A command that left no room for it does not read, and is shut down. */
void peer_send(
	struct peer *peer, uint16_t stream, uint16_t type, const void *payload, size_t length);

/* Queues the answer to a request. err is a positive errno with a text, or 0. */
void peer_answer(struct peer *peer, uint32_t request, int err, const char *text);

/* Writes as much as the socket takes. Returns false if nobody reads any more. */
bool peer_flush(struct peer *peer);

/* A control frame for every command. */
void peers_tell(struct peers *peers, uint16_t type, const void *payload, size_t length);

/* Bytes of stdout (fd 1) or stderr (fd 2) of process 1, for those that take part in it. */
void peers_output(struct peers *peers, unsigned int fd, const void *data, size_t length);

/* A command has passed on so many bytes of fd 1 or 2. */
void peer_credit(struct peer *peer, unsigned int fd, uint32_t bytes);

/* Bytes of fd 1 or 2 that the slowest command has not passed on yet. */
uint64_t peers_unread(const struct peers *peers, unsigned int fd);

/* Bytes of both that any command has not passed on yet. */
uint64_t peers_in_flight(const struct peers *peers);

/* A run begins: nothing of its output has been sent. */
void peers_reset(struct peers *peers);

/* Keeps bytes of a command's stdin for the guest; one that sends more than it may is shut down. */
void peer_hold_input(struct peer *peer, const uint8_t *data, size_t size);

/* So many bytes of its stdin were taken; returns credit for them in portions. */
void peer_input_taken(struct peer *peer, size_t size);

/* A command that has taken none of its output for too long, or NULL. */
struct peer *peers_find_stalled(const struct peers *peers);

#endif
