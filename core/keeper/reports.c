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
static void report_answer_time(struct keeper *k, uint64_t asked)
{
	uint8_t payload[ARROW_TIME_BYTES];

	arrow_time_answer_encode(payload, asked);
	keeper_send(k, ARROW_CONTROL, ARROW_TIME, payload, sizeof(payload));
	if (!k->program.started)
		keeper_note(k, "the guest runs");
}

static void report_started(struct keeper *k, const struct arrow_started *started)
{
	uint8_t payload[ARROW_STARTED_BYTES];
	struct arrow_vm *vm = k->machine.vm;
	struct timespec now;

	k->program.started = true;
	k->program.pid = started->pid;
	keeper_set_phase(k, RUNNING, 0);
	keeper_note(k, "the program started");
	if (k->config->spec->life.timeout)
		k->deadlines.timeout = now_ms() + k->config->spec->life.timeout * 1000ull;
	arrow_started_encode(payload, started);
	peers_tell(&k->peers, ARROW_STARTED, payload, sizeof(payload));
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

static void report_exited(struct keeper *k, const struct arrow_exited *exited)
{
	k->program.exit = *exited;
	k->program.exited = true;
	keeper_note(k, "the program ended");
	k->deadlines.timeout = k->deadlines.kill = k->deadlines.vm_kill = 0;
	keeper_set_phase(k, ENDING, DONE_DEADLINE_MS);
}

/* Returns false for what makes no sense. */
static bool report_take_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	struct arrow_started started;
	struct arrow_failed failed;
	struct arrow_exited exited;
	struct arrow_saved_frame saved;
	uint64_t asked;
	uint32_t version;

	switch (f.type) {
	case ARROW_READY:
		if (k->phase != BOOTING || arrow_ready_decode(payload, f.length, &version) < 0)
			return false;
		report_ready(k, version);
		return true;
	case ARROW_STARTED:
		if (k->phase != RUNNING || k->program.started ||
			arrow_started_decode(payload, f.length, &started) < 0)
			return false;
		report_started(k, &started);
		return true;
	case ARROW_FAILED:
		if (k->phase != RUNNING || k->program.started ||
			arrow_failed_decode(payload, f.length, &failed) < 0)
			return false;
		/* Without a server of the volumes they cannot be mounted. */
		vm_take_server_end(k);
		keeper_fail(k, (int)failed.status, "%.*s", (int)failed.length, failed.text);
		return true;
	case ARROW_EXITED:
		if (!keeper_program_runs(k) || arrow_exited_decode(payload, f.length, &exited) < 0)
			return false;
		report_exited(k, &exited);
		return true;
	case ARROW_DONE:
		if (k->phase != ENDING)
			return false;
		keeper_note(k, "its output is whole, its file systems are synced");
		keeper_set_phase(k, OVER, 0);
		return true;
	case ARROW_TIME:
		if (k->phase == BOOTING ||
			arrow_time_question_decode(payload, f.length, &asked) < 0)
			return false;
		/* An honest guest, which asks rarely, does not notice. */
		if (keeper_budget_take(&k->program.questions, TIME_QUESTIONS))
			report_answer_time(k, asked);
		return true;
	case ARROW_SAVED:
		return arrow_saved_decode(payload, f.length, &saved) == 0 &&
		       snapshot_saved(k, &saved);
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

/* The process beside the program that a frame is about, or 0: it is about the Arrow. */
static uint32_t report_exec_of(struct arrow_frame f, const uint8_t *payload)
{
	struct arrow_started started;
	struct arrow_failed failed;
	struct arrow_exited exited;
	uint32_t process = 0;

	if (f.type == ARROW_STARTED && arrow_started_decode(payload, f.length, &started) == 0)
		process = started.process;
	else if (f.type == ARROW_FAILED && arrow_failed_decode(payload, f.length, &failed) == 0)
		process = failed.process;
	else if (f.type == ARROW_EXITED && arrow_exited_decode(payload, f.length, &exited) == 0)
		process = exited.process;
	return process > 1 ? process : 0;
}

static void report_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	uint32_t process = report_exec_of(f, payload);

	if (process && !execs_guest_control(&k->execs, f, payload))
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest broke the protocol: frame %u of process %u", f.type, process);
	else if (!process && !report_take_control(k, f, payload))
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
