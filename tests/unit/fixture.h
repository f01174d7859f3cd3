/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TESTS_UNIT_FIXTURE_H
#define ARROW_TESTS_UNIT_FIXTURE_H

/* A directory of its own for each test, and programs built in it. */

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

struct fixture {
	char *dir;
	char *home; /* the current directory before the test */
};

/* cmocka's setup: an empty directory, entered. Not in /tmp, which an Arrow covers. */
static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->home = getcwd(NULL, 0);
	f->dir = strdup("/var/tmp/arrow-unit-XXXXXX");
	assert_non_null(f->dir);
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chdir(f->dir), 0);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(chdir(f->home), 0);
	assert_int_equal(remove_tree(AT_FDCWD, f->dir), 0);
	free(f->dir);
	free(f->home);
	free(f);
	return 0;
}

/* Runs a shell line that must succeed; its output is owned by the caller. */
static inline char *shell_output(const char *line)
{
	const char *argv[] = {"sh", "-ec", line, NULL};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	char *output = NULL;
	const struct process_options o = {
		.argv = argv, .userns_fd = -1, .deadline_ms = 60000, .output = &output};

	if (process_run(&o, &e) < 0)
		fail_msg("%s: %s", line, e.text);
	return output;
}

static inline void shell(const char *line)
{
	free(shell_output(line));
}

static inline void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
