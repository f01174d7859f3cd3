// SPDX-License-Identifier: Apache-2.0
/*
 * Processes beside the program of a keeper's Arrow. A command that is connected may start one. To
 * that command it is number 2; in the guest it has a number of its own, and the frames are passed
 * on with the one in place of the other. A process whose command is gone is killed, unless that
 * one said DETACH: then what it writes is dropped here.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "core/keeper/state.h"
#include "util/cleanup.h"
#include "util/io.h"

#define NUMBER_OF_PEER 2u
#define CREDIT_PORTION (ARROW_WINDOW / 4)

/* What others hold open of a process that has ended is not waited for any longer than that. */
#define ORPHAN_MS 2000u

#define COMMAND_MAX 256u /* bytes of a command that events tell */

struct exec {
	uint32_t number;   /* in the guest */
	struct peer *peer; /* or NULL: nobody takes part any more */
	bool whole;        /* EXEC_END went to the guest */
	bool exited;
	bool kill;             /* SIGKILL is to be sent */
	bool ended[2];         /* stdout, stderr: EOF has come */
	bool close[2];         /* CLOSED is to be sent */
	uint32_t in_flight[2]; /* bytes that the peer has not passed on */
	uint32_t owed[2];      /* credit for the guest, of bytes that were dropped */
	uint64_t deadline;     /* ms: of those that hold it open */
	uint8_t exit_frame[12];
	char id[ARROW_ID_HEX]; /* for events */
	char command[COMMAND_MAX];
};

static struct exec *find(struct keeper *k, uint32_t number)
{
	return number >= 2 && number <= ARROW_PROCESSES ? k->execs[number - 1] : NULL;
}

static bool to_guest(
	struct keeper *k, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	return k->guest.fd >= 0 && channel_send(&k->guest, stream, type, payload, length) == 0;
}

/* Ends with an error that the command prints. */
static void refuse(struct keeper *k, struct peer *peer, int status, int err, const char *text)
{
	uint8_t payload[12 + 256];
	size_t length = strlen(text);

	if (length > 256)
		length = 256;
	arrow_put32(payload, NUMBER_OF_PEER);
	arrow_put32(payload + 4, (uint32_t)status);
	arrow_put32(payload + 8, (uint32_t)err);
	memcpy(payload + 12, text, length);
	peer_send(k, peer, ARROW_CONTROL, ARROW_FAILED, payload, 12 + length);
	peer->closing = true;
}

static void tell_end(struct keeper *k, const struct exec *e, const uint8_t *exit_frame)
{
	char code[16];

	if (!e->id[0])
		return;
	snprintf(code, sizeof(code), "%u",
		(arrow_get32(exit_frame + 8) & 0xff) +
			(arrow_get32(exit_frame + 4) != ARROW_EXIT_STATUS ? 128 : 0));
	arrow_event(k->instance, "exec_die",
		json_pack("{s:s, s:s}", "execID", e->id, "exitCode", code));
}

/* Frees the number. The command has been told by then. */
static void forget(struct keeper *k, struct exec *e)
{
	if (e->peer) {
		e->peer->exec = NULL;
		e->peer->closing = true;
	}
	k->execs[e->number - 1] = NULL;
	free(e);
}

/* The command, of the first piece of its records. Returns false for a worker, of which nothing is
 * told. */
static bool take_command(struct exec *e, const uint8_t *records, size_t size)
{
	size_t used = 0;

	while (size >= 8 && size - 8 >= arrow_get32(records + 4)) {
		size_t length = arrow_get32(records + 4), room = COMMAND_MAX - 1 - used;

		if (arrow_get32(records) == ARROW_JOB_FLAGS && length == 4 &&
			(arrow_get32(records + 8) & ARROW_JOB_WORKER))
			return false;
		if (arrow_get32(records) == ARROW_JOB_ARG && room > 0)
			used += (size_t)snprintf(e->command + used, room + 1, "%s%.*s",
				used ? " " : "", (int)(length < room ? length : room),
				(const char *)records + 8);
		if (used >= COMMAND_MAX)
			used = COMMAND_MAX - 1;
		records += 8 + length;
		size -= 8 + length;
	}
	return true;
}

static void tell(struct keeper *k, const struct exec *e, const char *what)
{
	_cleanup_free_ char *action = path_format("%s: %s", what, e->command);

	if (action && e->id[0])
		arrow_event(k->instance, action, json_pack("{s:s}", "execID", e->id));
}

static struct exec *begin(struct keeper *k, struct peer *peer, const uint8_t *records, size_t size)
{
	uint32_t number = 2;
	struct exec *e;

	if (k->state->life == ARROW_LIFE_PAUSED)
		refuse(k, peer, 1, EBUSY, "the Arrow is paused: unpause it first");
	else if (!k->started || k->exited || k->phase != RUNNING)
		refuse(k, peer, 1, ESRCH, "the Arrow is not running");
	if (peer->closing)
		return NULL;
	while (number <= ARROW_PROCESSES && k->execs[number - 1])
		number++;
	e = number <= ARROW_PROCESSES ? calloc(1, sizeof(*e)) : NULL;
	if (!e) {
		refuse(k, peer, 126, EAGAIN,
			"too many processes at once beside the program: wait for one to end");
		return NULL;
	}
	e->number = number;
	e->peer = peer;
	peer->exec = e;
	k->execs[number - 1] = e;
	if (take_command(e, records, size) && arrow_id_make(e->id) == 0)
		tell(k, e, "exec_create");
	return e;
}

void execs_request(
	struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	struct exec *e = peer->exec;
	uint8_t copy[ARROW_FRAME_MAX];

	if (f.length < 4 || arrow_get32(payload) != NUMBER_OF_PEER)
		return;
	if (!e && f.type == ARROW_EXEC && peer->streams == 0)
		e = begin(k, peer, payload + 4, f.length - 4);
	if (!e || (e->whole && (f.type == ARROW_EXEC || f.type == ARROW_EXEC_END)))
		return;
	memcpy(copy, payload, f.length);
	arrow_put32(copy, e->number);
	if (f.type == ARROW_EXEC_END)
		e->whole = true;
	if (!to_guest(k, ARROW_CONTROL, f.type, copy, f.length))
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

void execs_peer_frame(
	struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	struct exec *e = peer->exec;
	uint32_t fd = ARROW_STREAM_FD(f.stream), i = fd - 1;

	if (!e || ARROW_STREAM_PROCESS(f.stream) != NUMBER_OF_PEER || fd > 2)
		return;
	if (fd != 0 && f.type == ARROW_CREDIT && f.length == 4) {
		uint32_t n = arrow_get32(payload);

		e->in_flight[i] -= n < e->in_flight[i] ? n : e->in_flight[i];
	} else if (fd != 0 && f.type == ARROW_CLOSED) {
		e->in_flight[i] = 0;
	} else if (fd != 0 || (f.type != ARROW_DATA && f.type != ARROW_EOF)) {
		return;
	}
	if (!to_guest(k, ARROW_STREAM(e->number, fd), f.type, payload, f.length))
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

/* Nobody takes part any more: what was on its way to the command is dropped instead. */
static void abandon(struct exec *e)
{
	for (int i = 0; i < 2; i++) {
		e->owed[i] += e->in_flight[i];
		e->in_flight[i] = 0;
	}
	e->peer->exec = NULL;
	e->peer = NULL;
}

void execs_detach(struct keeper *k, struct peer *peer)
{
	if (peer->exec)
		abandon(peer->exec);
}

void execs_peer_gone(struct keeper *k, struct peer *peer)
{
	struct exec *e = peer->exec;
	uint8_t payload[4 + 16] = {0};

	if (!e)
		return;
	abandon(e);
	e->kill = !e->exited;
	if (e->whole)
		return;
	/* The guest has a part of what to execute: more that no records can be, so it refuses. */
	e->whole = true;
	arrow_put32(payload, e->number);
	if (!to_guest(k, ARROW_CONTROL, ARROW_EXEC, payload, sizeof(payload)) ||
		!to_guest(k, ARROW_CONTROL, ARROW_EXEC_END, payload, 4))
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

/* Its output is whole and its status known: tells the command, which then ends. */
static void settle(struct keeper *k, struct exec *e)
{
	if (!e->exited || !e->ended[0] || !e->ended[1])
		return;
	if (e->peer)
		peer_send(k, e->peer, ARROW_CONTROL, ARROW_EXITED, e->exit_frame,
			sizeof(e->exit_frame));
	forget(k, e);
}

bool execs_guest_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	struct exec *e = f.length >= 8 ? find(k, arrow_get32(payload)) : NULL;
	uint8_t copy[12 + ARROW_TEXT_MAX];
	size_t length = f.length < sizeof(copy) ? f.length : sizeof(copy);

	if (!e)
		return false;
	memcpy(copy, payload, length);
	arrow_put32(copy, NUMBER_OF_PEER);
	switch (f.type) {
	case ARROW_STARTED:
		tell(k, e, "exec_start");
		if (e->peer)
			peer_send(k, e->peer, ARROW_CONTROL, f.type, copy, length);
		return true;
	case ARROW_FAILED:
		if (f.length < 12)
			return false;
		if (e->peer)
			peer_send(k, e->peer, ARROW_CONTROL, f.type, copy, length);
		forget(k, e);
		return true;
	case ARROW_EXITED:
		if (f.length != sizeof(e->exit_frame))
			return false;
		e->exited = true;
		e->kill = false;
		tell_end(k, e, copy);
		e->deadline = now_ms() + ORPHAN_MS;
		memcpy(e->exit_frame, copy, sizeof(e->exit_frame));
		settle(k, e);
		return true;
	default:
		return false;
	}
}

bool execs_guest_frame(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	struct exec *e = find(k, ARROW_STREAM_PROCESS(f.stream));
	uint32_t fd = ARROW_STREAM_FD(f.stream), i = fd - 1;
	uint16_t stream = ARROW_STREAM(NUMBER_OF_PEER, fd);

	if (!e || fd > 2)
		return false;
	if (fd == 0) {
		if ((f.type != ARROW_CREDIT || f.length != 4) && f.type != ARROW_CLOSED)
			return false;
		if (e->peer)
			peer_send(k, e->peer, stream, f.type, payload, f.length);
		return true;
	}
	if (e->ended[i] || (f.type != ARROW_DATA && f.type != ARROW_EOF))
		return false;
	if (f.type == ARROW_EOF) {
		e->ended[i] = true;
		if (e->peer)
			peer_send(k, e->peer, stream, f.type, NULL, 0);
		settle(k, e);
		return true;
	}
	if (f.length > ARROW_WINDOW - e->in_flight[i] - e->owed[i])
		return false;
	if (e->peer) {
		e->in_flight[i] += f.length;
		peer_send(k, e->peer, stream, f.type, payload, f.length);
	} else {
		e->owed[i] += f.length;
	}
	return true;
}

static void pump(struct keeper *k, struct exec *e, uint64_t now)
{
	uint8_t payload[8];

	arrow_put32(payload, e->number);
	arrow_put32(payload + 4, SIGKILL);
	if (e->kill && to_guest(k, ARROW_CONTROL, ARROW_SIGNAL, payload, 8))
		e->kill = false;
	/* What still comes, or is still read, is not held open for nothing. */
	if (e->exited && e->in_flight[0] + e->in_flight[1] > 0)
		e->deadline = now + ORPHAN_MS;
	if (e->exited && e->deadline && now >= e->deadline) {
		e->deadline = 0;
		e->close[0] = !e->ended[0];
		e->close[1] = !e->ended[1];
	}
	for (unsigned int i = 0; i < 2; i++) {
		uint16_t stream = ARROW_STREAM(e->number, i + 1);

		if (e->close[i] && to_guest(k, stream, ARROW_CLOSED, NULL, 0))
			e->close[i] = false;
		while (e->owed[i] >= CREDIT_PORTION) {
			uint32_t n = e->owed[i] < ARROW_WINDOW / 2 ? e->owed[i] : ARROW_WINDOW / 2;

			arrow_put32(payload, n);
			if (!to_guest(k, stream, ARROW_CREDIT, payload, 4))
				break;
			e->owed[i] -= n;
		}
	}
}

void execs_pump(struct keeper *k)
{
	uint64_t now = now_ms();

	k->execs_due = 0;
	for (uint32_t n = 0; n < ARROW_PROCESSES; n++) {
		struct exec *e = k->execs[n];

		if (!e)
			continue;
		pump(k, e, now);
		if (e->deadline && (!k->execs_due || e->deadline < k->execs_due))
			k->execs_due = e->deadline;
	}
}

void execs_end(struct keeper *k)
{
	for (uint32_t n = 0; n < ARROW_PROCESSES; n++) {
		struct exec *e = k->execs[n];

		if (!e)
			continue;
		if (!e->exited) { /* killed with the VM */
			arrow_put32(e->exit_frame, NUMBER_OF_PEER);
			arrow_put32(e->exit_frame + 4, ARROW_EXIT_SIGNAL);
			arrow_put32(e->exit_frame + 8, SIGKILL);
			tell_end(k, e, e->exit_frame);
		}
		e->exited = e->ended[0] = e->ended[1] = true;
		settle(k, e);
	}
}
