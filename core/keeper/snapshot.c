// SPDX-License-Identifier: Apache-2.0
/*
 * What a keeper does to a VM that runs: pauses it, lets it go on, and writes it whole for `arrow
 * save`. Nothing here waits: each step begins where the guest or the engine has done the one
 * before.
 *
 *   SNAPSHOT_HOLD    the loader was asked to hold still, and has not said SAVED
 *   SNAPSHOT_PAUSE   the engine was asked to stop the processors
 *   SNAPSHOT_WRITE   it writes the VM
 *
 * No frame of a command goes to the guest meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/keeper/state.h"
#include "util/cleanup.h"
#include "util/io.h"

#define HOLD_DEADLINE_MS 60000u   /* the loader may have to wait for a processor */
#define WRITE_DEADLINE_MS 600000u /* gigabytes, to a slow disk */
#define PAUSE_DEADLINE_MS 30000u

static void answer(struct keeper *k, int err, const char *text)
{
	struct snapshot *s = &k->snapshot;

	if (s->peer)
		peer_answer(k, s->peer, s->request, err, text);
	s->peer = NULL;
	s->request = 0;
	s->deadline = 0;
}

/* The guest goes on from where it held still, and asks for the time, which has passed. */
static void go_on(struct keeper *k)
{
	if (k->guest.fd >= 0 && channel_send(&k->guest, ARROW_CONTROL, ARROW_RESUME, NULL, 0) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
	k->snapshot.held = false;
}

static void set_life(struct keeper *k, bool paused)
{
	k->state->life = paused ? ARROW_LIFE_PAUSED : ARROW_LIFE_RUNNING;
	keeper_write_state(k); /* before it is answered: whoever asked may look */
	arrow_event(k->instance, paused ? "pause" : "unpause", NULL);
}

static void close_files(struct snapshot *s)
{
	close_keep_errno(steal_fd(&s->fd));
	close_keep_errno(steal_fd(&s->blocks_fd));
}

static void finish(struct keeper *k, int err, const char *text)
{
	struct snapshot *s = &k->snapshot;
	bool stay = err == 0 && s->stay;

	if (s->step > SNAPSHOT_HOLD && !stay)
		k->vm->engine->resume(k->vm);
	s->held = stay;
	if (!stay)
		go_on(k);
	s->step = SNAPSHOT_NONE;
	close_files(s);
	answer(k, err, text);
}

/* What keeps this Arrow from being paused or saved now, or NULL. */
static const char *unable(const struct keeper *k)
{
	if (!k->started || k->exited || k->phase != RUNNING || !k->vm)
		return "its program does not run";
	if (k->snapshot.step != SNAPSHOT_NONE)
		return "it is being saved";
	if (k->snapshot.request)
		return "it is being paused or unpaused";
	return NULL;
}

static void begin(struct keeper *k, struct peer *peer, uint32_t request, uint64_t deadline_ms)
{
	k->snapshot.peer = peer;
	k->snapshot.request = request;
	k->snapshot.deadline = now_ms() + deadline_ms;
}

void keeper_pause(struct keeper *k, struct peer *peer, bool pause)
{
	uint32_t request = pause ? ARROW_PAUSE : ARROW_UNPAUSE;
	const char *why = unable(k);

	if (!why && k->vm->paused == pause)
		why = pause ? "it is already paused" : "it is not paused";
	if (why) {
		peer_answer(k, peer, request, EBUSY, why);
		return;
	}
	begin(k, peer, request, PAUSE_DEADLINE_MS);
	if (pause)
		k->vm->engine->pause(k->vm);
	else
		k->vm->engine->resume(k->vm);
}

void keeper_snapshot(struct keeper *k, struct peer *peer, const char *path, bool stay)
{
	_cleanup_free_ char *blocks = NULL;
	const char *slash = strrchr(path, '/');
	struct snapshot *s = &k->snapshot;
	const char *why = unable(k);

	if (!why && k->vm->paused)
		why = "it is paused; unpause it first";
	if (!why && k->memory)
		why = "its memory was lowered while it ran: give it back first, by 'arrow update -m'";
	if (!why && k->config->spec->files.n_volumes > 0)
		why = "it has volumes, which are files of the host and cannot be saved with it";
	if (why) {
		peer_answer(k, peer, ARROW_SNAPSHOT, EBUSY, why);
		return;
	}
	s->fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd < 0) {
		peer_answer(k, peer, ARROW_SNAPSHOT, errno, "the file for it cannot be opened");
		return;
	}
	/* Beside it; a save goes on without. */
	blocks = path_format("%.*s/blocks", slash ? (int)(slash - path) : 0, path);
	s->blocks_fd = blocks ? open(blocks, O_RDWR | O_TRUNC | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (channel_send(&k->guest, ARROW_CONTROL, ARROW_SAVE, NULL, 0) < 0) {
		close_files(s);
		peer_answer(k, peer, ARROW_SNAPSHOT, EAGAIN, "the guest does not read");
		return;
	}
	begin(k, peer, ARROW_SNAPSHOT, HOLD_DEADLINE_MS);
	s->stay = stay;
	s->step = SNAPSHOT_HOLD;
}

void keeper_snapshot_saved(struct keeper *k, const uint8_t *payload)
{
	struct snapshot *s = &k->snapshot;

	if (s->step != SNAPSHOT_HOLD)
		return; /* too late: it has been told to go on */
	if (arrow_get32(payload) != 0) {
		finish(k, EIO, "the guest cannot hold its programs still");
		return;
	}
	k->state->stdin_closed = arrow_get32(payload + 4) == 0;
	k->state_changed = true;
	s->step = SNAPSHOT_PAUSE;
	k->vm->engine->pause(k->vm);
}

void keeper_snapshot_cancel(struct keeper *k)
{
	/* Once the VM is being written, the signal waits until that is done. */
	if (k->snapshot.step == SNAPSHOT_HOLD) {
		finish(k, ECANCELED, "a signal came between");
	} else if (k->snapshot.step == SNAPSHOT_NONE && k->vm && k->vm->paused) {
		k->vm->engine->resume(k->vm);
		set_life(k, false);
		if (k->snapshot.held)
			go_on(k);
		else
			keeper_tell_clock(k);
	}
}

void keeper_snapshot_step(struct keeper *k)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct snapshot *s = &k->snapshot;
	struct arrow_vm *vm = k->vm;

	if (!vm || k->phase != RUNNING) {
		if (s->step != SNAPSHOT_NONE || s->request) {
			s->step = SNAPSHOT_NONE;
			close_files(s);
			answer(k, ESRCH, "it has ended");
		}
		return;
	}
	if ((s->request == ARROW_PAUSE && vm->paused) ||
		(s->request == ARROW_UNPAUSE && !vm->paused)) {
		set_life(k, vm->paused);
		if (!vm->paused && s->held)
			go_on(k);
		else if (!vm->paused)
			keeper_tell_clock(k);
		answer(k, 0, NULL);
	} else if (s->step == SNAPSHOT_PAUSE && vm->paused) {
		if (vm->engine->write(vm, s->fd, s->blocks_fd, &error) < 0) {
			finish(k, EIO, error.text);
			return;
		}
		s->step = SNAPSHOT_WRITE;
		s->deadline = now_ms() + WRITE_DEADLINE_MS;
	} else if (s->step == SNAPSHOT_WRITE && (vm->written || vm->problem)) {
		if (vm->written && s->stay)
			set_life(k, true);
		finish(k, vm->written ? 0 : EIO, vm->written ? NULL : vm->problem);
	} else if (s->deadline && now_ms() >= s->deadline) {
		if (s->step != SNAPSHOT_NONE)
			finish(k, ETIMEDOUT, "it takes too long");
		else
			answer(k, ETIMEDOUT, "the engine does not answer");
	}
}
