// SPDX-License-Identifier: Apache-2.0
/*
 * The keeper: pause and save, runs and restarts.
 */
#include "tests/unit/keeper_world.h"

#include <dirent.h>
#include <sys/mman.h>

#include "core/keeper/requests.h"

/* --- pause and save ------------------------------------------------------------------------------
 */

/* The engine has answered what it was asked behind the last resume. */
static void settle_engine(struct world *w)
{
	world_event(w, 'A');
}

static struct channel *pause_vm(struct world *w)
{
	struct channel *c = world_connect(w);

	say(c, ARROW_CONTROL, ARROW_PAUSE, NULL, 0);
	world_settle(w);
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
	world_event(w, 'P');
	expect_answer(w, c, ARROW_PAUSE, 0, NULL);
	assert_int_equal(w->k.state->life, ARROW_LIFE_PAUSED);
	return c;
}

static void a_vm_is_paused_and_goes_on(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = pause_vm(w);
	say(c, ARROW_CONTROL, ARROW_PAUSE, NULL, 0);
	expect_answer(w, c, ARROW_PAUSE, EBUSY, "already paused");
	say(c, ARROW_CONTROL, ARROW_UNPAUSE, NULL, 0);
	world_settle(w);
	world_event(w, 'R');
	expect_answer(w, c, ARROW_UNPAUSE, 0, NULL);
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
	say(c, ARROW_CONTROL, ARROW_UNPAUSE, NULL, 0);
	expect_answer(w, c, ARROW_UNPAUSE, EBUSY, "not paused");
	expect_type(w, &w->guest, ARROW_TIME);
}

static void a_signal_lets_a_paused_vm_go_on(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = pause_vm(w);
	say_numbers(c, ARROW_KILL, SIGUSR1, 0, 0);
	expect_answer(w, c, ARROW_KILL, 0, NULL);
	assert_int_equal(fake.resumes, 1);
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
	assert_int_equal(hear_signal(w), SIGUSR1);
	/* Paused again before the engine has let it go on: what is known of it is out of date. */
	say(c, ARROW_CONTROL, ARROW_PAUSE, NULL, 0);
	world_settle(w);
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
	world_event(w, 'R');
	settle_engine(w);
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
	world_event(w, 'P');
	expect_answer(w, c, ARROW_PAUSE, 0, NULL);
	assert_int_equal(w->k.state->life, ARROW_LIFE_PAUSED);
}

static void a_pause_that_comes_too_late_does_not_last(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);

	world_start_program(w);
	say(c, ARROW_CONTROL, ARROW_PAUSE, NULL, 0);
	world_settle(w);
	w->k.snapshot.deadline = 1; /* its time has passed */
	expect_answer(w, c, ARROW_PAUSE, ETIMEDOUT, "does not answer");
	world_event(w, 'P');
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
	assert_int_equal(fake.resumes, 1); /* so the VM does not stand still for ever */
	world_event(w, 'R');
	settle_engine(w);
	/* And another one begins anew. */
	say(c, ARROW_CONTROL, ARROW_PAUSE, NULL, 0);
	world_settle(w);
	assert_int_equal(fake.pauses, 2);
	world_event(w, 'P');
	expect_answer(w, c, ARROW_PAUSE, 0, NULL);
}

static void an_unpause_that_comes_late_is_noticed(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = pause_vm(w);
	say(c, ARROW_CONTROL, ARROW_UNPAUSE, NULL, 0);
	world_settle(w);
	w->k.snapshot.deadline = 1;
	expect_answer(w, c, ARROW_UNPAUSE, ETIMEDOUT, NULL);
	assert_int_equal(w->k.state->life, ARROW_LIFE_PAUSED);
	world_event(w, 'R');
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
}

/* A command asks for a save, to a file of the world. */
static struct channel *ask_for_save(struct world *w, bool stay)
{
	struct channel *c = world_connect(w);
	uint8_t payload[256];
	int n;

	arrow_put32(payload, stay);
	n = snprintf((char *)payload + 4, sizeof(payload) - 4, "%s/vm", w->data);
	close(open((char *)payload + 4, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	say(c, ARROW_CONTROL, ARROW_SNAPSHOT, payload, 4 + (size_t)n);
	return c;
}

/* And the loader holds still. */
static struct channel *begin_save(struct world *w, bool stay)
{
	struct channel *c = ask_for_save(w, stay);

	expect_type(w, &w->guest, ARROW_SAVE);
	assert_int_equal(w->k.snapshot.step, SNAPSHOT_HOLD);
	return c;
}

static struct channel *begin_write(struct world *w, bool stay)
{
	struct channel *c = begin_save(w, stay);

	say_numbers(&w->guest, ARROW_SAVED, 0, 1, 0);
	world_settle(w);
	assert_int_equal(w->k.snapshot.step, SNAPSHOT_PAUSE);
	world_event(w, 'P');
	assert_int_equal(w->k.snapshot.step, SNAPSHOT_WRITE);
	assert_int_equal(fake.writes, 1);
	return c;
}

static void a_vm_is_saved_and_goes_on(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = begin_write(w, false);
	world_event(w, 'W');
	expect_answer(w, c, ARROW_SNAPSHOT, 0, NULL);
	assert_int_equal(fake.resumes, 1);
	expect_type(w, &w->guest, ARROW_RESUME);
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
}

static void a_vm_is_saved_and_stays_paused(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = begin_write(w, true);
	world_event(w, 'W');
	expect_answer(w, c, ARROW_SNAPSHOT, 0, NULL);
	assert_int_equal(fake.resumes, 0);
	assert_int_equal(w->k.state->life, ARROW_LIFE_PAUSED);
	say(c, ARROW_CONTROL, ARROW_UNPAUSE, NULL, 0);
	world_settle(w);
	world_event(w, 'R');
	expect_answer(w, c, ARROW_UNPAUSE, 0, NULL);
	expect_type(w, &w->guest, ARROW_RESUME);
}

static void a_save_that_fails_lets_the_vm_go_on(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = begin_save(w, true);
	say_numbers(&w->guest, ARROW_SAVED, EIO, 1, 0);
	expect_answer(w, c, ARROW_SNAPSHOT, EIO, "hold its programs still");
	expect_type(w, &w->guest, ARROW_RESUME);

	c = begin_save(w, true);
	w->k.snapshot.deadline = 1;
	expect_answer(w, c, ARROW_SNAPSHOT, ETIMEDOUT, "too long");
	expect_type(w, &w->guest, ARROW_RESUME);

	fake.write_fails = true;
	c = begin_save(w, true);
	/* The answer to the one before comes too late, and is not taken for that to this one. */
	say_numbers(&w->guest, ARROW_SAVED, 0, 1, 0);
	world_settle(w);
	assert_int_equal(w->k.snapshot.step, SNAPSHOT_HOLD);
	say_numbers(&w->guest, ARROW_SAVED, 0, 1, 0);
	world_settle(w);
	world_event(w, 'P');
	expect_answer(w, c, ARROW_SNAPSHOT, EIO, "cannot write today");
	expect_type(w, &w->guest, ARROW_RESUME);
	assert_int_equal(fake.resumes, 1);
	assert_int_equal(w->k.state->life, ARROW_LIFE_RUNNING);
}

static void a_save_is_refused_where_it_cannot_be(void **state)
{
	struct world *w = *state;

	world_start(w);
	expect_answer(w, ask_for_save(w, false), ARROW_SNAPSHOT, EBUSY, "does not run");
	world_run(w);
	w->k.machine.memory = 1 << 20;
	expect_answer(w, ask_for_save(w, false), ARROW_SNAPSHOT, EBUSY, "memory");
	w->k.machine.memory = 0;
	pause_vm(w);
	expect_answer(w, ask_for_save(w, false), ARROW_SNAPSHOT, EBUSY, "unpause it");
}

static void a_signal_cancels_a_save_that_has_not_begun_to_write(void **state)
{
	struct world *w = *state;
	struct channel *c, *other = world_connect(w);

	world_start_program(w);
	c = begin_save(w, false);
	say_numbers(other, ARROW_KILL, SIGUSR1, 0, 0);
	expect_answer(w, other, ARROW_KILL, 0, NULL);
	expect_answer(w, c, ARROW_SNAPSHOT, ECANCELED, NULL);
	assert_int_equal(hear_signal(w), SIGUSR1); /* in front of RESUME: nothing was skipped */
	expect_type(w, &w->guest, ARROW_RESUME);
}

static void requests_are_taken_while_a_vm_is_written(void **state)
{
	struct world *w = *state;
	struct channel *c, *other, *exec;
	struct arrow_frame f;
	const uint8_t *payload;

	world_start_program(w);
	c = begin_write(w, false);
	other = world_connect(w);
	say(other, ARROW_CONTROL, ARROW_PAUSE, NULL, 0);
	expect_answer(w, other, ARROW_PAUSE, EBUSY, "being saved");
	say(other, ARROW_CONTROL, ARROW_NETWORKS, NULL, 0);
	expect_answer(w, other, ARROW_NETWORKS, EAGAIN, "being saved");
	exec = ask_for_exec(w);
	say_numbers(other, ARROW_STOP, 0, 10, 0);
	world_settle(w);
	assert_true(w->k.restarts.stopping);
	assert_true(waits(w));
	/* Nothing reaches the guest meanwhile: it would be cut by the save. */
	assert_false(hear(w, &w->guest, &f, &payload));
	world_event(w, 'W');
	expect_answer(w, c, ARROW_SNAPSHOT, 0, NULL);
	assert_int_equal(hear_signal(w), SIGTERM);
	expect_type(w, &w->guest, ARROW_RESUME);
	expect_type(w, &w->guest, ARROW_EXEC);
	assert_true(exec->fd >= 0);
}

static void a_save_ends_with_the_vm(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = begin_write(w, false);
	world_drop_guest(w);
	world_event(w, 'E');
	assert_int_equal(w->k.phase, OVER);
	expect_answer(w, c, ARROW_SNAPSHOT, ESRCH, "ended");
	assert_int_equal(w->k.snapshot.fd, -1);
}

static void a_save_whose_command_is_gone_goes_on(void **state)
{
	struct world *w = *state;

	world_start_program(w);
	hang_up(begin_write(w, true));
	world_settle(w);
	assert_int_equal(w->k.peers.n, 0);
	world_event(w, 'W');
	assert_int_equal(w->k.state->life, ARROW_LIFE_PAUSED);
}

/* --- runs and restarts ---------------------------------------------------------------------------
 */

static void on_failure_starts_again_as_often_as_it_says(void **state)
{
	struct world *w = *state;

	w->spec.life.restart = ARROW_RESTART_ON_FAILURE;
	w->spec.life.restart_max = 2;
	for (uint32_t i = 1; i <= 2; i++) {
		world_start_program(w);
		world_exit(w, 1);
		assert_true(world_end_run(w));
		assert_int_equal(w->k.state->restarts, i);
		assert_int_equal(w->k.state->life, ARROW_LIFE_RESTARTING);
	}
	world_start_program(w);
	world_exit(w, 1);
	assert_false(world_end_run(w));
	assert_int_equal(w->k.state->exit_code, 1);
	assert_int_equal(world_count_events(w, "die"), 3);
}

static void a_success_is_no_failure(void **state)
{
	struct world *w = *state;

	w->spec.life.restart = ARROW_RESTART_ON_FAILURE;
	world_start_program(w);
	world_exit(w, 0);
	assert_false(world_end_run(w));
}

static void the_pause_before_a_restart_doubles(void **state)
{
	struct world *w = *state;
	uint64_t before = 0;

	w->spec.life.restart = ARROW_RESTART_ALWAYS;
	for (int i = 0; i < 15; i++) {
		uint64_t next;

		world_start_program(w);
		world_exit(w, 0);
		assert_true(world_end_run(w));
		next = w->k.restarts.pause_ms;
		assert_true(i == 0 || next == 2 * before || next == 60000);
		before = next;
	}
	assert_int_equal(before, 60000);
	/* A run that was long enough begins anew. */
	world_start_program(w);
	w->k.machine.started_ms -= 10000;
	world_exit(w, 0);
	assert_true(world_end_run(w));
	assert_int_equal(w->k.restarts.pause_ms, 200);
}

static void unless_stopped_respects_a_stop_by_hand(void **state)
{
	struct world *w = *state;

	w->spec.life.restart = ARROW_RESTART_UNLESS_STOPPED;
	world_start_program(w);
	world_exit(w, 0);
	assert_true(world_end_run(w));
	world_start_program(w);
	w->k.state->manual_stop = true;
	world_exit(w, 0);
	assert_false(world_end_run(w));
}

static void a_vm_that_cannot_be_started_ends_the_run(void **state)
{
	struct world *w = *state;

	fake.start_fails = true;
	runs_start(&w->k);
	assert_int_equal(w->k.phase, OVER);
	assert_string_equal(w->k.failure.text, "no VM today");
	w->spec.life.restart = ARROW_RESTART_ALWAYS;
	assert_false(world_end_run(w)); /* never started, so it is not tried again */
}

static void restart_starts_again_at_once_and_is_answered_then(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);

	world_start_program(w);
	say_numbers(c, ARROW_RESTART, 0, 10, 0);
	world_settle(w);
	assert_int_equal(hear_signal(w), SIGTERM);
	world_exit(w, 0);
	assert_true(world_end_run(w));
	assert_int_equal(w->k.state->restarts, 0);
	world_turn(w);
	assert_int_equal(w->k.phase, BOOTING);
	assert_int_equal(fake.starts, 2);
	world_take_guest(w);
	world_run(w);
	expect_answer(w, c, ARROW_RESTART, 0, NULL);
	assert_int_equal(world_count_events(w, "restart"), 1);
}

static void a_stop_in_the_pause_before_a_restart_ends_it_once(void **state)
{
	struct world *w = *state;
	struct channel *c;

	go_to_phase(w, WAITING);
	strcpy(w->k.state->finished, "then");
	c = world_connect(w);
	say_numbers(c, ARROW_STOP, 0, 10, 0);
	world_settle(w);
	assert_false(world_end_run(w));
	assert_int_equal(world_count_events(w, "die"), 1);
	assert_string_equal(w->k.state->finished, "then");
	assert_int_equal(w->k.state->exit_code, 3);
	runs_tell_end(&w->k, false);
	assert_int_equal(w->k.peers.v[0]->waits_for, 0);
}

static void a_kill_in_the_pause_before_a_restart_ends_it(void **state)
{
	struct world *w = *state;
	struct channel *c;

	go_to_phase(w, WAITING);
	w->spec.life.stop_signal = SIGTERM;
	c = world_connect(w);
	/* One that does not end an Arrow has no program to reach. */
	say_numbers(c, ARROW_KILL, SIGUSR1, 0, 0);
	expect_answer(w, c, ARROW_KILL, ESRCH, NULL);
	assert_int_equal(w->k.phase, WAITING);
	assert_false(w->k.state->manual_stop);
	say_numbers(c, ARROW_KILL, SIGKILL, 0, 0);
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_true(w->k.state->manual_stop);
	assert_false(world_end_run(w));
	assert_int_equal(world_count_events(w, "die"), 1);
}

static void a_restart_that_is_stopped_is_answered(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w), *other = world_connect(w);

	world_start_program(w);
	say_numbers(c, ARROW_RESTART, 0, 10, 0);
	world_settle(w);
	say_numbers(other, ARROW_STOP, 0, 10, 0);
	world_settle(w);
	world_exit(w, 0);
	assert_false(world_end_run(w));
	runs_tell_end(&w->k, false);
	for (unsigned int i = 0; i < w->k.peers.n; i++)
		assert_true(peer_flush(w->k.peers.v[i]));
	expect_answer(w, c, ARROW_RESTART, EIO, "stopped meanwhile");
	expect_answer(w, other, ARROW_STOP, 0, NULL);
}

static int give_pids(struct arrow_spec *spec, void *arg, struct arrow_error *error)
{
	spec->limits.pids_max = 77;
	return 0;
}

static bool job_has_pids(const struct arrow_job *job)
{
	for (size_t at = 0; at < job->size; at += 8 + arrow_get32(job->data + at + 4))
		if (arrow_get32(job->data + at) == ARROW_JOB_PIDS_MAX)
			return arrow_get32(job->data + at + 8) == 77;
	return false;
}

static void an_update_while_the_job_is_handed_out_counts_for_the_next_run(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct world *w = *state;
	struct channel *c = world_connect(w);
	size_t size;

	assert_int_equal(arrow_job_refresh(&w->job), 0);
	world_start(w);
	say_numbers(&w->guest, ARROW_READY, ARROW_PROTOCOL_VERSION, 0, 0);
	for (int i = 0; i < MANY_TURNS && w->k.phase == BOOTING; i++)
		world_turn(w);
	assert_int_equal(w->k.phase, HANDING);
	size = w->job.size;
	assert_int_equal(arrow_instance_change(&w->paths, w->instance.id, give_pids, NULL, &e), 0);
	say_numbers(c, ARROW_RELOAD, 0, 0, 0);
	peer_fill(world_last_peer(w));
	assert_true(requests_take(&w->k, world_last_peer(w)));
	assert_int_equal(w->k.phase, HANDING);
	assert_int_equal(w->job.size, size); /* what is on its way stays as it is */
	expect_answer(w, c, ARROW_RELOAD, 0, NULL);
	expect_type(w, &w->guest, ARROW_JOB_END);
	world_drop_guest(w);
	world_event(w, 'E');
	(void)world_end_run(w);

	world_start(w);
	world_ready(w);
	assert_true(job_has_pids(&w->job));
}

/* A template whose files cannot be read from their beginning are of another kind. */
static void use_template(struct world *w, struct arrow_template *t, int state_fd)
{
	*t = (struct arrow_template){
		.dir = w->run, .ram_fd = -1, .state_fd = state_fd, .code_fd = -1};
	w->k.machine.template = t;
}

static void a_clone_that_does_not_start_makes_room_for_a_cold_vm(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int file = memfd_create("state", MFD_CLOEXEC);
	struct arrow_template t;
	char dir[] = "/tmp/arrow-unit-XXXXXX";

	assert_non_null(mkdtemp(dir));
	use_template(w, &t, file);
	t.dir = dir;
	runs_start(&w->k);
	assert_int_equal(w->k.phase, HANDING);
	world_take_guest(w);
	world_settle(w);
	w->k.deadlines.phase = 1;
	world_drop_guest(w);
	world_turn(w);
	assert_int_equal(fake.starts, 2);
	assert_int_equal(w->k.phase, BOOTING);
	assert_null(w->k.machine.template);
	world_take_guest(w);
	world_run(w);
	(void)remove_tree(AT_FDCWD, dir);
}

static void the_deadline_that_a_message_names_is_the_one_that_passed(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int file = memfd_create("state", MFD_CLOEXEC);
	struct arrow_template t;

	use_template(w, &t, file);
	t.running = true; /* of a saved Arrow, which no cold VM can take over */
	runs_start(&w->k);
	world_take_guest(w);
	world_settle(w);
	assert_int_equal(w->k.phase, RUNNING);
	w->k.deadlines.phase = 1;
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_non_null(strstr(w->k.failure.text, "within 30 s"));
}

static unsigned int count_files(void)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	return n;
}

static void a_template_that_cannot_be_read_leaves_no_descriptors(void **state)
{
	struct world *w = *state;
	struct arrow_template t;
	unsigned int before;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	use_template(w, &t, fds[0]);
	before = count_files();
	runs_start(&w->k);
	assert_int_equal(w->k.phase, OVER);
	assert_non_null(strstr(w->k.failure.text, "cannot read the template"));
	assert_false(world_end_run(w));
	assert_int_equal(count_files(), before);
	close(fds[0]);
	close(fds[1]);
}

static void a_program_that_ended_is_told_with_its_status(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);
	const uint8_t *payload;

	world_start_program(w);
	world_exit(w, 7);
	assert_false(world_end_run(w));
	assert_int_equal(w->k.state->exit_code, 7);
	runs_tell_end(&w->k, false);
	assert_true(peer_flush(world_last_peer(w)));
	payload = hear_type(w, c, ARROW_EXITED, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload + 8), 7);
}

static void a_timeout_ends_the_program(void **state)
{
	struct world *w = *state;

	w->spec.life.timeout = 3600;
	world_start_program(w);
	assert_true(w->k.deadlines.timeout != 0);
	w->k.deadlines.timeout = 1;
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_non_null(strstr(w->k.failure.text, "timed out"));
}

static void a_vm_that_does_not_answer_is_ended(void **state)
{
	struct world *w = *state;

	world_start_program(w);
	w->k.machine.next_check = 1;
	world_settle(w);
	assert_int_equal(fake.vm.asked, 1);
	assert_int_equal(w->k.phase, RUNNING);
	w->k.machine.last_answer = 1;
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_non_null(strstr(w->k.failure.text, "has not answered"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_make, world_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vm_is_paused_and_goes_on),
		TEST(a_signal_lets_a_paused_vm_go_on),
		TEST(a_pause_that_comes_too_late_does_not_last),
		TEST(an_unpause_that_comes_late_is_noticed),
		TEST(a_vm_is_saved_and_goes_on),
		TEST(a_vm_is_saved_and_stays_paused),
		TEST(a_save_that_fails_lets_the_vm_go_on),
		TEST(a_save_is_refused_where_it_cannot_be),
		TEST(a_signal_cancels_a_save_that_has_not_begun_to_write),
		TEST(requests_are_taken_while_a_vm_is_written),
		TEST(a_save_ends_with_the_vm),
		TEST(a_save_whose_command_is_gone_goes_on),
		TEST(on_failure_starts_again_as_often_as_it_says),
		TEST(a_success_is_no_failure),
		TEST(the_pause_before_a_restart_doubles),
		TEST(unless_stopped_respects_a_stop_by_hand),
		TEST(a_vm_that_cannot_be_started_ends_the_run),
		TEST(restart_starts_again_at_once_and_is_answered_then),
		TEST(a_stop_in_the_pause_before_a_restart_ends_it_once),
		TEST(a_kill_in_the_pause_before_a_restart_ends_it),
		TEST(a_restart_that_is_stopped_is_answered),
		TEST(an_update_while_the_job_is_handed_out_counts_for_the_next_run),
		TEST(a_clone_that_does_not_start_makes_room_for_a_cold_vm),
		TEST(the_deadline_that_a_message_names_is_the_one_that_passed),
		TEST(a_template_that_cannot_be_read_leaves_no_descriptors),
		TEST(a_program_that_ended_is_told_with_its_status),
		TEST(a_timeout_ends_the_program),
		TEST(a_vm_that_does_not_answer_is_ended),
	};

	return cmocka_run_group_tests_name("keeper_runs", tests, NULL, NULL);
}
