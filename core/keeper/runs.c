// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/runs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/instance/event.h"
#include "core/keeper/program.h"
#include "core/keeper/vm.h"
#include "util/cleanup.h"
#include "util/io.h"

/* The pauses before restarts, as Docker has them. */
#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MAX_MS 60000u
#define BACKOFF_RESET_MS 10000u /* after a run of so long they begin anew */

static int run_exit_code(const struct keeper *k)
{
	if (k->program.exited)
		return arrow_exited_status(&k->program.exit);
	return k->failure.status ? k->failure.status : ARROW_KILLED_STATUS;
}

/* Whether the restart policy has it run again. */
static bool run_is_repeated(const struct keeper *k)
{
	const struct arrow_spec *spec = k->config->spec;

	if (k->restarts.now)
		return true;
	if (k->restarts.stopping || (!k->program.started && k->state->restarts == 0))
		return false;
	switch ((enum arrow_restart)spec->life.restart) {
	case ARROW_RESTART_ON_FAILURE:
		return run_exit_code(k) != 0 &&
		       (!spec->life.restart_max || k->state->restarts < spec->life.restart_max);
	case ARROW_RESTART_ALWAYS:
		return true;
	case ARROW_RESTART_UNLESS_STOPPED:
		return !k->state->manual_stop;
	case ARROW_RESTART_NO:
	default:
		return false;
	}
}

/* Puts what is known of the end into the state. */
static void run_note_end(struct keeper *k)
{
	struct arrow_state *s = k->state;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(now, s->finished);
	s->exit_code = run_exit_code(k);
	s->oom =
		k->machine.host_oom || (k->program.exited && k->program.exit.how == ARROW_EXIT_OOM);
	s->vm_pid = 0;
	snprintf(s->error, sizeof(s->error), "%s", k->program.exited ? "" : k->failure.text);
}

void runs_tell_stop(const struct keeper *k)
{
	for (unsigned int i = 0; i < k->peers.n; i++)
		if (k->peers.v[i]->waits_for) {
			arrow_event(k->instance, "stop", NULL);
			return;
		}
}

void runs_tell_end(struct keeper *k, bool again)
{
	uint8_t failed[ARROW_FAILED_MAX], exited[ARROW_EXITED_BYTES];
	size_t length = strlen(k->failure.text);
	size_t size = arrow_failed_encode(failed, &(struct arrow_failed){
							  .process = 1,
							  .status = (uint32_t)run_exit_code(k),
							  .text = k->failure.text,
							  .length = length,
						  });

	arrow_exited_encode(exited, &k->program.exit);
	for (unsigned int i = 0; i < k->peers.n; i++) {
		struct peer *peer = k->peers.v[i];

		if (peer->waits_for == ARROW_RESTART && again)
			continue;
		if (peer->waits_for == ARROW_RESTART)
			peer_answer(peer, ARROW_RESTART, EIO,
				length ? k->failure.text : "it was stopped meanwhile");
		else if (peer->waits_for)
			peer_answer(peer, peer->waits_for, 0, NULL);
		if (k->program.exited)
			peer_send(peer, ARROW_CONTROL, ARROW_EXITED, exited, sizeof(exited));
		else
			peer_send(peer, ARROW_CONTROL, ARROW_FAILED, failed, size);
		peer->closing = true;
	}
}

/* The next run begins after a pause, or at once if it was asked for. */
static void run_wait_for_next(struct keeper *k)
{
	struct restarts *r = &k->restarts;
	uint64_t pause = r->pause_ms < BACKOFF_FIRST_MS ? BACKOFF_FIRST_MS : r->pause_ms;

	if (k->program.started && now_ms() - k->machine.started_ms >= BACKOFF_RESET_MS)
		pause = BACKOFF_FIRST_MS;
	if (r->now)
		pause = 0;
	r->pause_ms = pause * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : pause * 2;
	k->state->life = ARROW_LIFE_RESTARTING;
	if (!r->now)
		k->state->restarts++;
	keeper_write_state(k);
	runs_tell_stop(k);
	runs_tell_end(k, true);
	k->phase = WAITING;
	k->deadlines.phase = now_ms() + pause;
}

void runs_start(struct keeper *k)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	if (k->restarts.now)
		k->state->manual_stop = false;
	k->restarts.under_way = k->restarts.now;
	k->restarts.now = k->restarts.stopping = k->restarts.settled = false;
	k->program = (struct program){0};
	k->failure.status = 0;
	k->failure.text[0] = '\0';
	k->machine.host_oom = false;
	k->deadlines = (struct deadlines){0};
	peers_reset(&k->peers);
	if (vm_start(k, &error) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", error.text);
}

/* The VM and all that ran in it is over. */
static void run_settle(struct keeper *k)
{
	health_end(&k->health);
	execs_end(&k->execs);
	vm_end(k);
	log_finish(&k->log);
	run_note_end(k);
	if (k->state->oom)
		arrow_event(k->instance, "oom", NULL);
	arrow_event_number(k->instance, "die", "exitCode", k->state->exit_code);
	k->restarts.settled = true;
}

bool runs_end(struct keeper *k)
{
	/* One that was stopped in the pause before its restart had its end before that. */
	if (!k->restarts.settled)
		run_settle(k);
	if (!run_is_repeated(k))
		return false;
	run_wait_for_next(k);
	return true;
}

/* The phase takes too long. */
static void run_end_phase(struct keeper *k)
{
	bool ending = k->phase == ENDING;

	if (vm_fall_back(k, "it did not answer"))
		return;
	keeper_fail(k, ARROW_STATUS_ERROR,
		ending ? "the guest did not end within %u s after its program"
		       : "the guest did not start its program within %u s",
		k->deadlines.phase_ms / 1000);
}

void runs_check_deadlines(struct keeper *k)
{
	struct deadlines *d = &k->deadlines;
	uint64_t now = now_ms();

	/* Somebody still reads: no hurry, unless the Arrow is being stopped. */
	if (k->phase == ENDING && !k->restarts.stopping && peers_in_flight(&k->peers) > 0)
		d->phase = now + DONE_DEADLINE_MS;
	if (d->kill && now >= d->kill) {
		program_signal(k, SIGKILL);
		d->kill = 0;
	}
	if (d->vm_kill && now >= d->vm_kill)
		keeper_fail(k, 128 + SIGKILL,
			"the guest did not end its program after SIGKILL, so its VM was ended");
	else if (d->phase && now >= d->phase)
		run_end_phase(k);
	else if (d->timeout && now >= d->timeout)
		keeper_fail(k, 128 + SIGKILL,
			"timed out: the program was killed after %u s (--timeout)",
			k->config->spec->life.timeout);
	else
		vm_check(k);
}
