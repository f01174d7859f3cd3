// SPDX-License-Identifier: Apache-2.0
/* What commands ask of a keeper, by control frames on its socket (docs/protocol.md). */
#include <errno.h>
#include <limits.h>
#include <signal.h>

#include "core/keeper/state.h"
#include "util/cleanup.h"
#include "util/io.h"

static void attach(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	peer->streams = arrow_get32(payload) & 7;
	for (unsigned int i = 0; i < 2; i++)
		peer->acked[i] = k->received[i]; /* from here on */
	peer_answer(k, peer, ARROW_ATTACH, 0, NULL);
	arrow_event(k->instance, "attach", NULL);
	if (k->started)
		peer_send(k, peer, ARROW_CONTROL, ARROW_STARTED, k->started_frame,
			sizeof(k->started_frame));
	if (k->stdin_closed && (peer->streams & 1))
		peer_send(k, peer, ARROW_STREAM(1, 0), ARROW_CLOSED, NULL, 0);
}

static void detach(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	/* Not the one that only started it. */
	if (peer->streams)
		arrow_event(k->instance, "detach", NULL);
	peer->bound = false;
	peer->streams = 0;
	peer->closing = true;
	execs_detach(k, peer);
}

void keeper_stop(struct keeper *k, uint32_t signal, uint32_t seconds)
{
	const struct arrow_spec *spec = k->config->spec;

	k->stopping = true;
	if (k->phase == WAITING || !k->started) {
		keeper_fail(k, 128 + SIGKILL, "it was stopped before its program started");
		return;
	}
	if (k->exited)
		return;
	if (signal == 0)
		signal = spec->life.stop_signal ? spec->life.stop_signal : SIGTERM;
	keeper_signal(k, signal);
	if (seconds != ARROW_FOREVER)
		k->kill_at = now_ms() + seconds * 1000ull;
}

static void stop(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	peer->waits_for = ARROW_STOP;
	if (!k->state->manual_stop) {
		k->state->manual_stop = true;
		k->state_changed = true;
	}
	k->restart_now = false;
	keeper_stop(k, arrow_get32(payload), arrow_get32(payload + 4));
}

static void restart(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	peer->waits_for = ARROW_RESTART;
	k->restart_now = true;
	if (k->phase == WAITING) /* its pause is over */
		k->deadline = now_ms();
	else
		keeper_stop(k, arrow_get32(payload), arrow_get32(payload + 4));
}

static void kill_program(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	uint32_t signal = arrow_get32(payload), stop_signal = k->config->spec->life.stop_signal;

	if (signal < 1 || signal > 64) {
		peer_answer(k, peer, ARROW_KILL, EINVAL, "no such signal");
		return;
	}
	if (!k->started && signal != SIGKILL) {
		peer_answer(k, peer, ARROW_KILL, ESRCH, "its program has not started");
		return;
	}
	/* As Docker: a kill by hand is an end by hand, unless a stop signal says otherwise. */
	if (!stop_signal || stop_signal == signal || signal == SIGKILL)
		k->stopping = true;
	if (!k->state->manual_stop) {
		k->state->manual_stop = true;
		k->state_changed = true;
	}
	peer_answer(k, peer, ARROW_KILL, 0, NULL);
	if (k->started)
		keeper_signal(k, signal);
	else
		keeper_fail(k, 128 + SIGKILL, "it was killed before its program started");
}

static void reload(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_spec spec;
	struct arrow_instance now;
	uint64_t mib = arrow_get32(payload);
	int r = arrow_instance_open(&now, k->config->paths, k->instance->id, &spec, &error);

	if (r == 0)
		r = keeper_limit(k, &spec, &error);
	if (r == 0 && mib)
		r = keeper_set_memory(k, mib << 20, &error);
	if (r == 0) {
		/* What can change while it runs. */
		k->config->spec->life.restart = spec.life.restart;
		k->config->spec->life.restart_max = spec.life.restart_max;
		k->config->spec->life.stop_signal = spec.life.stop_signal;
		k->config->spec->life.stop_timeout = spec.life.stop_timeout;
	}
	arrow_instance_release(&now);
	arrow_spec_release(&spec);
	peer_answer(k, peer, ARROW_RELOAD, -r, error.text);
}

static void pause_vm(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	keeper_pause(k, peer, true);
}

static void unpause_vm(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	keeper_pause(k, peer, false);
}

static void change_networks(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	keeper_networks(k, peer);
}

/* A frame of the program's control stream that is passed on to the guest. */
static void pass_on(struct keeper *k, struct peer *peer, uint16_t type, const uint8_t *payload)
{
	/* Process 1 is everybody's. */
	if (!k->started || k->guest.fd < 0 || k->exited || arrow_get32(payload) != 1)
		return;
	if (channel_send(&k->guest, ARROW_CONTROL, type, payload, 8) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

static void send_signal(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	pass_on(k, peer, ARROW_SIGNAL, payload);
}

static void set_window(struct keeper *k, struct peer *peer, const uint8_t *payload)
{
	char height[8], width[8];

	pass_on(k, peer, ARROW_WINSIZE, payload);
	snprintf(height, sizeof(height), "%u", arrow_get16(payload + 4));
	snprintf(width, sizeof(width), "%u", arrow_get16(payload + 6));
	arrow_event(
		k->instance, "resize", json_pack("{s:s, s:s}", "height", height, "width", width));
}

static const struct request {
	uint16_t type;
	size_t size; /* of the payload, at least */
	void (*take)(struct keeper *k, struct peer *peer, const uint8_t *payload);
} requests[] = {
	{ARROW_SIGNAL, 8, send_signal},
	{ARROW_WINSIZE, 8, set_window},
	{ARROW_ATTACH, 4, attach},
	{ARROW_DETACH, 0, detach},
	{ARROW_STOP, 8, stop},
	{ARROW_KILL, 4, kill_program},
	{ARROW_RESTART, 8, restart},
	{ARROW_RELOAD, 4, reload},
	{ARROW_PAUSE, 0, pause_vm},
	{ARROW_UNPAUSE, 0, unpause_vm},
	{ARROW_NETWORKS, 0, change_networks},
};

/* Whether it is about a process that the command has started itself. */
static bool is_of_exec(struct arrow_frame f, const uint8_t *p)
{
	return f.type == ARROW_EXEC || f.type == ARROW_EXEC_END ||
	       ((f.type == ARROW_SIGNAL || f.type == ARROW_WINSIZE) && f.length == 8 &&
		       arrow_get32(p) != 1);
}

void keeper_request(struct keeper *k, struct peer *peer, struct arrow_frame f, const uint8_t *p)
{
	if (f.type == ARROW_SNAPSHOT && f.length > 4 && f.length < 4 + PATH_MAX) {
		char path[PATH_MAX] = "";

		memcpy(path, p + 4, f.length - 4);
		keeper_snapshot(k, peer, path, arrow_get32(p) != 0);
		return;
	}
	if (is_of_exec(f, p)) {
		execs_request(k, peer, f, p);
		return;
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		if (requests[i].type != f.type)
			continue;
		if (f.length >= requests[i].size)
			requests[i].take(k, peer, p);
		else
			peer_answer(k, peer, f.type, EINVAL, "the request is cut off");
		return;
	}
	peer_answer(k, peer, f.type, ENOSYS, "this keeper does not know the request");
}
