// SPDX-License-Identifier: Apache-2.0
/*
 * The keeper and its parts: the queues of commands and the link to the guest, and each with a guest
 * or a command that does not play along.
 */
#include "tests/unit/keeper_world.h"

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

/* As many commands as there can be; the next one is told so, and is no command. */
static void a_command_too_many_is_told(void **state)
{
	struct world *w = *state;
	struct peers *peers = &w->k.peers;
	struct peer *last;
	struct channel c;
	struct arrow_frame f;
	struct arrow_answer answer;
	const uint8_t *payload;
	int s[2], t[2];

	assert_int_equal(peers->n, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t), 0);
	peers->n = PEERS_MAX - 1;
	last = peers_add(peers, s[0]);
	assert_non_null(last);
	assert_int_equal(peers->n, 300);
	assert_int_equal(send(t[1], "not read", 8, 0), 8);
	assert_null(peers_add(peers, t[0]));
	assert_int_equal(peers->n, 300);
	peers_remove(peers, last);
	peers->n = 0;
	close(s[1]);

	assert_int_equal(channel_init(&c, t[1]), 0);
	(void)!channel_fill(&c);
	assert_int_equal(channel_next(&c, &f, &payload), 1);
	assert_int_equal(f.stream, ARROW_CONTROL);
	assert_int_equal(f.type, ARROW_ANSWER);
	assert_int_equal(arrow_answer_decode(payload, f.length, &answer), 0);
	assert_int_equal(answer.request, 0);
	assert_int_equal(answer.err, EAGAIN);
	assert_int_equal(strncmp((const char *)answer.data, "at most 300 commands", 20), 0);
	assert_int_equal(channel_fill(&c), -EPIPE);
	channel_release(&c);
}

static void a_request_that_is_malformed_or_unknown_is_answered(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t length;
	} malformed[] = {
		{ARROW_STOP, 4},
		{ARROW_STOP, 12},
		{ARROW_RESTART, 7},
		{ARROW_KILL, 3},
		{ARROW_KILL, 8},
		{ARROW_ATTACH, 0},
		{ARROW_ATTACH, 5},
		{ARROW_DETACH, 1},
		{ARROW_RELOAD, 0},
		{ARROW_RELOAD, 8},
		{ARROW_PAUSE, 4},
		{ARROW_UNPAUSE, 1},
		{ARROW_SNAPSHOT, 4},
		{ARROW_NETWORKS, 4},
		{ARROW_SIGNAL, 7},
		{ARROW_SIGNAL, 9},
		{ARROW_WINSIZE, 4},
		{ARROW_WINSIZE, 12},
	};
	static const uint8_t bytes[16] = {1};
	struct world *w = *state;
	struct channel *c = world_connect(w);

	for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++) {
		say(c, ARROW_CONTROL, malformed[i].type, bytes, malformed[i].length);
		expect_answer(w, c, malformed[i].type, EINVAL, "malformed");
	}
	say(c, ARROW_CONTROL, 999, NULL, 0);
	expect_answer(w, c, 999, ENOSYS, "does not know");
	say_numbers(c, ARROW_KILL, 65, 0, 0);
	expect_answer(w, c, ARROW_KILL, EINVAL, "malformed");
	say_numbers(c, ARROW_ATTACH, 8, 0, 0);
	expect_answer(w, c, ARROW_ATTACH, EINVAL, "malformed");
	assert_int_equal(w->k.phase, BOOTING);
	assert_int_equal(w->k.peers.n, 1);
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

/* Numbers that no loader sends, in frames that are else in order. */
static void a_guest_that_sends_numbers_out_of_range_is_ended(void **state)
{
	static const struct {
		uint16_t stream, type;
		uint32_t length, numbers[3];
	} frames[] = {
		{0, ARROW_EXITED, 12, {1, ARROW_EXIT_OOM + 1, 9}},
		{0, ARROW_EXITED, 12, {1, ARROW_EXIT_STATUS, 256}},
		{0, ARROW_EXITED, 12, {1, ARROW_EXIT_SIGNAL, 65}},
		{0, ARROW_EXITED, 12, {0, 0, 0}},
		{0, ARROW_EXITED, 8, {1, 0, 0}},
		{0, ARROW_EXITED, 12, {ARROW_PROCESSES + 1, 0, 0}},
		{0, ARROW_FAILED, 12, {1, 0, 2}},
		{0, ARROW_FAILED, 12, {1, 256, 2}},
		{0, ARROW_FAILED, 8, {1, 125, 0}},
		{0, ARROW_FAILED, 12, {UINT32_MAX, 125, 2}},
		{0, ARROW_SAVED, 8, {0, 2, 0}},
		{0, ARROW_SAVED, 12, {0, 1, 0}},
		{0, ARROW_TIME, 4, {1, 0, 0}},
		{0, ARROW_STARTED, 8, {300, 5, 0}},
		{ARROW_STREAM(1, 0), ARROW_CREDIT, 4, {ARROW_WINDOW + 1, 0, 0}},
		{ARROW_STREAM(1, 0), ARROW_CREDIT, 3, {1, 0, 0}},
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
		uint8_t payload[12];
		struct world *w;
		void *own;

		assert_int_equal(world_make(&own), 0);
		w = own;
		world_start_program(w);
		for (size_t n = 0; n < 3; n++)
			arrow_put32(payload + 4 * n, frames[i].numbers[n]);
		say(&w->guest, frames[i].stream, frames[i].type, payload, frames[i].length);
		world_settle(w);
		if (w->k.phase != OVER || !strstr(w->k.failure.text, "broke the protocol"))
			fail_msg("frame %zu was taken", i);
		assert_int_equal(world_drop(&own), 0);
	}
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_make, world_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_is_taken_when_it_is_whole),
		TEST(a_command_that_sends_nonsense_is_cut_off),
		TEST(a_command_too_many_is_told),
		TEST(a_request_that_is_malformed_or_unknown_is_answered),
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
		TEST(a_guest_that_sends_numbers_out_of_range_is_ended),
		TEST(a_guest_that_sends_more_than_its_credit_is_ended),
		TEST(a_guest_of_another_version_is_ended),
		TEST(stdin_goes_as_far_as_the_guest_gives_credit),
		TEST(a_question_for_the_time_is_answered),
		TEST(a_stop_is_taken_while_the_guests_channel_is_full),
		TEST(a_guest_that_never_reads_is_ended_by_a_kill),
		TEST(a_paused_vm_is_unpaused_while_its_channel_is_full),
		TEST(a_stop_is_taken_while_the_job_is_not),
		TEST(a_command_that_hangs_up_before_it_is_heard_does_not_make_the_keeper_spin),
		TEST(a_command_that_hung_up_on_a_full_guest_is_dropped_in_the_end),
	};

	return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
