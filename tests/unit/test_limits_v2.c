// SPDX-License-Identifier: Apache-2.0
/*
 * The groups of a VM in a real tree of cgroup v2. Where the host has none that can be written,
 * limits.bats runs this program in an Arrow, whose kernel has one.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/limits/limits.h"
#include "util/cleanup.h"
#include "util/io.h"

#define MEMORY (32ull << 20)

/* Whether arrow-<id> with the controllers memory and cpu can be made here. Owned by the caller. */
static char *find_base(void)
{
	struct arrow_cgroups groups;
	_cleanup_free_ char *memory = NULL, *cpu = NULL;
	int memory_version = 0, cpu_version = 0;

	assert_int_equal(arrow_cgroups_look(&groups), 0);
	memory = arrow_limits_base(&groups, "memory", &memory_version);
	cpu = arrow_limits_base(&groups, "cpu", &cpu_version);
	arrow_cgroups_release(&groups);
	return memory && cpu && memory_version == 2 && cpu_version == 2 ? STEAL(memory) : NULL;
}

/* The VM's process: enters as the jail does, asks to be killed last, and takes too much. */
static pid_t start_vm(const struct arrow_confinement *c)
{
	pid_t pid = fork();
	char *memory;
	int fd;

	if (pid != 0)
		return pid;
	for (unsigned int i = 0; i < c->n; i++)
		if (write(c->procs[i], "0", 1) != 1)
			_exit(1);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "-999", 4) != 4)
		_exit(2);
	memory = mmap(NULL, 4 * MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(3);
	memset(memory, 1, 4 * MEMORY);
	_exit(4);
}

static uint64_t read_usage(const char *base)
{
	_cleanup_free_ char *path = path_format("%s/arrow-real/cpu.stat", base), *text = NULL;

	assert_int_equal(read_file(AT_FDCWD, path, 4096, &text, NULL), 0);
	assert_int_equal(strncmp(text, "usage_usec ", 11), 0);
	return strtoull(text + 11, NULL, 10);
}

static long read_own_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void work_for_ms(long ms)
{
	long end = read_own_ms() + ms;

	while (read_own_ms() < end)
		;
	usleep(1000); /* the kernel counts when it takes the CPU away */
}

/* This process is the keeper: if the kernel chose it, this program would end here. */
static void the_vm_is_killed_for_its_memory_and_the_keeper_lives(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *base = find_base(), *group = NULL, *list = NULL;
	char dir[] = "/tmp/limits-XXXXXX";
	struct arrow_confinement c;
	struct arrow_spec spec;
	struct arrow_limits_wish wish = {.spec = &spec, .id = "real"};
	uint64_t before;
	int status;

	if (!base)
		skip();
	assert_non_null(mkdtemp(dir));
	wish.list = list = path_format("%s/list", dir);
	group = path_format("%s/arrow-real", base);
	arrow_spec_init(&spec);
	spec.limits.memory = MEMORY;
	spec.limits.memory_swap_given = true;
	spec.limits.memory_swap = (int64_t)MEMORY;
	spec.limits.cpus_given = true;
	spec.limits.millicpus = 1000;
	if (arrow_limits_begin(&c, &wish, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(c.n, 1);
	/* Its work is the Arrow's. */
	before = read_usage(base);
	arrow_limits_join(&c);
	assert_true(c.joined);
	work_for_ms(200);
	assert_true(read_usage(base) - before > 100000);

	/* The VM is killed, though the keeper would be the one that is to be killed first. */
	assert_false(arrow_limits_oom(&c));
	assert_true(waitpid(start_vm(&c), &status, 0) > 0);
	if (!WIFSIGNALED(status))
		fail_msg("the VM exited with %d", WEXITSTATUS(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_true(arrow_limits_oom(&c));

	/* An update finds the groups again. */
	spec.limits.millicpus = 500;
	assert_int_equal(arrow_limits_update(&c, &wish, getpid(), &error), 0);
	assert_int_equal(c.n, 1);
	arrow_limits_end(&c);
	assert_int_equal(access(group, F_OK), -1);
	arrow_spec_release(&spec);
	remove_tree(AT_FDCWD, dir);
}

/* What a keeper that was killed left: its VM, in the groups below. */
static void groups_that_a_killed_keeper_left_go(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *base = find_base(), *group = NULL, *list = NULL;
	char dir[] = "/tmp/limits-XXXXXX";
	struct arrow_confinement c;
	struct arrow_spec spec;
	struct arrow_limits_wish wish = {.spec = &spec, .id = "left"};
	int status;
	pid_t pid;

	if (!base)
		skip();
	assert_non_null(mkdtemp(dir));
	wish.list = list = path_format("%s/list", dir);
	group = path_format("%s/arrow-left", base);
	arrow_spec_init(&spec);
	assert_int_equal(arrow_limits_begin(&c, &wish, &error), 0);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	assert_true(pid > 0);
	assert_true(dprintf(c.procs[0], "%d", pid) > 0);
	arrow_limits_clean(AT_FDCWD, list);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(access(group, F_OK), -1);
	arrow_limits_end(&c);
	arrow_spec_release(&spec);
	remove_tree(AT_FDCWD, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vm_is_killed_for_its_memory_and_the_keeper_lives),
		cmocka_unit_test(groups_that_a_killed_keeper_left_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
