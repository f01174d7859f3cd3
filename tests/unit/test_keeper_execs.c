// SPDX-License-Identifier: Apache-2.0
/*
 * The keeper: processes beside the program, and what a guest may say of them and of others, once.
 */
#include "tests/unit/keeper_world.h"

/* --- processes beside the program ---------------------------------------------------------------
 */

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
	_cleanup_free_ char *text = NULL;
	const uint8_t *payload;

	/* The last number is given. */
	for (unsigned int i = 1; i < ARROW_PROCESSES - 1; i++)
		w->k.execs.v[i] = taken;
	assert_int_equal(execs_request(&w->k.execs, world_last_peer(w), f, records), 0);
	assert_non_null(w->k.execs.v[255]);
	c = world_connect(w);
	assert_int_equal(execs_request(&w->k.execs, world_last_peer(w), f, records), 0);
	for (size_t i = 0; i < 255; i++)
		w->k.execs.v[i] = NULL;
	payload = hear_type(w, c, ARROW_FAILED, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload + 8), EAGAIN);
	text = strndup((const char *)payload + 12, 64);
	assert_non_null(strstr(text, "at most 255 processes"));
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

/* --- what comes once ----------------------------------------------------------------------------
 */

/* Something that a guest says of a process, or on a stream of it. */
struct word {
	uint16_t type;
	int fd; /* of a stream; -1: on the control stream */
	uint32_t a, b, size;
};

#define STARTED                                                                                    \
	{                                                                                          \
		ARROW_STARTED, -1, 200, 0, 8                                                       \
	}
#define EXITED                                                                                     \
	{                                                                                          \
		ARROW_EXITED, -1, ARROW_EXIT_STATUS, 3, 12                                         \
	}
#define FAILED                                                                                     \
	{                                                                                          \
		ARROW_FAILED, -1, 127, ENOENT, 12                                                  \
	}
#define OUTPUT                                                                                     \
	{                                                                                          \
		ARROW_DATA, 1, 0, 0, 4                                                             \
	}
#define NO_OUTPUT                                                                                  \
	{                                                                                          \
		ARROW_DATA, 1, 0, 0, 0                                                             \
	}
#define END                                                                                        \
	{                                                                                          \
		ARROW_EOF, 2, 0, 0, 0                                                              \
	}
#define CREDIT                                                                                     \
	{                                                                                          \
		ARROW_CREDIT, 0, 1, 0, 4                                                           \
	}
#define CLOSED                                                                                     \
	{                                                                                          \
		ARROW_CLOSED, 0, 0, 0, 0                                                           \
	}
#define SAVED                                                                                      \
	{                                                                                          \
		ARROW_SAVED, -1, 1, 0, 8                                                           \
	}

static void say_word(struct world *w, uint32_t number, const struct word *word)
{
	uint8_t payload[12];

	if (word->fd >= 0) {
		arrow_put32(payload, word->a);
		say(&w->guest, ARROW_STREAM(number, word->fd), word->type, payload, word->size);
		return;
	}
	arrow_put32(payload, number);
	arrow_put32(payload + 4, word->a);
	arrow_put32(payload + 8, word->b);
	say(&w->guest, ARROW_CONTROL, word->type, payload, word->size);
}

/* Two words, the second of which may not come, or not again. */
static const struct word twice[][2] = {
	{STARTED, STARTED},
	{STARTED, FAILED},
	{STARTED, NO_OUTPUT},
	{STARTED, CREDIT},
	{END, END},
	{CLOSED, CLOSED},
	{EXITED, EXITED},
};

/* And those that may not come before STARTED; of one beside the program, the first two. */
static const struct word early[] = {EXITED, CREDIT, OUTPUT, END, CLOSED};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* A world whose guest has a process, number 1 or one beside the program. */
static struct world *make_process(void **state, bool program, bool started, uint32_t *number)
{
	struct world *w;
	const uint8_t *payload;

	assert_int_equal(world_make(state), 0);
	w = *state;
	*number = 1;
	if (program && !started) {
		world_start(w);
		world_ready(w);
	} else {
		world_start_program(w);
	}
	if (program)
		return w;
	(void)ask_for_exec(w);
	payload = hear_type(w, &w->guest, ARROW_EXEC, NULL);
	assert_non_null(payload);
	*number = arrow_get32(payload);
	world_settle(w);
	if (started) {
		say_word(w, *number, &(struct word)STARTED);
		world_settle(w);
	}
	return w;
}

static void assert_ended(struct world *w, uint32_t number)
{
	assert_int_equal(w->k.phase, OVER);
	assert_true(world_count_events(w, "exec_start") <= 1);
	assert_true(world_count_events(w, "exec_die") <= 1);
	assert_true(world_count_events(w, "start") <= 1);
	/* Once the program has told its end, that counts. */
	if (!w->k.program.exited)
		assert_non_null(strstr(w->k.failure.text, "broke the protocol"));
}

static void what_can_come_once_comes_once(void **state)
{
	uint32_t number;
	void *world;

	for (size_t i = 0; i < 2 * COUNT(twice); i++) {
		const struct word *words = twice[i / 2];
		struct world *w = make_process(&world, i % 2, true, &number);

		if (words[0].type != ARROW_STARTED)
			say_word(w, number, &words[0]);
		world_settle(w);
		assert_int_equal(
			w->k.phase, i % 2 && words[0].type == ARROW_EXITED ? ENDING : RUNNING);
		say_word(w, number, &words[1]);
		world_settle(w);
		assert_ended(w, number);
		assert_int_equal(world_drop(&world), 0);
	}
}

static void nothing_comes_before_the_start(void **state)
{
	uint32_t number;
	void *world;

	for (size_t i = 0; i < 2 + COUNT(early); i++) {
		struct world *w = make_process(&world, i >= 2, false, &number);

		say_word(w, number, &early[i < 2 ? i : i - 2]);
		world_settle(w);
		assert_ended(w, number);
		assert_int_equal(world_drop(&world), 0);
	}
}

static void nobody_is_saved_unasked(void **state)
{
	struct world *w = *state;

	world_start_program(w);
	say_word(w, 0, &(struct word)SAVED);
	world_settle(w);
	assert_ended(w, 0);
}

/* A guest may send both as often as it likes: what this causes is bounded. */
static void questions_and_notes_are_bounded(void **state)
{
	struct world *w = *state;
	struct channel *c = world_connect(w);
	unsigned int answers = 0, notes = 0;
	uint64_t begin;
	uint8_t asked[8];

	world_start_program(w);
	expect_type(w, c, ARROW_STARTED);
	arrow_put64(asked, 1);
	begin = now_ms();
	for (int i = 0; i < 3000; i++) {
		say(&w->guest, ARROW_CONTROL, ARROW_TIME, asked, 8);
		say(&w->guest, ARROW_CONTROL, ARROW_NOTE, "note", 4);
		if (i % 20 == 0) {
			while (hear_type(w, &w->guest, ARROW_TIME, NULL))
				answers++;
			while (hear_type(w, c, ARROW_NOTE, NULL))
				notes++;
		}
	}
	assert_int_equal(w->k.phase, RUNNING);
	assert_true(answers > 0 && notes > 0);
	assert_true(answers <= 100 * (2 + (now_ms() - begin) / 1000));
	assert_true(notes <= 50 * (2 + (now_ms() - begin) / 1000));
	/* A little later there is an answer again. */
	w->k.program.questions.since -= 1000;
	say(&w->guest, ARROW_CONTROL, ARROW_TIME, asked, 8);
	expect_type(w, &w->guest, ARROW_TIME);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_make, world_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_execs_have_numbers_of_their_own),
		TEST(an_exec_is_refused_while_nothing_can_run),
		TEST(there_are_only_so_many_execs),
		TEST(an_exec_whose_command_is_gone_is_killed),
		TEST(an_exec_that_was_detached_goes_on_and_its_output_is_dropped),
		TEST(an_exec_that_was_cut_off_is_refused_by_the_guest),
		TEST(execs_end_with_the_vm),
		cmocka_unit_test(what_can_come_once_comes_once),
		cmocka_unit_test(nothing_comes_before_the_start),
		TEST(nobody_is_saved_unasked),
		TEST(questions_and_notes_are_bounded),
	};

	return cmocka_run_group_tests_name("keeper_execs", tests, NULL, NULL);
}
