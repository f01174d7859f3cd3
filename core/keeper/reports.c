// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/reports.h"

#include <time.h>

#include "core/instance/event.h"
#include "core/keeper/program.h"
#include "core/keeper/snapshot.h"
#include "core/keeper/vm.h"
#include "util/io.h"

/* What a guest may cause in one second. */
#define TIME_QUESTIONS 100u
#define NOTES 50u

/*
 * The time is told at the moment it is asked for, so the guest's clock is wrong only by what the
 * question took. The first one comes between the job and the start of the program.
 */
static void report_answer_time(struct keeper *k, const uint8_t *asked)
{
	uint8_t payload[16];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	memcpy(payload, asked, 8);
	arrow_put64(payload + 8, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	keeper_send(k, ARROW_CONTROL, ARROW_TIME, payload, sizeof(payload));
	if (!k->program.started)
		keeper_note(k, "the guest runs");
}

static void report_started(struct keeper *k, const uint8_t *payload)
{
	struct arrow_vm *vm = k->machine.vm;
	struct timespec now;

	k->program.started = true;
	memcpy(k->program.started_frame, payload, sizeof(k->program.started_frame));
	keeper_set_phase(k, RUNNING, 0);
	keeper_note(k, "the program started");
	if (k->config->spec->life.timeout)
		k->deadlines.timeout = now_ms() + k->config->spec->life.timeout * 1000ull;
	peers_tell(&k->peers, ARROW_STARTED, payload, sizeof(k->program.started_frame));
	for (unsigned int i = 0; i < k->peers.n; i++)
		if (k->peers.v[i]->waits_for == ARROW_RESTART)
			peer_answer(k->peers.v[i], ARROW_RESTART, 0, NULL);

	k->state->life = ARROW_LIFE_RUNNING;
	if (k->machine.memory)
		(void)vm->engine->set_memory(vm, k->machine.memory);
	health_begin(&k->health);
	k->state->error[0] = '\0';
	k->state->exit_code = 0;
	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(now, k->state->started);
	k->state_changed = true;
	arrow_event(k->instance, "start", NULL);
	if (k->restarts.under_way)
		arrow_event(k->instance, "restart", NULL);
	k->restarts.under_way = false;
}

static void report_ready(struct keeper *k, uint32_t version)
{
	if (version != ARROW_PROTOCOL_VERSION) {
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest speaks version %u of the protocol, not %u", version,
			ARROW_PROTOCOL_VERSION);
		return;
	}
	keeper_note(k, "the loader waits for its job");
	vm_hand_out(k, BOOT_DEADLINE_MS);
}

static void report_exited(struct keeper *k, const uint8_t *payload)
{
	memcpy(k->program.exit_frame, payload, sizeof(k->program.exit_frame));
	k->program.exited = true;
	keeper_note(k, "the program ended");
	k->deadlines.timeout = k->deadlines.kill = k->deadlines.vm_kill = 0;
	keeper_set_phase(k, ENDING, DONE_DEADLINE_MS);
}

/* Returns false for what makes no sense. */
static bool report_take_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	switch (f.type) {
	case ARROW_READY:
		if (k->phase != BOOTING || f.length != 4)
			return false;
		report_ready(k, arrow_get32(payload));
		return true;
	case ARROW_STARTED:
		if (k->phase != RUNNING || k->program.started ||
			f.length != sizeof(k->program.started_frame))
			return false;
		report_started(k, payload);
		return true;
	case ARROW_FAILED:
		if (k->phase != RUNNING || k->program.started || f.length < 12)
			return false;
		keeper_fail(k, (int)(arrow_get32(payload + 4) & 0xff), "%.*s", (int)f.length - 12,
			(const char *)payload + 12);
		return true;
	case ARROW_EXITED:
		if (!keeper_program_runs(k) || f.length != sizeof(k->program.exit_frame))
			return false;
		report_exited(k, payload);
		return true;
	case ARROW_DONE:
		if (k->phase != ENDING)
			return false;
		keeper_note(k, "its output is whole, its file systems are synced");
		keeper_set_phase(k, OVER, 0);
		return true;
	case ARROW_TIME:
		if (f.length != 8 || k->phase == BOOTING)
			return false;
		/* An honest guest, which asks rarely, does not notice. */
		if (keeper_budget_take(&k->program.questions, TIME_QUESTIONS))
			report_answer_time(k, payload);
		return true;
	case ARROW_SAVED:
		return f.length == 8 && snapshot_saved(k, payload);
	case ARROW_NOTE:
		if (f.length > ARROW_TEXT_MAX)
			return false;
		if (keeper_budget_take(&k->program.notes, NOTES))
			peers_tell(&k->peers, f.type, payload, f.length);
		return true;
	default:
		return false;
	}
}

static void report_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	bool of_exec =
		f.length >= 8 && arrow_get32(payload) != 1 &&
		(f.type == ARROW_STARTED || f.type == ARROW_FAILED || f.type == ARROW_EXITED);

	if (of_exec && !execs_guest_control(&k->execs, f, payload))
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest broke the protocol: frame %u of process %u", f.type,
			arrow_get32(payload));
	else if (!of_exec && !report_take_control(k, f, payload))
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest broke the protocol: frame %u in phase %d", f.type,
			(int)k->phase);
}

/* Streams of process 1. Returns false for what makes no sense. */
static bool report_stream(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);

	if (!k->program.started)
		return false;
	if (f.type == ARROW_DATA && (fd == 1 || fd == 2)) {
		program_take_output(k, fd, payload, f.length);
		return true;
	}
	if (!guest_link_take_stream(&k->guest, f, payload))
		return false;
	for (unsigned int i = 0; f.type == ARROW_CLOSED && i < k->peers.n; i++)
		if (k->peers.v[i]->streams & 1)
			peer_send(k->peers.v[i], f.stream, f.type, NULL, 0);
	return true;
}

static void report_take(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	if (f.stream == ARROW_CONTROL)
		report_control(k, f, payload);
	else if (ARROW_STREAM_PROCESS(f.stream) == 1 ? !report_stream(k, f, payload)
						     : !execs_guest_frame(&k->execs, f, payload))
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest broke the protocol: frame %u on stream %u", f.type, f.stream);
}

bool reports_take(struct keeper *k)
{
	struct arrow_frame frame;
	const uint8_t *payload;
	bool any = false;
	int r;

	while (k->phase != OVER && (r = guest_link_next(&k->guest, &frame, &payload)) != 0) {
		any = true;
		if (r < 0)
			keeper_fail(k, ARROW_STATUS_ERROR,
				"the guest broke the protocol: a frame of %u bytes", frame.length);
		else
			report_take(k, frame, payload);
	}
	return any;
}
