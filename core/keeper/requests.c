// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/requests.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/instance/event.h"
#include "core/keeper/networks.h"
#include "core/keeper/program.h"
#include "core/keeper/snapshot.h"
#include "core/keeper/vm.h"
#include "util/cleanup.h"
#include "util/io.h"

/*
 * What a request does, with its payload. Returns false for a malformed one, which has done nothing
 * and is answered here.
 */
typedef bool request_handler(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length);

static bool request_attach(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	uint8_t started[ARROW_STARTED_BYTES];
	uint32_t streams;

	if (arrow_attach_decode(payload, length, &streams) < 0)
		return false;
	peer->streams = streams;
	peer->unread[0] = peer->unread[1] = 0;
	peer_answer(peer, ARROW_ATTACH, 0, NULL);
	arrow_event(k->instance, "attach", NULL);
	arrow_started_encode(started, &(struct arrow_started){1, k->program.pid});
	if (k->program.started)
		peer_send(peer, ARROW_CONTROL, ARROW_STARTED, started, sizeof(started));
	if (k->guest.stdin_closed && (peer->streams & 1))
		peer_send(peer, ARROW_STREAM(1, 0), ARROW_CLOSED, NULL, 0);
	return true;
}

static bool request_detach(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	if (length > 0)
		return false;
	/* Not for a command that only started it. */
	if (peer->streams)
		arrow_event(k->instance, "detach", NULL);
	peer->bound = false;
	peer->streams = 0;
	peer->closing = true;
	execs_detach(peer);
	return true;
}

static void request_note_manual_stop(struct keeper *k)
{
	if (k->state->manual_stop)
		return;
	k->state->manual_stop = true;
	k->state_changed = true;
}

static bool request_stop(struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	struct arrow_stop_request stop;

	if (arrow_stop_decode(payload, length, &stop) < 0)
		return false;
	peer->waits_for = ARROW_STOP;
	request_note_manual_stop(k);
	k->restarts.now = false;
	program_stop(k, stop.signal, stop.seconds);
	return true;
}

static bool request_restart(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	struct arrow_stop_request stop;

	if (arrow_stop_decode(payload, length, &stop) < 0)
		return false;
	peer->waits_for = ARROW_RESTART;
	k->restarts.now = true;
	if (k->phase == WAITING) /* its pause is over */
		k->deadlines.phase = now_ms();
	else
		program_stop(k, stop.signal, stop.seconds);
	return true;
}

static bool request_kill(struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	uint32_t signal, stop_signal = k->config->spec->life.stop_signal;
	bool waiting = k->phase == WAITING, ends;

	if (arrow_kill_decode(payload, length, &signal) < 0)
		return false;
	/* As with Docker, a kill by hand ends the restarts, unless the Arrow has a stop signal. */
	ends = !stop_signal || stop_signal == signal || signal == SIGKILL;
	if (waiting ? !ends : !k->program.started && signal != SIGKILL) {
		peer_answer(peer, ARROW_KILL, ESRCH, "its program has not started");
		return true;
	}
	if (ends)
		k->restarts.stopping = true;
	request_note_manual_stop(k);
	peer_answer(peer, ARROW_KILL, 0, NULL);
	if (k->program.started && !waiting) {
		program_signal(k, signal);
	} else {
		k->restarts.now = false;
		keeper_fail(k, 128 + SIGKILL, "it was killed before its program started");
	}
	return true;
}

static bool request_reload(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_spec_life *mine = &k->config->spec->life;
	struct arrow_spec spec;
	struct arrow_instance now;
	uint32_t mib;
	int r;

	if (arrow_reload_decode(payload, length, &mib) < 0)
		return false;
	r = arrow_instance_open(&now, k->config->paths, k->instance->id, &spec, &error);
	if (r == 0)
		r = vm_set_limits(k, &spec, &error);
	if (r == 0 && mib)
		r = vm_set_memory(k, (uint64_t)mib << 20, &error);
	if (r == 0) {
		/* What can change while it runs. */
		mine->restart = spec.life.restart;
		mine->restart_max = spec.life.restart_max;
		mine->stop_signal = spec.life.stop_signal;
		mine->stop_timeout = spec.life.stop_timeout;
	}
	arrow_instance_release(&now);
	arrow_spec_release(&spec);
	peer_answer(peer, ARROW_RELOAD, -r, error.text);
	return true;
}

static bool request_pause(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	if (length > 0)
		return false;
	snapshot_pause(k, peer, true);
	return true;
}

static bool request_unpause(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	if (length > 0)
		return false;
	snapshot_pause(k, peer, false);
	return true;
}

static bool request_networks(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ uint8_t *answer = NULL;
	struct arrow_job records = {0};
	int r;

	if (length > 0)
		return false;
	r = networks_change(k, &records, &error);
	if (r == 0 && records.size <= ARROW_FRAME_MAX - ARROW_ANSWER_HEAD)
		answer = malloc(ARROW_ANSWER_HEAD + records.size);
	if (answer) {
		arrow_answer_encode(answer, ARROW_NETWORKS, 0);
		if (records.size)
			memcpy(answer + ARROW_ANSWER_HEAD, records.data, records.size);
		peer_send(peer, ARROW_CONTROL, ARROW_ANSWER, answer,
			ARROW_ANSWER_HEAD + records.size);
	} else {
		peer_answer(peer, ARROW_NETWORKS, r < 0 ? -r : ENOMEM,
			r < 0 ? error.text : "out of memory");
	}
	arrow_job_release(&records);
	return true;
}

/* Whether SIGNAL and WINSIZE can reach process 1, which is everybody's. */
static bool request_reaches_program(const struct keeper *k, uint32_t process)
{
	return k->program.started && !k->program.exited && process == 1;
}

static bool request_signal(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	struct arrow_signal signal;

	if (arrow_signal_decode(payload, length, &signal) < 0)
		return false;
	if (request_reaches_program(k, signal.process))
		guest_link_signal(&k->guest, signal.signal);
	return true;
}

static bool request_resize(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	struct arrow_winsize size;
	char height[8], width[8];

	if (arrow_winsize_decode(payload, length, &size) < 0)
		return false;
	if (request_reaches_program(k, size.process))
		guest_link_resize(&k->guest, &size);
	snprintf(height, sizeof(height), "%u", size.rows);
	snprintf(width, sizeof(width), "%u", size.columns);
	arrow_event(
		k->instance, "resize", json_pack("{s:s, s:s}", "height", height, "width", width));
	return true;
}

static bool request_snapshot(
	struct keeper *k, struct peer *peer, const uint8_t *payload, size_t length)
{
	struct arrow_snapshot_request request;
	char path[ARROW_SNAPSHOT_PATH_MAX + 1] = "";

	if (arrow_snapshot_decode(payload, length, &request) < 0)
		return false;
	memcpy(path, request.path, request.length);
	snapshot_save(k, peer, path, request.stay);
	return true;
}

static const struct request {
	uint16_t type;
	request_handler *take;
} requests[] = {
	{ARROW_SIGNAL, request_signal},
	{ARROW_WINSIZE, request_resize},
	{ARROW_ATTACH, request_attach},
	{ARROW_DETACH, request_detach},
	{ARROW_STOP, request_stop},
	{ARROW_KILL, request_kill},
	{ARROW_RESTART, request_restart},
	{ARROW_RELOAD, request_reload},
	{ARROW_PAUSE, request_pause},
	{ARROW_UNPAUSE, request_unpause},
	{ARROW_SNAPSHOT, request_snapshot},
	{ARROW_NETWORKS, request_networks},
};

static void request_take(
	struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		if (requests[i].type != f.type)
			continue;
		if (!requests[i].take(k, peer, payload, f.length))
			peer_answer(peer, f.type, EINVAL, "the request is malformed");
		return;
	}
	peer_answer(peer, f.type, ENOSYS, "this keeper does not know the request");
}

/* Whether a frame is of a process that the command has started itself; those go to the guest. */
static bool request_is_of_exec(struct arrow_frame f, const uint8_t *payload)
{
	struct arrow_winsize size;
	struct arrow_signal signal;

	if (f.stream != ARROW_CONTROL)
		return ARROW_STREAM_PROCESS(f.stream) != 1;
	switch (f.type) {
	case ARROW_EXEC:
	case ARROW_EXEC_END:
		return true;
	case ARROW_SIGNAL:
		return arrow_signal_decode(payload, f.length, &signal) == 0 && signal.process != 1;
	case ARROW_WINSIZE:
		return arrow_winsize_decode(payload, f.length, &size) == 0 && size.process != 1;
	default:
		return false;
	}
}

/* Why a command cannot start a process, or NULL; err gets its errno. */
static const char *request_exec_obstacle(const struct keeper *k, int *err)
{
	*err = k->state->life == ARROW_LIFE_PAUSED ? EBUSY : ESRCH;
	if (k->state->life == ARROW_LIFE_PAUSED)
		return "the Arrow is paused: unpause it first";
	return keeper_program_runs(k) ? NULL : "the Arrow is not running";
}

/* Returns false if the frame has to wait for the guest. */
static bool request_take_exec(
	struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	const char *obstacle;
	int err, r;

	if (!peer->exec) {
		if (f.stream != ARROW_CONTROL || f.type != ARROW_EXEC)
			return true;
		obstacle = request_exec_obstacle(k, &err);
		if (obstacle) {
			execs_refuse(peer, 1, err, obstacle);
			return true;
		}
	}
	if (keeper_is_frozen(k) || !guest_link_has_room(&k->guest))
		return false;
	r = f.stream == ARROW_CONTROL ? execs_request(&k->execs, peer, f, payload)
				      : execs_peer_frame(&k->execs, peer, f, payload);
	if (r < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
	return true;
}

static void request_take_input(
	struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *payload)
{
	if (!(peer->streams & 1) || !k->config->spec->process.interactive)
		return;
	if (f.type == ARROW_DATA)
		peer_hold_input(peer, payload, f.length);
	else if (f.type == ARROW_EOF && k->config->spec->process.stdin_once)
		peer->input.eof = true;
}

/* What comes back for stdout (fd 1) or stderr (fd 2). */
static void request_take_credit(struct keeper *k, struct peer *peer, struct arrow_frame f,
	unsigned int fd, const uint8_t *payload)
{
	uint32_t credit;

	if (!(peer->streams & (1u << fd)))
		return;
	peer->moved = now_ms();
	if (k->phase == ENDING && !k->restarts.stopping) /* a slow reader is not a stuck guest */
		keeper_set_phase(k, ENDING, DONE_DEADLINE_MS);
	if (f.type == ARROW_CREDIT && arrow_credit_decode(payload, f.length, &credit) == 0)
		peer_credit(peer, fd, credit);
	if (f.type != ARROW_CLOSED)
		return;
	peer->streams &= ~(1u << fd);
	/* A pipe of the foreground that breaks, breaks for the program. */
	if (peer->bound)
		guest_link_close_output(&k->guest, fd);
}

bool requests_take(struct keeper *k, struct peer *peer)
{
	struct arrow_frame f;
	const uint8_t *payload;

	while (peer_peek(peer, &f, &payload)) {
		unsigned int fd = ARROW_STREAM_FD(f.stream);

		if (request_is_of_exec(f, payload)) {
			if (!request_take_exec(k, peer, f, payload))
				return false;
		} else if (f.stream == ARROW_CONTROL) {
			request_take(k, peer, f, payload);
		} else if (fd == 0) {
			request_take_input(k, peer, f, payload);
		} else if (fd <= 2) {
			request_take_credit(k, peer, f, fd, payload);
		}
		peer_skip(peer);
	}
	return true;
}
