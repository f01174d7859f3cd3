/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_GUEST_LINK_H
#define ARROW_CORE_KEEPER_GUEST_LINK_H

/*
 * The channel between a keeper and its guest: it sends, receives and counts credit. What the frames
 * of the guest mean is up to reports.c.
 *
 * Two kinds of frames go to the guest. Those of commands (EXEC, bytes of stdin) wait for room, each
 * where it comes from. The keeper's own few are noted here as due and are sent once there is room:
 * so a request that leads to one never has to wait for a guest that does not read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/channel.h"
#include "core/job/job.h"

struct guest_link {
	struct channel channel; /* its fd is -1 while there is no guest */
	size_t job_sent;        /* bytes of the job that are queued or sent */
	uint64_t received[2];   /* bytes of stdout and stderr that came */
	uint64_t granted[2];    /* and those that the guest has credit back for */
	bool ended[2];          /* EOF of stdout and stderr came */
	uint64_t stdin_room;    /* credit that the guest gives for stdin */
	bool stdin_closed;      /* the program takes no more, or was told the end */
	bool stdin_refused;     /* CLOSED came for stdin */

	/* What the guest is to be told. */
	struct {
		uint64_t signals;          /* of process 1: bit n - 1 for signal n */
		bool winsize;              /* the size of process 1's terminal */
		bool closed[2];            /* nobody takes stdout, stderr any more */
		bool resume, time;         /* it goes on; it is to ask for the time */
		struct arrow_winsize size; /* of winsize */
	} due;
};

/* Begins a channel over a socket, taken over. Returns 0 or a negative errno. */
int guest_link_open(struct guest_link *link, int fd) ARROW_MUST_CHECK;
void guest_link_release(struct guest_link *link);

static inline bool guest_link_is_open(const struct guest_link *link)
{
	return link->channel.fd >= 0;
}

/* Reads what there is. Returns false once the guest's end is closed, and closes this one then. */
bool guest_link_fill(struct guest_link *link);

/* The next frame, as channel_next() has it. */
int guest_link_next(struct guest_link *link, struct arrow_frame *frame,
	const uint8_t **payload) ARROW_MUST_CHECK;

/* Writes what the socket takes. */
void guest_link_flush(struct guest_link *link);

/* Whether any frame of a command can be sent now. Without a guest it can: it is dropped. */
bool guest_link_has_room(const struct guest_link *link);

/* Queues a frame. Returns 0, also without a guest, or -ENOBUFS. */
int guest_link_send(struct guest_link *link, uint16_t stream, uint16_t type, const void *payload,
	size_t length) ARROW_MUST_CHECK;

/* A signal for process 1, from 1 to 64. */
void guest_link_signal(struct guest_link *link, uint32_t signal);

/* The size of process 1's terminal: the payload of WINSIZE. */
void guest_link_resize(struct guest_link *link, const struct arrow_winsize *size);

/* Nobody takes stdout (fd 1) or stderr (fd 2) any more. */
void guest_link_close_output(struct guest_link *link, unsigned int fd);

/* The guest goes on after SAVE. */
void guest_link_resume(struct guest_link *link);

/* The guest is to ask for the time. */
void guest_link_ask_time(struct guest_link *link);

/* Sends what is due, as far as there is room. */
void guest_link_send_due(struct guest_link *link);

/*
 * Queues the next pieces of the job, as far as there is room.
 * Returns whether all of it, with the frame that ends it, is on its way.
 */
bool guest_link_send_job(struct guest_link *link, const struct arrow_job *job);

/* Sends bytes of stdin of process 1. Returns how many were taken. */
size_t guest_link_send_stdin(struct guest_link *link, const uint8_t *data, size_t size);

/* Tells process 1 the end of its stdin, if there is room. */
void guest_link_end_stdin(struct guest_link *link);

/*
 * A frame of the streams of process 1 came, but for DATA: EOF of its output, CREDIT for its stdin,
 * or CLOSED. Returns false for what may not come, or not again.
 */
bool guest_link_take_stream(
	struct guest_link *link, struct arrow_frame frame, const uint8_t *payload);

/*
 * Bytes of stdout (fd 1) or stderr (fd 2) came. Returns false if it may not send these: more than
 * its credit, none at all, or behind EOF.
 */
bool guest_link_receive_output(struct guest_link *link, unsigned int fd, size_t size);

/* Returns credit for fd 1 or 2; `unread` bytes of it are not passed on yet. */
void guest_link_grant(struct guest_link *link, unsigned int fd, uint64_t unread);

#endif
