// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/instance/event.h"
#include "util/cleanup.h"
#include "util/io.h"

#define HOLD_DEADLINE_MS 60000u   /* the loader may have to wait for a processor */
#define WRITE_DEADLINE_MS 600000u /* gigabytes, to a slow disk */
#define PAUSE_DEADLINE_MS 30000u

static void snapshot_answer(struct keeper *k, int err, const char *text)
{
	struct snapshot *s = &k->snapshot;

	if (s->peer)
		peer_answer(s->peer, s->request, err, text);
	s->peer = NULL;
	s->request = 0;
	s->deadline = 0;
}

static void snapshot_set_life(struct keeper *k, bool paused)
{
	k->state->life = paused ? ARROW_LIFE_PAUSED : ARROW_LIFE_RUNNING;
	keeper_write_state(k); /* before it is answered: whoever asked may look */
	arrow_event(k->instance, paused ? "pause" : "unpause", NULL);
}

/* The VM was paused and goes on: its clock stood still meanwhile. */
static void snapshot_unpaused(struct keeper *k)
{
	snapshot_set_life(k, false);
	if (k->snapshot.held)
		guest_link_resume(&k->guest); /* then the loader asks for the time by itself */
	else
		guest_link_ask_time(&k->guest);
	k->snapshot.held = false;
}

static void snapshot_close_files(struct snapshot *s)
{
	close_keep_errno(steal_fd(&s->fd));
	close_keep_errno(steal_fd(&s->code_fd));
}

/*
 * Lets the VM go on without a request for it. It may still have a pause to come that nobody waits
 * for any more; once it has answered the question behind both, vm->paused tells the truth again.
 */
static void snapshot_resume(struct keeper *k)
{
	struct arrow_vm *vm = k->machine.vm;

	vm->engine->resume(vm);
	vm->engine->check(vm);
	k->snapshot.unsettled = vm->asked;
}

/* The end of a save, with or without success. */
static void snapshot_finish(struct keeper *k, int err, const char *text)
{
	struct snapshot *s = &k->snapshot;
	bool stay = err == 0 && s->stay;

	if (s->step > SNAPSHOT_HOLD && !stay)
		snapshot_resume(k);
	s->held = stay;
	if (!stay)
		guest_link_resume(&k->guest);
	s->step = SNAPSHOT_NONE;
	snapshot_close_files(s);
	snapshot_answer(k, err, text);
}

/* What keeps this Arrow from being paused or saved now, or NULL. */
static const char *snapshot_obstacle(const struct keeper *k)
{
	const struct snapshot *s = &k->snapshot;

	if (!keeper_program_runs(k) || !k->machine.vm)
		return "its program does not run";
	if (s->step != SNAPSHOT_NONE)
		return "it is being saved";
	if (s->request)
		return "it is being paused or unpaused";
	return NULL;
}

static void snapshot_begin(
	struct keeper *k, struct peer *peer, uint32_t request, uint64_t deadline_ms)
{
	k->snapshot.peer = peer;
	k->snapshot.request = request;
	k->snapshot.deadline = now_ms() + deadline_ms;
}

void snapshot_pause(struct keeper *k, struct peer *peer, bool pause)
{
	uint32_t request = pause ? ARROW_PAUSE : ARROW_UNPAUSE;
	const char *obstacle = snapshot_obstacle(k);

	if (!obstacle && (k->state->life == ARROW_LIFE_PAUSED) == pause)
		obstacle = pause ? "it is already paused" : "it is not paused";
	if (obstacle) {
		peer_answer(peer, request, EBUSY, obstacle);
		return;
	}
	snapshot_begin(k, peer, request, PAUSE_DEADLINE_MS);
	if (pause)
		k->machine.vm->engine->pause(k->machine.vm);
	else
		k->machine.vm->engine->resume(k->machine.vm);
}

void snapshot_save(struct keeper *k, struct peer *peer, const char *path, bool stay)
{
	_cleanup_free_ char *blocks = NULL;
	const char *slash = strrchr(path, '/');
	struct snapshot *s = &k->snapshot;
	const char *obstacle = snapshot_obstacle(k);

	if (!obstacle && k->state->life == ARROW_LIFE_PAUSED)
		obstacle = "it is paused: unpause it first";
	if (!obstacle && k->machine.memory)
		obstacle =
			"its memory was lowered while it ran: give it back first with 'arrow update -m'";
	if (!obstacle && k->config->spec->files.n_volumes > 0)
		obstacle =
			"it has volumes, which are files of the host and cannot be saved with it";
	if (obstacle) {
		peer_answer(peer, ARROW_SNAPSHOT, EBUSY, obstacle);
		return;
	}
	s->fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd < 0) {
		peer_answer(peer, ARROW_SNAPSHOT, errno, "cannot open the file to save it to");
		return;
	}
	/* Beside it; a save goes on without. */
	blocks = path_format("%.*s/blocks", slash ? (int)(slash - path) : 0, path);
	s->code_fd = blocks ? open(blocks, O_RDWR | O_TRUNC | O_NOFOLLOW | O_CLOEXEC) : -1;
	guest_link_send_due(&k->guest);
	if (guest_link_send(&k->guest, ARROW_CONTROL, ARROW_SAVE, NULL, 0) < 0) {
		snapshot_close_files(s);
		peer_answer(peer, ARROW_SNAPSHOT, EAGAIN, "the guest does not read");
		return;
	}
	s->owed++;
	snapshot_begin(k, peer, ARROW_SNAPSHOT, HOLD_DEADLINE_MS);
	s->stay = stay;
	s->step = SNAPSHOT_HOLD;
}

bool snapshot_saved(struct keeper *k, const struct arrow_saved_frame *saved)
{
	struct snapshot *s = &k->snapshot;

	if (s->owed == 0)
		return false;
	s->owed--;
	/* Too late: it has been told to go on, and perhaps to hold still once more. */
	if (s->step != SNAPSHOT_HOLD || s->owed > 0)
		return true;
	if (saved->err != 0) {
		snapshot_finish(k, EIO, "the guest cannot hold its programs still");
		return true;
	}
	k->state->stdin_closed = !saved->stdin_open;
	k->state_changed = true;
	s->step = SNAPSHOT_PAUSE;
	k->machine.vm->engine->pause(k->machine.vm);
	return true;
}

/* A pause or unpause that is not answered yet does not come about in time. */
static void snapshot_give_up(struct keeper *k, int err, const char *text)
{
	/* The command is told that the Arrow runs, so a pause that comes later must not last. */
	if (k->snapshot.request == ARROW_PAUSE)
		snapshot_resume(k);
	snapshot_answer(k, err, text);
}

void snapshot_cancel(struct keeper *k)
{
	static const char text[] = "a signal was sent to its program meanwhile";
	struct snapshot *s = &k->snapshot;

	/* Once the VM is being written, the signal waits until that is done. */
	if (s->step > SNAPSHOT_HOLD || !k->machine.vm)
		return;
	if (s->step == SNAPSHOT_HOLD) {
		snapshot_finish(k, ECANCELED, text);
	} else if (s->request == ARROW_PAUSE) {
		snapshot_give_up(k, ECANCELED, text);
	} else if (k->state->life == ARROW_LIFE_PAUSED) {
		snapshot_resume(k);
		snapshot_unpaused(k);
		snapshot_answer(k, 0, NULL); /* to an unpause, if there is one */
	}
}

void snapshot_forget_peer(struct keeper *k, const struct peer *peer)
{
	if (k->snapshot.peer == peer)
		k->snapshot.peer = NULL;
}

void snapshot_step(struct keeper *k)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct snapshot *s = &k->snapshot;
	struct arrow_vm *vm = k->machine.vm;

	if (!vm || k->phase != RUNNING) {
		if (s->step != SNAPSHOT_NONE || s->request) {
			s->step = SNAPSHOT_NONE;
			snapshot_close_files(s);
			snapshot_answer(k, ESRCH, "it has ended");
		}
		return;
	}
	if (s->deadline && now_ms() >= s->deadline) {
		if (s->step != SNAPSHOT_NONE)
			snapshot_finish(k, ETIMEDOUT, "it took too long");
		else
			snapshot_give_up(k, ETIMEDOUT, "the engine does not answer");
	} else if (s->unsettled > vm->answered) {
		return;
	} else if (s->request == ARROW_PAUSE && vm->paused) {
		snapshot_set_life(k, true);
		snapshot_answer(k, 0, NULL);
	} else if (s->request == ARROW_UNPAUSE && !vm->paused) {
		snapshot_unpaused(k);
		snapshot_answer(k, 0, NULL);
	} else if (s->step == SNAPSHOT_PAUSE && vm->paused) {
		if (vm->engine->write(vm, s->fd, s->code_fd, &error) < 0) {
			snapshot_finish(k, EIO, error.text);
			return;
		}
		s->step = SNAPSHOT_WRITE;
		s->deadline = now_ms() + WRITE_DEADLINE_MS;
	} else if (s->step == SNAPSHOT_WRITE && (vm->written || vm->problem)) {
		if (vm->written && s->stay)
			snapshot_set_life(k, true);
		snapshot_finish(k, vm->written ? 0 : EIO, vm->written ? NULL : vm->problem);
	} else if (!s->request && s->step == SNAPSHOT_NONE && !vm->paused &&
		   k->state->life == ARROW_LIFE_PAUSED) {
		snapshot_unpaused(k); /* an unpause that was given up came about after all */
	}
}
