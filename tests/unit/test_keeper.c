// SPDX-License-Identifier: Apache-2.0
/*
 * The keeper and its parts: the queues of commands, the link to the guest, requests, processes
 * beside the program, pause and save, restarts; and each with a guest or a command that does not
 * play along.
 */
#include "tests/unit/keeper_world.h"

#include <dirent.h>
#include <sys/mman.h>

#include "core/keeper/requests.h"

/* --- commands -----------------------------------------------------------------------------------
 */

static void a_frame_is_taken_when_it_is_whole(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);
	struct peer *peer = world_last_peer(w);
	uint8_t bytes[ARROW_FRAME_HEADER + 4];
	struct arrow_frame f = {.stream = ARROW_CONTROL, .type = ARROW_ATTACH, .length = 4};
	const uint8_t *payload;

	arrow_frame_encode(bytes, f);
	arrow_put32(bytes + ARROW_FRAME_HEADER, 7);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_false(peer_peek(peer, &f, &payload));
		assert_int_equal(send(c->fd, bytes + i, 1, 0), 1);
		peer_fill(peer);
	}
	/* It stays until it is taken. */
	for (int i = 0; i < 2; i++) {
		assert_true(peer_peek(peer, &f, &payload));
		assert_int_equal(f.type, ARROW_ATTACH);
		assert_int_equal(arrow_get32(payload), 7);
	}
	peer_skip(peer);
	assert_false(peer_peek(peer, &f, &payload));
	assert_false(peer->gone);
}

static void a_command_that_sends_nonsense_is_cut_off(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);
	uint8_t bytes[ARROW_FRAME_HEADER];

	arrow_frame_encode(bytes, (struct arrow_frame){.length = ARROW_FRAME_MAX + 1});
	assert_int_equal(send(c->fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	world_settle(w);
	assert_int_equal(w->k.peers.n, 0);
}

static void a_request_that_is_short_or_unknown_is_answered(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);

	say(c, ARROW_CONTROL, ARROW_STOP, "1234", 4);
	expect_answer(w, c, ARROW_STOP, EINVAL, "too short");
	say(c, ARROW_CONTROL, 999, NULL, 0);
	expect_answer(w, c, 999, ENOSYS, "does not know");
	say_numbers(c, ARROW_KILL, 65, 0, 0);
	expect_answer(w, c, ARROW_KILL, EINVAL, "signal");
	assert_int_equal(w->k.phase, BOOTING);
}

/* Sends as much output as the guest may; returns how much. */
static size_t fill_output(struct world *w)
{
	static const uint8_t bytes[ARROW_FRAME_MAX];

	for (size_t sent = 0; sent < ARROW_WINDOW; sent += sizeof(bytes)) {
		say(&w->guest, ARROW_STREAM(1, 1), ARROW_DATA, bytes, sizeof(bytes));
		world_settle(w);
	}
	return ARROW_WINDOW;
}

static bool hears_credit(struct world *w)
{
	return hear_type(w, &w->guest, ARROW_CREDIT, NULL) != NULL;
}

static void output_waits_for_the_slowest_command(void **state)
{
	struct world *w = *state;
	struct channel *fast = world_connect(w), *slow = world_connect(w);
	uint8_t credit[4];

	world_start_program(w);
	say_numbers(fast, ARROW_ATTACH, 6, 0, 0);
	say_numbers(slow, ARROW_ATTACH, 6, 0, 0);
	expect_answer(w, fast, ARROW_ATTACH, 0, NULL);
	expect_answer(w, slow, ARROW_ATTACH, 0, NULL);
	arrow_put32(credit, (uint32_t)fill_output(w));
	say(fast, ARROW_STREAM(1, 1), ARROW_CREDIT, credit, 4);
	assert_false(hears_credit(w));
	say(slow, ARROW_STREAM(1, 1), ARROW_CREDIT, credit, 4);
	assert_true(hears_credit(w));
	assert_int_equal(w->k.phase, RUNNING);
}

static void a_command_that_never_reads_is_dropped_and_holds_nothing_up(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);
	struct peer *peer = world_last_peer(w);

	world_start_program(w);
	say_numbers(c, ARROW_ATTACH, 6, 0, 0);
	world_settle(w);
	fill_output(w);
	assert_false(hears_credit(w));
	assert_int_equal(w->k.peers.n, 1);
	assert_null(peers_find_stalled(&w->k.peers));
	peer->moved -= PEER_STALL_MS;
	assert_true(hears_credit(w));
	assert_int_equal(w->k.peers.n, 0);
	assert_int_equal(w->k.phase, RUNNING);
}

static void the_client_of_the_foreground_may_take_as_long_as_it_likes(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);
	struct peer *peer = world_last_peer(w);

	peer->bound = true;
	world_start_program(w);
	say_numbers(c, ARROW_ATTACH, 6, 0, 0);
	world_settle(w);
	fill_output(w);
	peer->moved -= PEER_STALL_MS;
	world_settle(w);
	assert_int_equal(w->k.peers.n, 1);
}

static void a_command_without_room_for_a_frame_is_cut_off(void **state)
{
	static const uint8_t bytes[ARROW_FRAME_MAX];
	struct world *w = *state;
	struct peer *peer;

	(void)world_connect(w);
	peer = world_last_peer(w);
	for (size_t sent = 0; sent <= CHANNEL_OUT_MAX; sent += sizeof(bytes))
		peer_send(peer, ARROW_CONTROL, ARROW_NOTE, bytes, sizeof(bytes));
	world_settle(w);
	assert_int_equal(w->k.peers.n, 0);
}

static void more_stdin_than_a_window_cuts_the_command_off(void **state)
{
	static const uint8_t bytes[ARROW_WINDOW];
	struct world *w = *state;
	struct peer *peer;

	(void)world_connect(w);
	peer = world_last_peer(w);
	peer_hold_input(peer, bytes, sizeof(bytes));
	world_settle(w);
	assert_int_equal(w->k.peers.n, 1);
	peer_hold_input(peer, bytes, 1);
	world_settle(w);
	assert_int_equal(w->k.peers.n, 0);
}

/* Brings a keeper to a phase. */
static void go_to_phase(struct world *w, enum phase phase)
{
	world_start(w);
	if (phase == BOOTING)
		return;
	if (phase == HANDING) {
		/* A job that does not fit into the channel, and is not read. */
		w->job.size = w->job.stable = 4 * CHANNEL_OUT_MAX;
		w->job.room = w->job.size + 4096;
		w->job.data = calloc(1, w->job.room);
		assert_non_null(w->job.data);
		say_numbers(&w->guest, ARROW_READY, ARROW_PROTOCOL_VERSION, 0, 0);
		world_settle(w);
		return;
	}
	world_run(w);
	if (phase == RUNNING)
		return;
	if (phase == ENDING) {
		say_numbers(&w->guest, ARROW_EXITED, 1, ARROW_EXIT_STATUS, 3);
		world_settle(w);
		return;
	}
	w->spec.life.restart = ARROW_RESTART_ALWAYS;
	world_exit(w, 3);
	assert_true(world_end_run(w));
	w->k.deadlines.phase = now_ms() + 60000; /* a long pause */
}

static const enum phase phases[] = {BOOTING, HANDING, RUNNING, ENDING, WAITING};

#define N_PHASES (sizeof(phases) / sizeof(*phases))

/* Calls a test in a world of its own for each phase. */
static void in_each_phase(void (*test)(struct world *w, enum phase phase))
{
	for (size_t i = 0; i < N_PHASES; i++) {
		void *state;

		assert_int_equal(world_make(&state), 0);
		go_to_phase(state, phases[i]);
		assert_int_equal(((struct world *)state)->k.phase, phases[i]);
		test(state, phases[i]);
		assert_int_equal(world_drop(&state), 0);
	}
}

static void client_hangs_up(struct world *w, enum phase phase)
{
	struct channel *c = world_connect(w), *other = world_connect(w);

	w->k.peers.v[0]->bound = true;
	hang_up(other);
	world_settle(w);
	assert_int_equal(w->k.phase, phase);
	assert_int_equal(w->k.peers.n, 1);
	hang_up(c);
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_int_equal(w->k.peers.n, 0);
	if (phase != ENDING && phase != WAITING)
		assert_string_equal(w->k.failure.text, "its client is gone");
}

static void a_foreground_run_ends_with_its_client_in_every_phase(void **state)
{
	in_each_phase(client_hangs_up);
}

static void client_detaches_and_hangs_up(struct world *w, enum phase phase)
{
	struct channel *c = world_connect(w);

	world_last_peer(w)->bound = true;
	say(c, ARROW_CONTROL, ARROW_DETACH, NULL, 0);
	hang_up(c);
	world_settle(w);
	assert_int_equal(w->k.phase, phase);
	assert_int_equal(w->k.peers.n, 0);
}

static void a_client_that_says_detach_leaves_the_arrow_running_in_every_phase(void **state)
{
	in_each_phase(client_detaches_and_hangs_up);
}

/* --- the link to the guest ----------------------------------------------------------------------
 */

static void a_job_larger_than_the_channel_arrives_whole(void **state)
{
	struct world *w = *state;
	struct arrow_frame f;
	const uint8_t *payload;
	size_t got = 0;

	go_to_phase(w, HANDING);
	for (size_t i = 0; i < w->job.size; i++)
		w->job.data[i] = w->k.guest.job_sent > i ? w->job.data[i] : (uint8_t)(i * 7);
	while (hear(w, &w->guest, &f, &payload) && f.type == ARROW_JOB) {
		for (uint32_t i = 0; i < f.length; i++)
			assert_int_equal(payload[i], w->job.data[got + i]);
		got += f.length;
	}
	assert_int_equal(f.type, ARROW_JOB_END);
	assert_int_equal(got, w->job.size);
	assert_int_equal(w->k.phase, RUNNING);
}

static void guest_hangs_up(struct world *w, enum phase phase)
{
	if (phase == WAITING) /* there is none */
		return;
	world_drop_guest(w);
	world_settle(w);
	assert_int_equal(w->k.phase, phase); /* its process tells the end */
	assert_false(guest_link_is_open(&w->k.guest));
	world_event(w, 'E');
	assert_int_equal(w->k.phase, OVER);
	if (phase == BOOTING)
		assert_non_null(strstr(w->k.failure.text, "did not boot"));
	else if (phase == ENDING)
		assert_int_equal(w->k.failure.status, 0); /* what the program ended with counts */
	else
		assert_non_null(strstr(w->k.failure.text, "ended without saying"));
}

static void the_end_of_a_guest_is_explained_in_every_phase(void **state)
{
	in_each_phase(guest_hangs_up);
}

static void guest_sends_nonsense(struct world *w, enum phase phase)
{
	uint8_t bytes[ARROW_FRAME_HEADER];

	if (phase == WAITING)
		return;
	arrow_frame_encode(bytes, (struct arrow_frame){.length = ARROW_FRAME_MAX + 1});
	assert_int_equal(send(w->guest.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	if (phase != ENDING)
		assert_non_null(strstr(w->k.failure.text, "broke the protocol"));
}

static void a_guest_that_breaks_the_protocol_is_ended_in_every_phase(void **state)
{
	in_each_phase(guest_sends_nonsense);
}

static void guest_says_ready(struct world *w, enum phase phase)
{
	if (phase == WAITING || phase == BOOTING)
		return;
	say_numbers(&w->guest, ARROW_READY, ARROW_PROTOCOL_VERSION, 0, 0);
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
}

static void a_frame_out_of_its_phase_is_not_taken(void **state)
{
	in_each_phase(guest_says_ready);
}

static void a_guest_that_sends_more_than_its_credit_is_ended(void **state)
{
	struct world *w = *state;

	world_start_program(w);
	(void)world_connect(w);
	world_last_peer(w)->streams = 6;
	fill_output(w);
	assert_int_equal(w->k.phase, RUNNING);
	say(&w->guest, ARROW_STREAM(1, 1), ARROW_DATA, "x", 1);
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_non_null(strstr(w->k.failure.text, "more output"));
}

static void a_guest_of_another_version_is_ended(void **state)
{
	struct world *w = *state;

	world_start(w);
	say_numbers(&w->guest, ARROW_READY, ARROW_PROTOCOL_VERSION + 1, 0, 0);
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_non_null(strstr(w->k.failure.text, "version"));
}

static void stdin_goes_as_far_as_the_guest_gives_credit(void **state)
{
	static const uint8_t bytes[ARROW_FRAME_MAX];
	struct world *w = *state;
	struct channel *c = world_connect(w);
	struct arrow_frame f;
	const uint8_t *payload;
	uint8_t credit[4];
	size_t got = 0;

	w->spec.process.stdin_once = true;
	world_start_program(w);
	say_numbers(c, ARROW_ATTACH, 1, 0, 0);
	for (unsigned int i = 0; i < ARROW_WINDOW / sizeof(bytes); i++) {
		say(c, ARROW_STREAM(1, 0), ARROW_DATA, bytes, sizeof(bytes));
		world_settle(w);
	}
	say(c, ARROW_STREAM(1, 0), ARROW_DATA, "more", 4);
	say(c, ARROW_STREAM(1, 0), ARROW_EOF, NULL, 0);
	while (hear(w, &w->guest, &f, &payload)) {
		assert_int_equal(f.type, ARROW_DATA);
		got += f.length;
	}
	assert_int_equal(got, ARROW_WINDOW);
	assert_non_null(hear_type(w, c, ARROW_CREDIT, NULL)); /* the command may send more */
	arrow_put32(credit, 4);
	say(&w->guest, ARROW_STREAM(1, 0), ARROW_CREDIT, credit, 4);
	payload = hear_type(w, &w->guest, ARROW_DATA, NULL);
	assert_non_null(payload);
	assert_memory_equal(payload, "more", 4);
	expect_type(w, &w->guest, ARROW_EOF);
	/* Whoever comes later learns that it is over. */
	say_numbers(c, ARROW_ATTACH, 1, 0, 0);
	expect_type(w, c, ARROW_CLOSED);
}

static void a_question_for_the_time_is_answered(void **state)
{
	struct world *w = *state;
	uint8_t asked[8];
	const uint8_t *answer;

	world_start_program(w);
	arrow_put64(asked, 42);
	say(&w->guest, ARROW_CONTROL, ARROW_TIME, asked, 8);
	answer = hear_type(w, &w->guest, ARROW_TIME, NULL);
	assert_non_null(answer);
	assert_int_equal(arrow_get64(answer), 42);
	assert_true(arrow_get64(answer + 8) > 1000000000ull * 1000000000ull);
}

/* --- processes beside the program ---------------------------------------------------------------
 */

/* A record of the job: an argument. */
static size_t put_exec(uint8_t *p, uint32_t number, const char *argument)
{
	uint32_t length = (uint32_t)strlen(argument);

	arrow_put32(p, number);
	arrow_put32(p + 4, ARROW_JOB_ARG);
	arrow_put32(p + 8, length);
	memcpy(p + 12, argument, length);
	return 12 + length;
}

/* A command asks for a process. */
static struct channel *ask_for_exec(struct world *w)
{
	struct channel *c = world_connect(w);
	uint8_t payload[64];

	say(c, ARROW_CONTROL, ARROW_EXEC, payload, put_exec(payload, 2, "ls"));
	say_numbers(c, ARROW_EXEC_END, 2, 0, 0);
	return c;
}

/* And it starts in the guest. Returns its number there. */
static struct channel *start_exec(struct world *w, uint32_t *number)
{
	struct channel *c = ask_for_exec(w);
	const uint8_t *payload = hear_type(w, &w->guest, ARROW_EXEC, NULL);

	assert_non_null(payload);
	*number = arrow_get32(payload);
	payload = hear_type(w, &w->guest, ARROW_EXEC_END, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload), *number);
	say_numbers(&w->guest, ARROW_STARTED, *number, 200, 0);
	payload = hear_type(w, c, ARROW_STARTED, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload), 2);
	return c;
}

static void end_exec(struct world *w, uint32_t number, uint32_t status)
{
	say_numbers(&w->guest, ARROW_EXITED, number, ARROW_EXIT_STATUS, status);
	say(&w->guest, ARROW_STREAM(number, 1), ARROW_EOF, NULL, 0);
	say(&w->guest, ARROW_STREAM(number, 2), ARROW_EOF, NULL, 0);
}

static void two_execs_have_numbers_of_their_own(void **state)
{
	struct world *w = *state;
	struct channel *a, *b;
	uint32_t number_a, number_b;
	const uint8_t *payload;

	world_start_program(w);
	a = start_exec(w, &number_a);
	b = start_exec(w, &number_b);
	assert_int_not_equal(number_a, number_b);
	say(&w->guest, ARROW_STREAM(number_b, 1), ARROW_DATA, "of b", 4);
	payload = hear_type(w, b, ARROW_DATA, NULL);
	assert_non_null(payload);
	assert_memory_equal(payload, "of b", 4);
	end_exec(w, number_a, 5);
	payload = hear_type(w, a, ARROW_EXITED, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload), 2);
	assert_int_equal(arrow_get32(payload + 8), 5);
	/* Its number is free again. */
	(void)start_exec(w, &number_a);
	assert_int_not_equal(number_a, number_b);
	assert_int_equal(world_count_events(w, "exec_die"), 1);
}

static void an_exec_is_refused_while_nothing_can_run(void **state)
{
	struct world *w = *state;
	const uint8_t *payload;
	uint32_t length;

	world_start(w);
	payload = hear_type(w, ask_for_exec(w), ARROW_FAILED, &length);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload + 8), ESRCH);
	world_run(w);
	w->k.state->life = ARROW_LIFE_PAUSED;
	payload = hear_type(w, ask_for_exec(w), ARROW_FAILED, &length);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload + 8), EBUSY);
}

static void there_are_only_so_many_execs(void **state)
{
	struct world *w = *state;
	struct exec *taken = (struct exec *)&w->spec; /* never looked at: its number is in use */
	struct channel *c = world_connect(w);
	uint8_t records[64];
	struct arrow_frame f = {.type = ARROW_EXEC, .length = (uint32_t)put_exec(records, 2, "ls")};
	const uint8_t *payload;

	for (unsigned int i = 1; i < ARROW_PROCESSES; i++)
		w->k.execs.v[i] = taken;
	assert_int_equal(execs_request(&w->k.execs, world_last_peer(w), f, records), 0);
	memset(w->k.execs.v, 0, sizeof(w->k.execs.v));
	payload = hear_type(w, c, ARROW_FAILED, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload + 8), EAGAIN);
}

static void an_exec_whose_command_is_gone_is_killed(void **state)
{
	struct world *w = *state;
	const uint8_t *payload;
	uint32_t number;

	world_start_program(w);
	hang_up(start_exec(w, &number));
	payload = hear_type(w, &w->guest, ARROW_SIGNAL, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload), number);
	assert_int_equal(arrow_get32(payload + 4), SIGKILL);
}

static void an_exec_that_was_detached_goes_on_and_its_output_is_dropped(void **state)
{
	static const uint8_t bytes[ARROW_FRAME_MAX];
	struct world *w = *state;
	struct channel *c;
	struct arrow_frame f;
	const uint8_t *payload;
	uint32_t number;

	world_start_program(w);
	c = start_exec(w, &number);
	say(c, ARROW_CONTROL, ARROW_DETACH, NULL, 0);
	hang_up(c);
	for (unsigned int sent = 0; sent < ARROW_WINDOW; sent += sizeof(bytes)) {
		say(&w->guest, ARROW_STREAM(number, 1), ARROW_DATA, bytes, sizeof(bytes));
		world_settle(w);
	}
	assert_true(hear(w, &w->guest, &f, &payload));
	assert_int_equal(f.type, ARROW_CREDIT);
	assert_int_equal(f.stream, ARROW_STREAM(number, 1));
}

static void an_exec_that_was_cut_off_is_refused_by_the_guest(void **state)
{
	struct world *w = *state;
	struct channel *c;
	uint8_t payload[64];
	const uint8_t *got;
	uint32_t number;

	world_start_program(w);
	c = world_connect(w);
	say(c, ARROW_CONTROL, ARROW_EXEC, payload, put_exec(payload, 2, "ls"));
	got = hear_type(w, &w->guest, ARROW_EXEC, NULL);
	assert_non_null(got);
	number = arrow_get32(got);
	hang_up(c);
	got = hear_type(w, &w->guest, ARROW_EXEC_END, NULL);
	assert_non_null(got);
	assert_int_equal(arrow_get32(got), number);
	say_numbers(&w->guest, ARROW_FAILED, number, 125, EINVAL);
	world_settle(w);
	assert_int_equal(w->k.phase, RUNNING);
	assert_null(w->k.execs.v[number - 1]);
}

static void execs_end_with_the_vm(void **state)
{
	struct world *w = *state;
	struct channel *c;
	const uint8_t *payload;
	uint32_t number;

	world_start_program(w);
	c = start_exec(w, &number);
	world_drop_guest(w);
	world_event(w, 'E');
	assert_false(world_end_run(w));
	w->k.phase = BOOTING; /* for another turn */
	payload = hear_type(w, c, ARROW_EXITED, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload + 4), ARROW_EXIT_SIGNAL);
	assert_int_equal(arrow_get32(payload + 8), SIGKILL);
}

/* --- a guest that does not read -----------------------------------------------------------------
 */

/* Fills the guest's channel with what an exec gets as stdin. Returns the exec's command. */
static struct channel *fill_guest(struct world *w)
{
	static const uint8_t bytes[ARROW_FRAME_MAX];
	uint32_t number;
	struct channel *c = start_exec(w, &number);

	for (int i = 0; i < 200 && guest_link_has_room(&w->k.guest); i++) {
		say(c, ARROW_STREAM(2, 0), ARROW_DATA, bytes, sizeof(bytes));
		world_settle(w);
	}
	assert_false(guest_link_has_room(&w->k.guest));
	/* And more, as much as the command's own channel takes. */
	for (int i = 0; i < 100; i++)
		if (channel_send(c, ARROW_STREAM(2, 0), ARROW_DATA, bytes, sizeof(bytes)) < 0)
			break;
	world_settle(w);
	(void)!channel_flush(c);
	world_settle(w);
	return c;
}

/* The guest reads again: the signal that comes, or 0. */
static uint32_t hear_signal(struct world *w)
{
	const uint8_t *payload;

	for (int i = 0; i < 400; i++) {
		payload = hear_type(w, &w->guest, ARROW_SIGNAL, NULL);
		if (!payload)
			return 0;
		if (arrow_get32(payload) == 1)
			return arrow_get32(payload + 4);
	}
	return 0;
}

static void a_stop_is_taken_while_the_guests_channel_is_full(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	fill_guest(w);
	c = world_connect(w);
	say_numbers(c, ARROW_STOP, 0, 10, 0);
	world_settle(w);
	assert_true(w->k.restarts.stopping);
	assert_true(w->k.deadlines.kill != 0);
	assert_int_equal(w->k.phase, RUNNING);
	assert_int_equal(hear_signal(w), SIGTERM);
}

static void a_guest_that_never_reads_is_ended_by_a_kill(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	fill_guest(w);
	c = world_connect(w);
	say_numbers(c, ARROW_KILL, SIGKILL, 0, 0);
	expect_answer(w, c, ARROW_KILL, 0, NULL);
	assert_true(w->k.deadlines.vm_kill != 0);
	w->k.deadlines.vm_kill = 1; /* its time has passed */
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	assert_int_equal(w->k.failure.status, 128 + SIGKILL);
}

static void a_paused_vm_is_unpaused_while_its_channel_is_full(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	fill_guest(w);
	c = world_connect(w);
	say(c, ARROW_CONTROL, ARROW_PAUSE, NULL, 0);
	world_settle(w);
	world_event(w, 'P');
	expect_answer(w, c, ARROW_PAUSE, 0, NULL);
	say(c, ARROW_CONTROL, ARROW_UNPAUSE, NULL, 0);
	world_settle(w);
	world_event(w, 'R');
	expect_answer(w, c, ARROW_UNPAUSE, 0, NULL);
	assert_int_equal(w->k.phase, RUNNING);
	expect_type(w, &w->guest, ARROW_TIME);
}

static void a_stop_is_taken_while_the_job_is_not(void **state)
{
	struct world *w = *state;
	struct channel *c;

	go_to_phase(w, HANDING);
	c = world_connect(w);
	say_numbers(c, ARROW_STOP, 0, 10, 0);
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
}

/* Turns until something is due in a while. Returns whether the keeper waited until then. */
static bool waits(struct world *w)
{
	uint64_t until = now_ms() + 50;
	unsigned int turns = 0;

	world_settle(w);
	while (now_ms() < until && turns < 20) {
		w->k.execs.due = until;
		keeper_turn(&w->k);
		turns++;
	}
	return turns < 20;
}

static void a_command_that_hangs_up_before_it_is_heard_does_not_make_the_keeper_spin(void **state)
{
	struct world *w = *state;
	struct channel *c;

	world_start_program(w);
	c = fill_guest(w);
	assert_true(waits(w));
	hang_up(c);
	assert_true(waits(w));
	assert_int_equal(w->k.phase, RUNNING);
}

static void a_command_that_hung_up_on_a_full_guest_is_dropped_in_the_end(void **state)
{
	struct world *w = *state;
	struct channel *c;
	struct peer *peer;

	world_start_program(w);
	fill_guest(w);
	c = ask_for_exec(w);
	peer = world_last_peer(w);
	hang_up(c);
	world_settle(w);
	assert_int_equal(w->k.peers.n, 2);
	peer->moved -= PEER_STALL_MS;
	world_settle(w);
	assert_int_equal(w->k.peers.n, 1);
}

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
		TEST(a_frame_is_taken_when_it_is_whole),
		TEST(a_command_that_sends_nonsense_is_cut_off),
		TEST(a_request_that_is_short_or_unknown_is_answered),
		TEST(output_waits_for_the_slowest_command),
		TEST(a_command_that_never_reads_is_dropped_and_holds_nothing_up),
		TEST(the_client_of_the_foreground_may_take_as_long_as_it_likes),
		TEST(a_command_without_room_for_a_frame_is_cut_off),
		TEST(more_stdin_than_a_window_cuts_the_command_off),
		cmocka_unit_test(a_foreground_run_ends_with_its_client_in_every_phase),
		cmocka_unit_test(a_client_that_says_detach_leaves_the_arrow_running_in_every_phase),
		TEST(a_job_larger_than_the_channel_arrives_whole),
		cmocka_unit_test(the_end_of_a_guest_is_explained_in_every_phase),
		cmocka_unit_test(a_guest_that_breaks_the_protocol_is_ended_in_every_phase),
		cmocka_unit_test(a_frame_out_of_its_phase_is_not_taken),
		TEST(a_guest_that_sends_more_than_its_credit_is_ended),
		TEST(a_guest_of_another_version_is_ended),
		TEST(stdin_goes_as_far_as_the_guest_gives_credit),
		TEST(a_question_for_the_time_is_answered),
		TEST(two_execs_have_numbers_of_their_own),
		TEST(an_exec_is_refused_while_nothing_can_run),
		TEST(there_are_only_so_many_execs),
		TEST(an_exec_whose_command_is_gone_is_killed),
		TEST(an_exec_that_was_detached_goes_on_and_its_output_is_dropped),
		TEST(an_exec_that_was_cut_off_is_refused_by_the_guest),
		TEST(execs_end_with_the_vm),
		TEST(a_stop_is_taken_while_the_guests_channel_is_full),
		TEST(a_guest_that_never_reads_is_ended_by_a_kill),
		TEST(a_paused_vm_is_unpaused_while_its_channel_is_full),
		TEST(a_stop_is_taken_while_the_job_is_not),
		TEST(a_command_that_hangs_up_before_it_is_heard_does_not_make_the_keeper_spin),
		TEST(a_command_that_hung_up_on_a_full_guest_is_dropped_in_the_end),
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

	return cmocka_run_group_tests(tests, NULL, NULL);
}
