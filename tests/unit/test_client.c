// SPDX-License-Identifier: Apache-2.0
/* A command's side of a connection, with a keeper or a guest that keeps it waiting. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/client/client.h"
#include "core/client/exec.h"
#include "protocol/frame.h"
#include "util/cleanup.h"
#include "util/io.h"

#define PROCESS 2u
#define LIMIT_MS 300u

static void say(int fd, uint16_t stream, uint16_t type, const void *payload, uint32_t length)
{
	uint8_t head[ARROW_FRAME_HEADER];

	arrow_frame_encode(
		head, (struct arrow_frame){.stream = stream, .type = type, .length = length});
	if (write_full(fd, head, sizeof(head)) < 0 ||
		(length > 0 && write_full(fd, payload, length) < 0))
		_exit(0); /* the other end has had enough */
}

static void say_started(int fd)
{
	uint8_t payload[ARROW_STARTED_BYTES];

	arrow_started_encode(payload, &(struct arrow_started){.process = PROCESS});
	say(fd, ARROW_CONTROL, ARROW_STARTED, payload, sizeof(payload));
}

static void say_nothing(int fd)
{
	pause();
}

static void refuse(int fd)
{
	uint8_t payload[ARROW_ANSWER_HEAD + 20];

	/* An answer to a request is for somebody else. */
	arrow_answer_encode(payload, ARROW_ATTACH, EINVAL);
	say(fd, ARROW_CONTROL, ARROW_ANSWER, payload, ARROW_ANSWER_HEAD);
	arrow_answer_encode(payload, 0, EAGAIN);
	memcpy(payload + ARROW_ANSWER_HEAD, "at most 300 commands", 20);
	say(fd, ARROW_CONTROL, ARROW_ANSWER, payload, sizeof(payload));
}

static void start_and_say_nothing(int fd)
{
	say_started(fd);
	pause();
}

static void start_and_talk_for_ever(int fd)
{
	say_started(fd);
	for (;;) {
		say(fd, ARROW_STREAM(PROCESS, 1), ARROW_DATA, "x", 1);
		usleep(LIMIT_MS * 1000 / 20);
	}
}

static void start_talk_and_end(int fd)
{
	uint8_t payload[12] = {0};

	say_started(fd);
	for (int i = 0; i < 40; i++) {
		say(fd, ARROW_STREAM(PROCESS, 1), ARROW_DATA, "x", 1);
		usleep(LIMIT_MS * 1000 / 20);
	}
	arrow_exited_encode(payload, &(struct arrow_exited){PROCESS, ARROW_EXIT_STATUS, 7});
	say(fd, ARROW_CONTROL, ARROW_EXITED, payload, sizeof(payload));
	pause();
}

/* Runs a client beside a keeper that does so. Returns what it returns. */
static int attend(
	void (*keeper)(int fd), struct client_options options, int *status, char **message)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_spec spec;
	bool detached;
	int fds[2], r, out = dup(STDOUT_FILENO), null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t pid;

	arrow_spec_init(&spec);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		signal(SIGPIPE, SIG_IGN);
		keeper(fds[1]);
		_exit(0);
	}
	close(fds[1]);
	options.spec = &spec;
	options.process = PROCESS;
	options.output = true;
	fflush(stdout);
	dup2(null_fd, STDOUT_FILENO);
	r = client_run(fds[0], &options, status, &detached, &error);
	dup2(out, STDOUT_FILENO);
	close(out);
	close(null_fd);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	*message = error.text ? strdup(error.text) : NULL;
	arrow_spec_release(&spec);
	return r;
}

static void a_refused_connection_says_why(void **state)
{
	_cleanup_free_ char *text = NULL;
	int status;

	assert_int_equal(attend(refuse, (struct client_options){.start_ms = 30000}, &status, &text),
		-EAGAIN);
	assert_string_equal(text, "at most 300 commands");
}

static void a_process_that_does_not_start_is_given_up(void **state)
{
	_cleanup_free_ char *text = NULL;
	int status;

	assert_int_equal(
		attend(say_nothing, (struct client_options){.start_ms = LIMIT_MS}, &status, &text),
		-ETIMEDOUT);
	assert_true(text && strstr(text, "did not start the process"));
}

static void a_worker_that_says_nothing_is_given_up(void **state)
{
	_cleanup_free_ char *text = NULL;
	int status;

	assert_int_equal(attend(start_and_say_nothing,
				 (struct client_options){.answer_ms = LIMIT_MS}, &status, &text),
		-ETIMEDOUT);
	assert_true(text && strstr(text, "did not answer"));
}

static void a_short_answer_has_one_deadline(void **state)
{
	_cleanup_free_ char *text = NULL;
	int status;

	assert_int_equal(attend(start_and_talk_for_ever,
				 (struct client_options){.answer_ms = LIMIT_MS, .whole = true},
				 &status, &text),
		-ETIMEDOUT);
}

static void a_long_answer_may_take_its_time(void **state)
{
	_cleanup_free_ char *text = NULL;
	int status = 0;

	/* Twice as long as it may keep us waiting for a byte. On a busy machine: tens of seconds.
	 */
	assert_int_equal(attend(start_talk_and_end,
				 (struct client_options){.start_ms = 30000, .answer_ms = 30000},
				 &status, &text),
		0);
	assert_int_equal(status, 7);
}

/* 8 MiB, as `arrow top` takes, and one byte more. */
static void an_answer_reaches_its_limit(void **state)
{
	const size_t max = 8u << 20;

	for (size_t size = max; size <= max + 1; size++) {
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
		_cleanup_free_ char *text = NULL, *bytes = calloc(1, size);
		size_t got = 0;
		int fds[2];
		pid_t pid;

		assert_non_null(bytes);
		memset(bytes, 'x', size);
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(write_full(fds[1], bytes, size) < 0);
		close(fds[1]);
		if (size == max) {
			assert_int_equal(arrow_worker_read(fds[0], max, &text, &got, &error), 0);
			assert_int_equal(got, max);
			assert_int_equal(strlen(text), max);
		} else {
			assert_int_equal(
				arrow_worker_read(fds[0], max, &text, &got, &error), -EFBIG);
			assert_non_null(strstr(error.text, "more than 8388608 bytes"));
		}
		close(fds[0]);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_connection_says_why),
		cmocka_unit_test(a_process_that_does_not_start_is_given_up),
		cmocka_unit_test(a_worker_that_says_nothing_is_given_up),
		cmocka_unit_test(a_short_answer_has_one_deadline),
		cmocka_unit_test(a_long_answer_may_take_its_time),
		cmocka_unit_test(an_answer_reaches_its_limit),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
