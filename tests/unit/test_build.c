// SPDX-License-Identifier: Apache-2.0
/* Arrowfiles, changes of an import, and signals by name. */
#include "core/spec/parse.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <signal.h>

#include "package/build.h"

static int parse(struct arrow_build *b, const char *text, char **why)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	int r = arrow_build_text(b, text, strlen(text), "/where", &e);

	assert_int_equal(r < 0, e.text != NULL);
	if (why)
		*why = STEAL(e.text);
	return r;
}

static void arrowfile_is_read(void **state)
{
	struct arrow_build b = {0};

	assert_int_equal(
		parse(&b,
			"name: [a:1, b]\nprogram: ./p\nentrypoint: [/bin/p, -v]\ncmd: x\n"
			"env:\n  - A=1\n  - B=2 3\nlabels:\n  k: v\n  e: ''\nports: [80, 53/udp]\n"
			"volumes:\n- /data\nuser: web\nworkdir: /srv\nstop-signal: RTMIN+3\n"
			"kernel: general\nmemory: 96m\ncpus: 1.5\nrestart: on-failure:2\nwith-kernel: true\n",
			NULL),
		0);
	assert_string_equal(b.names.v[1], "b");
	assert_string_equal(b.source, "/where/./p");
	assert_string_equal(b.entrypoint.v[1], "-v");
	assert_string_equal(b.cmd.v[0], "x");
	assert_string_equal(b.env.v[1], "B=2 3");
	assert_string_equal(b.labels.v[0], "k=v");
	assert_string_equal(b.labels.v[1], "e=");
	assert_string_equal(b.ports.v[0], "80/tcp");
	assert_string_equal(b.ports.v[1], "53/udp");
	assert_string_equal(b.volumes.v[0], "/data");
	assert_string_equal(b.kernel, "general");
	assert_string_equal(b.memory, "96m");
	assert_string_equal(b.cpus, "1.5");
	assert_string_equal(b.restart, "on-failure:2");
	assert_true(b.with_kernel);
	arrow_build_release(&b);
}

static void options_go_first(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_build b = {0};

	b.user = strdup("mine");
	assert_int_equal(arrow_build_words(&b.cmd, "mine", &e), 0);
	assert_int_equal(arrow_build_env(&b, "A=mine", &e), 0);
	assert_int_equal(
		parse(&b, "user: file\ncmd: [file, more]\nenv: [A=file]\nprogram: p\n", NULL), 0);
	assert_string_equal(b.user, "mine");
	assert_int_equal(b.cmd.n, 1);
	/* Of two values of a variable the later counts. */
	assert_string_equal(b.env.v[0], "A=file");
	assert_string_equal(b.env.v[1], "A=mine");
	/* A name without a slash is looked for in PATH. */
	assert_string_equal(b.source, "p");
	arrow_build_release(&b);
}

static void bad_arrowfiles_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{"", "empty"},
		{"x", "KEY: VALUE"},
		{"- a\n", "KEY: VALUE"},
		{"a: 1\n", "line 1: there is no key 'a'"},
		{"program: ./p\n\nport: 80\n", "line 3: there is no key 'port'"},
		{"program: [a]\n", "wrong kind"},
		{"user: {a: b}\n", "wrong kind"},
		{"cmd: {a: b}\n", "wrong kind"},
		{"cmd: [[a]]\n", "plain values"},
		{"env: {A: [1]}\n", "one value"},
		{"env: [A]\n", "NAME=VALUE"},
		{"ports: [0]\n", "invalid port"},
		{"ports: [65536]\n", "invalid port"},
		{"ports: [80/icmp]\n", "invalid port"},
		{"volumes: [a]\n", "absolute"},
		{"workdir: a\n", "absolute"},
		{"stop-signal: NONE\n", "unknown signal"},
		{"program: a\ndirectory: b\n", "not both"},
		{"program: a\n---\nprogram: b\n", "one document"},
		{"program: 'a\n", "not valid YAML"},
		{"program: *a\n", "wrong kind"},
		{"user: \"a\\0b\"\n", "NUL"},
		{"\xff\xfe\xfd", "not valid YAML"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arrow_build b = {0};
		_cleanup_free_ char *why = NULL;

		if (parse(&b, cases[i][0], &why) == 0)
			fail_msg("'%s' was taken", cases[i][0]);
		if (!strstr(why, cases[i][1]) || strchr(why, '\n'))
			fail_msg("'%s': %s", cases[i][0], why);
		arrow_build_release(&b);
	}
}

static void changes_are_dockers(void **state)
{
	static const char *const good[] = {"CMD [\"a\", \"b\"]", "ENTRYPOINT /run it", "env A=b c",
		"EXPOSE 53/udp", "LABEL k=v", "USER u:g", "WORKDIR /w", "STOPSIGNAL 9",
		"VOLUME [\"/a\", \"/b\"]"};
	static const char *const bad[] = {"", "CMD", "RUN x", "CMD [1]", "CMD [\"a\"", "ENV A",
		"EXPOSE x", "WORKDIR w", "VOLUME v", "STOPSIGNAL x"};
	struct arrow_build b = {0};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

		if (arrow_build_change(&b, good[i], &e) < 0)
			fail_msg("%s: %s", good[i], e.text);
	}
	assert_string_equal(b.cmd.v[1], "b");
	assert_int_equal(b.entrypoint.n, 3);
	assert_string_equal(b.entrypoint.v[2], "/run it");
	assert_string_equal(b.env.v[0], "A=b c");
	assert_string_equal(b.volumes.v[1], "/b");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

		if (arrow_build_change(&b, bad[i], &e) == 0)
			fail_msg("'%s' was taken", bad[i]);
	}
	arrow_build_release(&b);
}

static void signals_have_names(void **state)
{
	static const struct {
		const char *text;
		uint32_t number;
	} cases[] = {{"INT", SIGINT}, {"SIGTERM", SIGTERM}, {"sigquit", SIGQUIT}, {"9", 9},
		{"SIGRTMIN+3", 37}, {"RTMAX", 64}, {"RTMAX-1", 63}, {"", 0}, {"0", 0}, {"65", 0},
		{"SIG", 0}, {"RTMIN+31", 0}, {"RTMIN-1", 0}, {"9x", 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		uint32_t number = 0;
		int r = arrow_parse_signal(cases[i].text, &number, &e);

		if ((r == 0) != (cases[i].number != 0) || number != cases[i].number)
			fail_msg("%s: %d, %u", cases[i].text, r, number);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrowfile_is_read),
		cmocka_unit_test(options_go_first),
		cmocka_unit_test(bad_arrowfiles_are_refused),
		cmocka_unit_test(changes_are_dockers),
		cmocka_unit_test(signals_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
