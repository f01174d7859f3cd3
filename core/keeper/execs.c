// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/execs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/instance/event.h"
#include "util/cleanup.h"
#include "util/io.h"

#define NUMBER_OF_PEER 2u
#define CREDIT_PORTION (ARROW_WINDOW / 4)

/* How long the output of a process that has ended may be held open by others. */
#define ORPHAN_MS 2000u

#define COMMAND_MAX 256u /* bytes of a command that are told in events */

struct exec {
	uint32_t number;   /* in the guest */
	struct peer *peer; /* or NULL: nobody takes part any more */
	bool whole;        /* EXEC_END went to the guest */
	bool abort;        /* it never will: the guest is to refuse what it has */
	bool started, exited;
	bool kill;             /* SIGKILL is to be sent */
	bool stdin_closed;     /* the guest said that it takes no more */
	uint64_t unread;       /* bytes of stdin that the guest has not given credit back for */
	bool ended[2];         /* stdout, stderr: EOF has come */
	bool close[2];         /* CLOSED is to be sent */
	uint32_t in_flight[2]; /* bytes that the peer has not passed on */
	uint32_t owed[2];      /* credit for the guest, of bytes that were dropped */
	uint64_t deadline;     /* ms: of those that hold it open */
	struct arrow_exited exit;
	char id[ARROW_ID_HEX]; /* for events */
	char command[COMMAND_MAX];
};

static struct exec *execs_find(struct execs *execs, uint32_t number)
{
	return number >= 2 && number <= ARROW_PROCESSES ? execs->v[number - 1] : NULL;
}

void execs_refuse(struct peer *peer, int status, int err, const char *text)
{
	uint8_t payload[ARROW_FAILED_MAX];
	size_t size = arrow_failed_encode(payload, &(struct arrow_failed){
							   .process = NUMBER_OF_PEER,
							   .status = (uint32_t)status,
							   .err = (uint32_t)err,
							   .text = text,
							   .length = strlen(text),
						   });

	peer_send(peer, ARROW_CONTROL, ARROW_FAILED, payload, size);
	peer->closing = true;
}

static void exec_tell_end(const struct execs *execs, const struct exec *e)
{
	char code[16];

	if (!e->id[0])
		return;
	snprintf(code, sizeof(code), "%d", arrow_exited_status(&e->exit));
	arrow_event(execs->instance, "exec_die",
		json_pack("{s:s, s:s}", "execID", e->id, "exitCode", code));
}

/* Frees the number. The command has been told by then. */
static void exec_free(struct execs *execs, struct exec *e)
{
	if (e->peer) {
		e->peer->exec = NULL;
		e->peer->closing = true;
	}
	execs->v[e->number - 1] = NULL;
	free(e);
}

/*
 * Reads the command from the first piece of its records. Returns false for a worker, which causes
 * no events.
 */
static bool exec_read_command(struct exec *e, const uint8_t *records, size_t size)
{
	struct arrow_record record;
	size_t used = 0, at = 0;
	uint32_t flags;

	/* What follows the piece is not here yet: the record that it cuts is not told. */
	while (at < size && !arrow_record_next(records, size, &at, &record)) {
		size_t length = record.length, room = COMMAND_MAX - 1 - used;

		if (record.tag == ARROW_JOB_FLAGS && !arrow_record_u32(&record, &flags) &&
			(flags & ARROW_JOB_WORKER))
			return false;
		if (record.tag == ARROW_JOB_ARG && room > 0)
			used += (size_t)snprintf(e->command + used, room + 1, "%s%.*s",
				used ? " " : "", (int)(length < room ? length : room),
				(const char *)record.value);
		if (used >= COMMAND_MAX)
			used = COMMAND_MAX - 1;
	}
	return true;
}

static void exec_tell(const struct execs *execs, const struct exec *e, const char *what)
{
	_cleanup_free_ char *action = path_format("%s: %s", what, e->command);

	if (action && e->id[0])
		arrow_event(execs->instance, action, json_pack("{s:s}", "execID", e->id));
}

static struct exec *exec_make(
	struct execs *execs, struct peer *peer, const uint8_t *records, size_t size)
{
	uint32_t number = 2;
	struct exec *e;

	while (number <= ARROW_PROCESSES && execs->v[number - 1])
		number++;
	e = number <= ARROW_PROCESSES ? calloc(1, sizeof(*e)) : NULL;
	if (!e) {
		char text[ARROW_TEXT_MAX];

		snprintf(text, sizeof(text),
			"at most %u processes can run at once beside the program: wait for one to end",
			ARROW_PROCESSES - 1);
		execs_refuse(peer, 126, EAGAIN, text);
		return NULL;
	}
	e->number = number;
	e->peer = peer;
	peer->exec = e;
	execs->v[number - 1] = e;
	if (exec_read_command(e, records, size) && arrow_id_make(e->id) == 0)
		exec_tell(execs, e, "exec_create");
	return e;
}

/*
 * The payload of a control frame that a command sends to its process, with the number that this one
 * has in the guest. Returns the size, or 0 for a frame that is not passed on.
 */
static size_t exec_renumber(
	struct arrow_frame f, const uint8_t *payload, uint32_t number, uint8_t out[ARROW_FRAME_MAX])
{
	struct arrow_exec_piece piece;
	struct arrow_winsize size;
	struct arrow_signal signal;
	uint32_t process;

	switch (f.type) {
	case ARROW_EXEC:
		if (arrow_exec_decode(payload, f.length, &piece) < 0 ||
			piece.process != NUMBER_OF_PEER)
			return 0;
		arrow_exec_encode(out, number);
		memcpy(out + ARROW_EXEC_HEAD, piece.records, piece.size);
		return ARROW_EXEC_HEAD + piece.size;
	case ARROW_EXEC_END:
		if (arrow_exec_end_decode(payload, f.length, &process) < 0 ||
			process != NUMBER_OF_PEER)
			return 0;
		arrow_number_encode(out, number);
		return ARROW_NUMBER_BYTES;
	case ARROW_SIGNAL:
		if (arrow_signal_decode(payload, f.length, &signal) < 0 ||
			signal.process != NUMBER_OF_PEER)
			return 0;
		signal.process = number;
		arrow_signal_encode(out, &signal);
		return ARROW_SIGNAL_BYTES;
	case ARROW_WINSIZE:
		if (arrow_winsize_decode(payload, f.length, &size) < 0 ||
			size.process != NUMBER_OF_PEER)
			return 0;
		size.process = number;
		arrow_winsize_encode(out, &size);
		return ARROW_WINSIZE_BYTES;
	default:
		return 0;
	}
}

int execs_request(
	struct execs *execs, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	struct exec *e = peer->exec;
	struct arrow_exec_piece piece;
	uint8_t copy[ARROW_FRAME_MAX];
	size_t size;

	if (!e && f.type == ARROW_EXEC && peer->streams == 0 &&
		arrow_exec_decode(payload, f.length, &piece) == 0 &&
		piece.process == NUMBER_OF_PEER)
		e = exec_make(execs, peer, piece.records, piece.size);
	if (!e || (e->whole && (f.type == ARROW_EXEC || f.type == ARROW_EXEC_END)))
		return 0;
	size = exec_renumber(f, payload, e->number, copy);
	if (size == 0)
		return 0;
	if (f.type == ARROW_EXEC_END)
		e->whole = true;
	return guest_link_send(execs->guest, ARROW_CONTROL, f.type, copy, size);
}

int execs_peer_frame(
	struct execs *execs, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	struct exec *e = peer->exec;
	uint32_t fd = ARROW_STREAM_FD(f.stream), i = fd - 1, n;
	int r;

	if (!e || ARROW_STREAM_PROCESS(f.stream) != NUMBER_OF_PEER || fd > 2)
		return 0;
	if (fd != 0 && f.type == ARROW_CREDIT && arrow_credit_decode(payload, f.length, &n) == 0) {
		e->in_flight[i] -= n < e->in_flight[i] ? n : e->in_flight[i];
	} else if (fd != 0 && f.type == ARROW_CLOSED) {
		e->in_flight[i] = 0;
	} else if (fd != 0 || (f.type != ARROW_DATA && f.type != ARROW_EOF)) {
		return 0;
	}
	r = guest_link_send(execs->guest, ARROW_STREAM(e->number, fd), f.type, payload, f.length);
	if (r == 0 && f.type == ARROW_DATA)
		e->unread += f.length;
	return r;
}

void execs_detach(struct peer *peer)
{
	struct exec *e = peer->exec;

	if (!e)
		return;
	/* What was on its way to the command is dropped instead. */
	for (int i = 0; i < 2; i++) {
		e->owed[i] += e->in_flight[i];
		e->in_flight[i] = 0;
	}
	e->peer = NULL;
	peer->exec = NULL;
}

void execs_peer_gone(struct peer *peer)
{
	struct exec *e = peer->exec;

	if (!e)
		return;
	execs_detach(peer);
	e->kill = !e->exited;
	e->abort = !e->whole;
	e->whole = true;
}

/* Once its output is whole and its status known, tells the command, which then ends. */
static void exec_settle(struct execs *execs, struct exec *e)
{
	uint8_t payload[ARROW_EXITED_BYTES];

	if (!e->exited || !e->ended[0] || !e->ended[1])
		return;
	arrow_exited_encode(payload, &e->exit);
	if (e->peer)
		peer_send(e->peer, ARROW_CONTROL, ARROW_EXITED, payload, sizeof(payload));
	exec_free(execs, e);
}

/*
 * What the guest says of a process goes to its command, with the number that it has there. What can
 * come once comes once, and in order: else a guest could cause any number of events. Each returns
 * false for what may not come now.
 */
static bool exec_take_started(struct execs *execs, struct arrow_started *started)
{
	struct exec *e = execs_find(execs, started->process);
	uint8_t payload[ARROW_STARTED_BYTES];

	if (!e || !e->whole || e->started)
		return false;
	e->started = true;
	exec_tell(execs, e, "exec_start");
	started->process = NUMBER_OF_PEER;
	arrow_started_encode(payload, started);
	if (e->peer)
		peer_send(e->peer, ARROW_CONTROL, ARROW_STARTED, payload, sizeof(payload));
	return true;
}

static bool exec_take_failed(struct execs *execs, struct arrow_failed *failed)
{
	struct exec *e = execs_find(execs, failed->process);
	uint8_t payload[ARROW_FAILED_MAX];
	size_t size;

	if (!e || !e->whole || e->started)
		return false;
	failed->process = NUMBER_OF_PEER;
	size = arrow_failed_encode(payload, failed);
	if (e->peer)
		peer_send(e->peer, ARROW_CONTROL, ARROW_FAILED, payload, size);
	exec_free(execs, e);
	return true;
}

static bool exec_take_exited(struct execs *execs, const struct arrow_exited *exited)
{
	struct exec *e = execs_find(execs, exited->process);

	if (!e || !e->started || e->exited)
		return false;
	e->exited = true;
	e->kill = false;
	e->exit = *exited;
	e->exit.process = NUMBER_OF_PEER;
	exec_tell_end(execs, e);
	e->deadline = now_ms() + ORPHAN_MS;
	exec_settle(execs, e);
	return true;
}

bool execs_guest_control(struct execs *execs, struct arrow_frame f, const uint8_t *payload)
{
	struct arrow_started started;
	struct arrow_failed failed;
	struct arrow_exited exited;

	switch (f.type) {
	case ARROW_STARTED:
		return arrow_started_decode(payload, f.length, &started) == 0 &&
		       exec_take_started(execs, &started);
	case ARROW_FAILED:
		return arrow_failed_decode(payload, f.length, &failed) == 0 &&
		       exec_take_failed(execs, &failed);
	case ARROW_EXITED:
		return arrow_exited_decode(payload, f.length, &exited) == 0 &&
		       exec_take_exited(execs, &exited);
	default:
		return false;
	}
}

/* A frame of stdin: credit for what the guest got, or that it takes no more. */
static bool exec_take_stdin_frame(struct exec *e, struct arrow_frame f, const uint8_t *payload)
{
	uint32_t n = 0;

	if (f.type == ARROW_CREDIT && arrow_credit_decode(payload, f.length, &n) < 0)
		return false;
	if (f.type == ARROW_CREDIT ? n == 0 || n > e->unread
				   : f.type != ARROW_CLOSED || e->stdin_closed)
		return false;
	e->unread -= n;
	e->stdin_closed |= f.type == ARROW_CLOSED;
	if (e->peer)
		peer_send(e->peer, ARROW_STREAM(NUMBER_OF_PEER, 0), f.type, payload, f.length);
	return true;
}

bool execs_guest_frame(struct execs *execs, struct arrow_frame f, const uint8_t *payload)
{
	struct exec *e = execs_find(execs, ARROW_STREAM_PROCESS(f.stream));
	uint32_t fd = ARROW_STREAM_FD(f.stream), i = fd - 1;
	uint16_t stream = ARROW_STREAM(NUMBER_OF_PEER, fd);

	/* Output may overtake STARTED, which waits for room in the guest. */
	if (!e || fd > 2 || !e->whole)
		return false;
	if (fd == 0)
		return exec_take_stdin_frame(e, f, payload);
	if (e->ended[i] || (f.type != ARROW_EOF && (f.type != ARROW_DATA || f.length == 0)))
		return false;
	if (f.type == ARROW_EOF) {
		e->ended[i] = true;
		if (e->peer)
			peer_send(e->peer, stream, f.type, NULL, 0);
		exec_settle(execs, e);
		return true;
	}
	if (f.length > ARROW_WINDOW - e->in_flight[i] - e->owed[i])
		return false;
	if (e->peer) {
		e->in_flight[i] += f.length;
		peer_send(e->peer, stream, f.type, payload, f.length);
	} else {
		e->owed[i] += f.length;
	}
	return true;
}

static bool exec_send(
	struct execs *execs, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	return guest_link_send(execs->guest, stream, type, payload, length) == 0;
}

/*
 * The guest has a part of what to execute and gets no more. A record that is longer than any can be
 * makes it refuse.
 */
static bool exec_send_abort(struct execs *execs, const struct exec *e)
{
	uint8_t payload[ARROW_EXEC_HEAD + 16] = {0}, end[ARROW_NUMBER_BYTES];

	arrow_exec_encode(payload, e->number);
	arrow_number_encode(end, e->number);
	return guest_link_has_room(execs->guest) &&
	       exec_send(execs, ARROW_CONTROL, ARROW_EXEC, payload, sizeof(payload)) &&
	       exec_send(execs, ARROW_CONTROL, ARROW_EXEC_END, end, sizeof(end));
}

static void exec_pump(struct execs *execs, struct exec *e, uint64_t now)
{
	uint8_t kill[ARROW_SIGNAL_BYTES], credit[ARROW_NUMBER_BYTES];

	if (e->abort && exec_send_abort(execs, e))
		e->abort = false;
	arrow_signal_encode(kill, &(struct arrow_signal){e->number, SIGKILL});
	if (e->kill && !e->abort &&
		exec_send(execs, ARROW_CONTROL, ARROW_SIGNAL, kill, sizeof(kill)))
		e->kill = false;
	/* As long as something comes, or is read, its output is not held open for nothing. */
	if (e->exited && e->in_flight[0] + e->in_flight[1] > 0)
		e->deadline = now + ORPHAN_MS;
	if (e->exited && e->deadline && now >= e->deadline) {
		e->deadline = 0;
		e->close[0] = !e->ended[0];
		e->close[1] = !e->ended[1];
	}
	for (unsigned int i = 0; i < 2; i++) {
		uint16_t stream = ARROW_STREAM(e->number, i + 1);

		if (e->close[i] && exec_send(execs, stream, ARROW_CLOSED, NULL, 0))
			e->close[i] = false;
		while (e->owed[i] >= CREDIT_PORTION) {
			uint32_t n = e->owed[i] < ARROW_WINDOW / 2 ? e->owed[i] : ARROW_WINDOW / 2;

			arrow_number_encode(credit, n);
			if (!exec_send(execs, stream, ARROW_CREDIT, credit, sizeof(credit)))
				break;
			e->owed[i] -= n;
		}
	}
}

void execs_pump(struct execs *execs)
{
	uint64_t now = now_ms();

	execs->due = 0;
	for (uint32_t n = 0; n < ARROW_PROCESSES; n++) {
		struct exec *e = execs->v[n];

		if (!e)
			continue;
		exec_pump(execs, e, now);
		if (e->deadline && (!execs->due || e->deadline < execs->due))
			execs->due = e->deadline;
	}
}

void execs_end(struct execs *execs)
{
	for (uint32_t n = 0; n < ARROW_PROCESSES; n++) {
		struct exec *e = execs->v[n];

		if (!e)
			continue;
		if (!e->exited) { /* killed with the VM */
			e->exit = (struct arrow_exited){NUMBER_OF_PEER, ARROW_EXIT_SIGNAL, SIGKILL};
			exec_tell_end(execs, e);
		}
		e->exited = e->ended[0] = e->ended[1] = true;
		exec_settle(execs, e);
	}
}
