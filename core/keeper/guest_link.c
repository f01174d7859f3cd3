// SPDX-License-Identifier: Apache-2.0
/*
 * The frames of a keeper's guest: they are checked, output goes to the log and to the commands that
 * are connected, and the control frames of the loader move the keeper through its phases.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "core/keeper/state.h"
#include "util/io.h"

void keeper_phase(struct keeper *k, enum phase phase, uint64_t deadline_ms)
{
	k->phase = phase;
	k->deadline = deadline_ms ? now_ms() + deadline_ms : 0;
}

void keeper_fail(struct keeper *k, int status, const char *fmt, ...)
{
	va_list ap;

	keeper_phase(k, OVER, 0);
	if (k->failure || k->exited)
		return;
	k->failure = status;
	va_start(ap, fmt);
	vsnprintf(k->failure_text, sizeof(k->failure_text), fmt, ap);
	va_end(ap);
}

void keeper_note(struct keeper *k, const char *what)
{
	char text[ARROW_TEXT_MAX];
	uint64_t us = now_us() - k->config->begin_us;
	int n;

	if (!k->config->spec->verbose)
		return;
	n = snprintf(text, sizeof(text), "%6llu.%llu ms  %s", (unsigned long long)(us / 1000),
		(unsigned long long)(us % 1000 / 100), what);
	peers_tell(k, ARROW_NOTE, text, (size_t)n);
}

void keeper_hand_out(struct keeper *k, uint64_t deadline_ms)
{
	if (arrow_job_refresh(k->config->job) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "cannot describe the job: out of memory");
	else
		keeper_phase(k, HANDING, deadline_ms);
}

/*
 * The time is told at the moment it is asked for, so the guest's clock is wrong only by what the
 * question took. The first one comes between the job and the start of the program.
 */
static void tell_time(struct keeper *k, const uint8_t *asked)
{
	uint8_t payload[16];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	memcpy(payload, asked, 8);
	arrow_put64(payload + 8, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	if (channel_send(&k->guest, ARROW_CONTROL, ARROW_TIME, payload, sizeof(payload)) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
	else if (!k->started)
		keeper_note(k, "the guest runs");
}

void keeper_tell_clock(struct keeper *k)
{
	static const uint8_t ask[16];

	if (channel_send(&k->guest, ARROW_CONTROL, ARROW_TIME, ask, sizeof(ask)) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

void keeper_signal(struct keeper *k, uint32_t signal)
{
	uint8_t payload[8];

	if (k->guest.fd < 0 || !k->started || k->exited)
		return;
	arrow_event_number(k->instance, "kill", "signal", signal);
	arrow_put32(payload, 1);
	arrow_put32(payload + 4, signal);
	if (channel_send(&k->guest, ARROW_CONTROL, ARROW_SIGNAL, payload, sizeof(payload)) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
	/* Behind the signal, so that a program that is killed runs no more. */
	keeper_snapshot_cancel(k);
	if (signal == SIGKILL && !k->vm_kill_at)
		k->vm_kill_at = now_ms() + KILL_DEADLINE_MS;
}

static void program_started(struct keeper *k, const uint8_t *payload)
{
	struct timespec now;

	k->started = true;
	memcpy(k->started_frame, payload, sizeof(k->started_frame));
	keeper_phase(k, RUNNING, 0);
	keeper_note(k, "the program started");
	if (k->config->spec->life.timeout)
		k->time_limit = now_ms() + k->config->spec->life.timeout * 1000ull;
	peers_tell(k, ARROW_STARTED, payload, sizeof(k->started_frame));
	for (unsigned int i = 0; i < k->n_peers; i++)
		if (k->peers[i]->waits_for == ARROW_RESTART)
			peer_answer(k, k->peers[i], ARROW_RESTART, 0, NULL);

	k->state->life = ARROW_LIFE_RUNNING;
	if (k->memory)
		(void)k->vm->engine->set_memory(k->vm, k->memory);
	health_begin(k);
	k->state->error[0] = '\0';
	k->state->exit_code = 0;
	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(now, k->state->started);
	k->state_changed = true;
	arrow_event(k->instance, "start", NULL);
	if (k->restarting)
		arrow_event(k->instance, "restart", NULL);
	k->restarting = false;
}

static void guest_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	if (f.length >= 8 && arrow_get32(payload) != 1 &&
		(f.type == ARROW_STARTED || f.type == ARROW_FAILED || f.type == ARROW_EXITED)) {
		if (!execs_guest_control(k, f, payload))
			keeper_fail(k, ARROW_STATUS_ERROR,
				"the guest broke the protocol: frame %u of process %u", f.type,
				arrow_get32(payload));
		return;
	}
	switch (f.type) {
	case ARROW_READY:
		if (k->phase != BOOTING || f.length != 4)
			break;
		if (arrow_get32(payload) != ARROW_PROTOCOL_VERSION) {
			keeper_fail(k, ARROW_STATUS_ERROR,
				"the guest speaks version %u of the protocol, not %u",
				arrow_get32(payload), ARROW_PROTOCOL_VERSION);
			return;
		}
		keeper_note(k, "the loader waits for its job");
		keeper_hand_out(k, BOOT_DEADLINE_MS);
		return;
	case ARROW_STARTED:
		if (k->phase != RUNNING || k->started || f.length != sizeof(k->started_frame))
			break;
		program_started(k, payload);
		return;
	case ARROW_FAILED:
		if (k->phase != RUNNING || f.length < 12)
			break;
		keeper_fail(k, (int)(arrow_get32(payload + 4) & 0xff), "%.*s", (int)f.length - 12,
			(const char *)payload + 12);
		return;
	case ARROW_EXITED:
		if (k->phase != RUNNING || f.length != sizeof(k->exit_frame))
			break;
		memcpy(k->exit_frame, payload, sizeof(k->exit_frame));
		k->exited = true;
		keeper_note(k, "the program ended");
		k->time_limit = k->kill_at = k->vm_kill_at = 0;
		keeper_phase(k, ENDING, DONE_DEADLINE_MS);
		return;
	case ARROW_DONE:
		if (k->phase != ENDING)
			break;
		keeper_note(k, "its output is whole, its file systems are synced");
		keeper_phase(k, OVER, 0);
		return;
	case ARROW_TIME:
		if (f.length != 8 || k->phase == BOOTING)
			break;
		tell_time(k, payload);
		return;
	case ARROW_SAVED:
		if (f.length != 8)
			break;
		keeper_snapshot_saved(k, payload);
		return;
	case ARROW_NOTE:
		peers_tell(k, f.type, payload, f.length);
		return;
	default:
		break;
	}
	keeper_fail(k, ARROW_STATUS_ERROR, "the guest broke the protocol: frame %u in phase %d",
		f.type, (int)k->phase);
}

void keeper_grant(struct keeper *k)
{
	if (keeper_frozen(k))
		return;
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t passed = k->received[i];

		for (unsigned int n = 0; n < k->n_peers; n++) {
			const struct peer *peer = k->peers[n];

			if ((peer->streams & (2u << i)) && peer->acked[i] < passed)
				passed = peer->acked[i];
		}
		/* Rarely, but before the guest runs dry; never more than half a window at once. */
		while (k->guest.fd >= 0 && passed - k->granted[i] >= ARROW_WINDOW / 4) {
			uint64_t n = passed - k->granted[i];

			if (n > ARROW_WINDOW / 2)
				n = ARROW_WINDOW / 2;
			if (channel_send_u32(&k->guest, ARROW_STREAM(1, i + 1), ARROW_CREDIT,
				    (uint32_t)n) < 0)
				return; /* no room: at the next turn */
			k->granted[i] += n;
		}
	}
}

static void program_output(
	struct keeper *k, unsigned int fd, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int i = fd - 1;

	if (k->received[i] + f.length - k->granted[i] > ARROW_WINDOW) {
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest sent more than it may");
		return;
	}
	k->received[i] += f.length;
	peers_output(k, fd, payload, f.length);
	log_write(&k->log, fd, payload, f.length);
}

static void guest_frame(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);

	if (f.stream == ARROW_CONTROL) {
		guest_control(k, f, payload);
		return;
	}
	if (ARROW_STREAM_PROCESS(f.stream) == 1 && (fd == 1 || fd == 2)) {
		if (f.type == ARROW_DATA) {
			program_output(k, fd, f, payload);
			return;
		}
		if (f.type == ARROW_EOF)
			return;
	}
	if (f.stream == ARROW_STREAM(1, 0)) {
		if (f.type == ARROW_CREDIT && f.length == 4) {
			k->stdin_room += arrow_get32(payload);
			return;
		}
		if (f.type == ARROW_CLOSED) {
			k->stdin_closed = true;
			for (unsigned int i = 0; i < k->n_peers; i++)
				if (k->peers[i]->streams & 1)
					peer_send(k, k->peers[i], f.stream, f.type, NULL, 0);
			return;
		}
	}
	if (ARROW_STREAM_PROCESS(f.stream) != 1 && execs_guest_frame(k, f, payload))
		return;
	keeper_fail(k, ARROW_STATUS_ERROR, "the guest broke the protocol: frame %u on stream %u",
		f.type, f.stream);
}

void keeper_send_job(struct keeper *k)
{
	const struct arrow_job *job = k->config->job;

	while (k->phase == HANDING) {
		size_t n = job->size - k->job_sent;

		if (n > ARROW_FRAME_MAX)
			n = ARROW_FRAME_MAX;
		if (!channel_has_room(&k->guest, n))
			return;
		if (n == 0) {
			if (channel_send(&k->guest, ARROW_CONTROL, job->end, NULL, 0) == 0)
				keeper_phase(k, RUNNING,
					k->template ? CLONE_DEADLINE_MS : BOOT_DEADLINE_MS);
			return;
		}
		if (channel_send(&k->guest, ARROW_CONTROL, ARROW_JOB, job->data + k->job_sent, n) <
			0)
			return;
		k->job_sent += n;
	}
}

void keeper_relay_guest(struct keeper *k)
{
	struct arrow_frame frame;
	const uint8_t *payload;
	int r;

	while (k->phase != OVER && (r = channel_next(&k->guest, &frame, &payload)) != 0) {
		if (r < 0)
			keeper_fail(k, ARROW_STATUS_ERROR,
				"the guest broke the protocol: a frame of %u bytes", frame.length);
		else
			guest_frame(k, frame, payload);
	}
	keeper_grant(k);
}
