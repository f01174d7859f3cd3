// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/bpf.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/error.h"
#include "util/fds.h"
#include "util/hex.h"
#include "util/io.h"
#include "util/lines.h"
#include "util/note.h"
#include "util/paths.h"
#include "util/process.h"
#include "util/sigpipe.h"
#include "util/text.h"

static void error_keeps_text_and_status(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	assert_int_equal(arrow_fail_status(&e, 127, ENOENT, "cannot run %s: %m", "x"), -ENOENT);
	assert_int_equal(e.status, 127);
	assert_string_equal(e.text, "cannot run x: No such file or directory");
	assert_int_equal(arrow_error_prefix(&e, -ENOENT, "job %d", 3), -ENOENT);
	assert_string_equal(e.text, "job 3: cannot run x: No such file or directory");
}

/* What a terminal would obey goes; letters of all languages stay. */
static void texts_are_clean(void **state)
{
	static const struct {
		const char *text, *line, *lines;
	} cases[] = {
		{"plain", "plain", "plain"},
		{"\x1b[31mred\x07\x7f", "?[31mred??", "?[31mred??"},
		{"a\tb\nc\r", "a b?c?", "a\tb\nc?"},
		{"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
			"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
			"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
		/* CSI and OSC of C1: as UTF-8, and as the bytes of other terminals. */
		{"\xc2\x9b"
		 "31m \xc2\x9d"
		 "0;x\xc2\x9c",
			"?31m ?0;x?", "?31m ?0;x?"},
		{"\x9b"
		 "31m\x85",
			"?31m?", "?31m?"},
		{"\xc2\xa0x", "\xc2\xa0x", "\xc2\xa0x"},
		/* Longer forms, surrogates, too much, cut off. */
		{"\xc0\x9b\xe0\x82\x9b", "?????", "?????"},
		{"\xed\xa0\x80", "???", "???"},
		{"\xf4\x90\x80\x80", "????", "????"},
		{"\xe2\x82", "??", "??"},
		{"\xc2", "?", "?"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *line = strdup(cases[i].text);
		_cleanup_free_ char *lines = strdup(cases[i].text);
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

		assert_string_equal(text_clean(line), cases[i].line);
		assert_string_equal(text_clean_lines(lines), cases[i].lines);
		/* Errors go the same way. */
		assert_int_equal(arrow_fail(&e, EINVAL, "%s", cases[i].text), -EINVAL);
		assert_string_equal(e.text, cases[i].line);
	}
	assert_null(text_clean(NULL));
}

static void truths_are_gos(void **state)
{
	static const char *const yes[] = {"1", "t", "T", "true", "True", "TRUE"};
	static const char *const no[] = {"0", "f", "F", "false", "False", "FALSE"};
	static const char *const neither[] = {"", "yes", "no", "on", "tRUE", "truee", "2", " 1"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		assert_int_equal(text_parse_bool(yes[i]), 1);
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		assert_int_equal(text_parse_bool(no[i]), 0);
	for (size_t i = 0; i < sizeof(neither) / sizeof(*neither); i++)
		assert_int_equal(text_parse_bool(neither[i]), -EINVAL);
	assert_int_equal(text_parse_bool(NULL), 1);
}

static void error_never_looks_like_success(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	assert_int_equal(arrow_fail(&e, 0, "x"), -EINVAL);
}

static void digest_of_a_known_string(void **state)
{
	char hex[DIGEST_HEX];

	assert_int_equal(digest_data("abc", 3, hex), 0);
	/* FIPS 180-2, appendix B.1. */
	assert_string_equal(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* Little is hashed by code of our own, more by libcrypto. */
static void digests_of_all_ways_agree(void **state)
{
	enum { ROOM = 70000 };
	_cleanup_free_ uint8_t *data = malloc(ROOM);
	char ours[DIGEST_HEX], theirs[DIGEST_HEX];

	assert_non_null(data);
	for (size_t i = 0; i < ROOM; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t size = 0; size <= ROOM; size += size < 260 ? 1 : 9973) {
		struct digest *d = digest_begin();

		assert_non_null(d);
		digest_add(d, data, size);
		digest_end(d, theirs);
		assert_int_equal(digest_data(data, size, ours), 0);
		assert_string_equal(ours, theirs);
	}
}

static void tree_is_made_and_removed_and_links_are_not_followed(void **state)
{
	char dir[] = "/tmp/arrow-unit-XXXXXX";
	_cleanup_free_ char *deep = NULL, *outside = NULL, *link = NULL;

	assert_non_null(mkdtemp(dir));
	deep = path_format("%s/t/a/b/c", dir);
	outside = path_format("%s/outside", dir);
	link = path_format("%s/t/a/link", dir);
	assert_int_equal(mkdir_all(deep, 0755), 0);
	assert_int_equal(mkdir_all(deep, 0755), 0);
	assert_int_equal(mkdir_all(outside, 0755), 0);
	assert_int_equal(symlink(outside, link), 0);

	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(remove_tree(fd, "t"), 0);
	assert_int_equal(access(outside, F_OK), 0);
	assert_int_equal(access(deep, F_OK), -1);
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

/* As a guest can make one in a volume: deeper than this process may open files. */
static void deep_tree_is_removed(void **state)
{
	char dir[] = "/tmp/arrow-unit-XXXXXX";
	struct rlimit before, few = {.rlim_cur = 100};
	int r;

	assert_non_null(mkdtemp(dir));
	_cleanup_close_ int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dup(top);

	for (unsigned int i = 0; i < 1000; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		assert_int_equal(mkdirat(fd, i % 2 ? ".deep-1" : "empty", 0755), 0);
		assert_int_equal(symlinkat("/tmp", fd, i % 3 ? "link" : ".deep-2"), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = remove_tree(AT_FDCWD, dir);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, 0);
	assert_int_equal(access(dir, F_OK), -1);
}

static void atomic_write_replaces_and_leaves_no_temporary(void **state)
{
	char dir[] = "/tmp/arrow-unit-XXXXXX";
	_cleanup_free_ char *data = NULL;
	size_t size = 0;

	assert_non_null(mkdtemp(dir));
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(write_file_atomic(fd, "f", 0600, "one", 3), 0);
	assert_int_equal(write_file_atomic(fd, "f", 0600, "three", 5), 0);
	assert_int_equal(read_file(fd, "f", 100, &data, &size), 0);
	assert_int_equal(size, 5);
	assert_string_equal(data, "three");
	free(STEAL(data));
	assert_int_equal(read_file(fd, "f", 4, &data, &size), -EFBIG);
	assert_int_equal(unlinkat(fd, "f", 0), 0);
	assert_int_equal(rmdir(dir), 0); /* empty, so no temporary file is left */
}

static void process_output_and_failure(void **state)
{
	const char *const echo[] = {"sh", "-c", "echo out; echo err >&2", NULL};
	const char *const fail[] = {"sh", "-c", "echo why >&2; exit 3", NULL};
	const char *const missing[] = {"arrow-no-such-program", NULL};
	const char *const slow[] = {"sleep", "60", NULL};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_free_ char *out = NULL;

	assert_int_equal(
		process_run(&(struct process_options){.argv = echo, .output = &out}, &e), 0);
	assert_string_equal(out, "out\n");

	assert_int_equal(process_run(&(struct process_options){.argv = fail}, &e), -EIO);
	assert_string_equal(e.text, "sh failed with status 3: why");
	arrow_error_clear(&e);

	assert_int_equal(process_run(&(struct process_options){.argv = missing}, &e), -ENOENT);
	arrow_error_clear(&e);

	assert_int_equal(
		process_run(&(struct process_options){.argv = slow, .deadline_ms = 50}, &e),
		-ETIMEDOUT);
}

static void a_state_directory_that_others_can_write_is_refused(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	char dir[] = "/tmp/arrow-unit-XXXXXX";
	struct arrow_paths paths;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(arrow_paths_init(&paths, dir, dir, &e), 0);
	arrow_paths_release(&paths);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(arrow_paths_init(&paths, dir, dir, &e), -EPERM);
	assert_non_null(e.text);
	assert_int_equal(rmdir(dir), 0);
}

struct taken {
	char text[64];
	const char *last; /* the line that ends the reading, or NULL */
};

static int take(void *arg, const char *line, size_t size)
{
	struct taken *t = arg;
	size_t used = strlen(t->text);

	snprintf(t->text + used, sizeof(t->text) - used, "%.*s|", (int)size, line);
	return t->last && strlen(t->last) == size && memcmp(line, t->last, size) == 0 ? 7 : 0;
}

static void lines_are_taken_whole_and_those_too_long_passed_over(void **state)
{
	struct taken t = {0};
	struct lines l;
	int p[2];

	assert_int_equal(pipe2(p, O_NONBLOCK), 0);
	assert_int_equal(lines_init(&l, 8), 0);
	assert_int_equal(write_full(p[1], "one\n\ntw", 7), 0);
	assert_int_equal(lines_read(&l, p[0], take, &t), 0);
	assert_string_equal(t.text, "one||");
	assert_int_equal(write_full(p[1], "o\n1234567\n12345678\nfour\n", 24), 0);
	assert_int_equal(lines_read(&l, p[0], take, &t), 0);
	assert_string_equal(t.text, "one||two|1234567|four|");
	/* What follows the last one is kept, half a line of another file is not. */
	t = (struct taken){.last = "b"};
	assert_int_equal(write_full(p[1], "a\nb\nc\nha", 8), 0);
	assert_int_equal(lines_read(&l, p[0], take, &t), 7);
	assert_string_equal(t.text, "a|b|");
	assert_int_equal(write_full(p[1], "lf\n", 3), 0);
	assert_int_equal(lines_read(&l, p[0], take, &t), 0);
	assert_string_equal(t.text, "a|b|c|half|");
	assert_int_equal(write_full(p[1], "old", 3), 0);
	assert_int_equal(lines_read(&l, p[0], take, &t), 0);
	lines_reset(&l);
	assert_int_equal(write_full(p[1], "new\n", 4), 0);
	assert_int_equal(lines_read(&l, p[0], take, &t), 0);
	assert_string_equal(t.text, "a|b|c|half|new|");
	lines_release(&l);
	close(p[0]);
	close(p[1]);
}

/* A child keeps what it is given, in any order, and stdio. */
static void a_child_keeps_only_the_descriptors_that_are_listed(void **state)
{
	int fds[8], status;
	pid_t pid;

	for (size_t i = 0; i < 8; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] > 2);
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const int keep[] = {fds[6], -1, fds[1], fds[2], fds[1], 0};
		int wrong = 0;

		close_all_but(keep, sizeof(keep) / sizeof(*keep));
		for (int i = 0; i < 8; i++) {
			bool open_now = fcntl(fds[i], F_GETFD) >= 0;

			wrong += open_now != (i == 1 || i == 2 || i == 6);
		}
		for (int fd = 0; fd < 3; fd++)
			wrong += fcntl(fd, F_GETFD) < 0;
		close_all_but(NULL, 0);
		for (int i = 0; i < 8; i++)
			wrong += fcntl(fds[i], F_GETFD) >= 0;
		_exit(wrong);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	for (size_t i = 0; i < 8; i++)
		close(fds[i]);
}

/* Refused calls are EPERM, other values of an argument, too; all else works. */
static int run_filtered(void)
{
	static const unsigned short refused[] = {SYS_getppid, SYS_uname};
	static const uint32_t names[] = {PR_GET_DUMPABLE, PR_GET_KEEPCAPS};
	struct bpf_filter filter;

	bpf_begin(&filter, SECCOMP_RET_KILL_PROCESS);
	bpf_allow_values(&filter, SYS_prctl, 0, names, 2);
	bpf_answer_calls(&filter, refused, 2, BPF_REFUSE(EPERM));
	bpf_answer(&filter, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || bpf_install(&filter, 0) != 0)
		return 2;
	if (syscall(SYS_getppid) != -1 || errno != EPERM || syscall(SYS_uname, NULL) != -1 ||
		errno != EPERM)
		return 3;
	if (prctl(PR_GET_NAME, (char[16]){0}) != -1 || errno != EPERM)
		return 4;
	if (prctl(PR_GET_DUMPABLE) < 0 || prctl(PR_GET_KEEPCAPS) < 0 || getpid() <= 0)
		return 5;
	/* The same call by the numbers of x32. */
	return syscall(SYS_getpid | 1L << 30) == -1 && errno == EPERM ? 0 : 6;
}

static void filters_answer_calls_as_they_are_told(void **state)
{
	struct bpf_filter filter = {.n = 0};
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run_filtered());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);

	/* One that is cut off is not set. */
	for (unsigned int i = 0; i <= BPF_INSNS_MAX; i++)
		bpf_answer(&filter, SECCOMP_RET_ALLOW);
	assert_int_equal(bpf_install(&filter, 0), -E2BIG);
}

static void paths_are_made_normal(void **state)
{
	static const char *const cases[][2] = {{"/a/b", "/a/b"}, {"//a/./b/", "/a/b"},
		{"/a/../../b", "/b"}, {"/..", "/"}, {"", "/"}, {"a", "/a"}, {"/a/...", "/a/..."},
		{"/.a/..b", "/.a/..b"}, {"../../x", "/x"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *normal = path_normalize(cases[i][0]);

		assert_non_null(normal);
		assert_string_equal(normal, cases[i][1]);
	}
}

static void times_are_read_in_all_their_forms(void **state)
{
	static const struct {
		const char *text;
		time_t when;
		long ns;
	} cases[] = {{"2025-11-24T15:00:00Z", 1763996400, 0},
		{"2025-11-24T15:00:00.25Z", 1763996400, 250000000},
		{"2025-11-24T15:00:00.012345678Z", 1763996400, 12345678},
		{"2025-11-24T16:00:00.5+01:00", 1763996400, 500000000},
		{"2025-11-24T09:30:00-05:30", 1763996400, 0}, {"2025-11-24T15:00", 1763996400, 0},
		{"2025-11-24", 1763942400, 0}};
	static const char *const bad[] = {"", "x", "2025", "2025-13-01", "2025-11-24T15:00:00X",
		"2025-11-24T15:00:00+1:00", "2025-11-24T15:00:00+01:00x",
		"2025-11-24T15:00:00+-1:00", "2025-11-24T15:00:00+01: 0"};
	char text[TIME_TEXT];
	struct timespec t;

	setenv("TZ", "UTC", 1);
	tzset();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(time_parse(cases[i].text, &t), 0);
		assert_int_equal(t.tv_sec, cases[i].when);
		assert_int_equal(t.tv_nsec, cases[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(time_parse(bad[i], &t), -EINVAL);
	time_text_exact((struct timespec){.tv_sec = 1763996400, .tv_nsec = 5}, text);
	assert_string_equal(text, "2025-11-24T15:00:00.000000005Z");
	time_text(1763996400, text);
	assert_string_equal(text, cases[0].text);
}

static void bytes_become_digits_and_digits_bytes(void **state)
{
	const unsigned char bytes[] = {0x00, 0x9a, 0xff};
	unsigned char back[3] = {1, 1, 1};
	char hex[7], one[65], two[65];

	hex_encode(bytes, sizeof(bytes), hex);
	assert_string_equal(hex, "009aff");
	assert_int_equal(hex_decode("009AfFrest", back, sizeof(back)), 0);
	assert_memory_equal(back, bytes, sizeof(bytes));
	assert_int_equal(hex_decode("009af", back, 3), -EINVAL);
	assert_int_equal(hex_decode("0g", back, 1), -EINVAL);
	assert_int_equal(hex_decode("", back, 1), -EINVAL);
	assert_int_equal(hex_random(one, 32), 0);
	assert_int_equal(hex_random(two, 32), 0);
	assert_int_equal(strspn(one, "0123456789abcdef"), 64);
	assert_int_equal(strlen(one), 64);
	assert_string_not_equal(one, two);
}

static void sizes_have_three_digits_and_a_unit(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {{0, "0B"}, {999, "999B"}, {1000, "1kB"}, {1340000, "1.34MB"},
		{UINT64_MAX, "18.4EB"}};
	char text[SIZE_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_text(cases[i].bytes, text);
		assert_string_equal(text, cases[i].text);
	}
	size_text_binary(1023, text);
	assert_string_equal(text, "1023 B");
	size_text_binary(1536, text);
	assert_string_equal(text, "1.5 KiB");
	size_text_binary(UINT64_MAX, text);
	assert_string_equal(text, "16384.0 PiB");
}

static void keep_line(const char *line, void *arg)
{
	snprintf(arg, 64, "%s", line);
}

static void a_note_is_one_line_for_whoever_listens(void **state)
{
	char line[64] = "";
	const struct arrow_notes notes = {.write = keep_line, .arg = line};

	arrow_note(&notes, "%s: %d", "a\n\033[2Jb", 7);
	assert_string_equal(line, "a??[2Jb: 7");
	arrow_note(&(struct arrow_notes){NULL, NULL}, "nobody");
}

static void a_pipe_without_a_reader_kills_nobody(void **state)
{
	int ends[2];
	sigset_t before, after;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	{
		_cleanup_sigpipe_ struct sigpipe_block block = sigpipe_block();

		assert_int_equal(write(ends[1], "x", 1), -1);
		assert_int_equal(errno, EPIPE);
	}
	/* Still here, and signals are as they were. */
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&after, SIGPIPE), sigismember(&before, SIGPIPE));
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_made_normal),
		cmocka_unit_test(times_are_read_in_all_their_forms),
		cmocka_unit_test(bytes_become_digits_and_digits_bytes),
		cmocka_unit_test(sizes_have_three_digits_and_a_unit),
		cmocka_unit_test(error_keeps_text_and_status),
		cmocka_unit_test(texts_are_clean),
		cmocka_unit_test(truths_are_gos),
		cmocka_unit_test(error_never_looks_like_success),
		cmocka_unit_test(digest_of_a_known_string),
		cmocka_unit_test(digests_of_all_ways_agree),
		cmocka_unit_test(tree_is_made_and_removed_and_links_are_not_followed),
		cmocka_unit_test(deep_tree_is_removed),
		cmocka_unit_test(atomic_write_replaces_and_leaves_no_temporary),
		cmocka_unit_test(process_output_and_failure),
		cmocka_unit_test(a_child_keeps_only_the_descriptors_that_are_listed),
		cmocka_unit_test(a_note_is_one_line_for_whoever_listens),
		cmocka_unit_test(a_pipe_without_a_reader_kills_nobody),
		cmocka_unit_test(a_state_directory_that_others_can_write_is_refused),
		cmocka_unit_test(filters_answer_calls_as_they_are_told),
		cmocka_unit_test(lines_are_taken_whole_and_those_too_long_passed_over),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
