// SPDX-License-Identifier: Apache-2.0
#include "core/limits/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/limits/stray.h"
#include "core/spec/cpuset.h"
#include "core/spec/parse.h"
#include "tests/unit/unit.h"
#include "util/cleanup.h"
#include "util/io.h"

static char tree[] = "/tmp/arrow-limits.XXXXXX";

static int make_tree(void **state)
{
	return mkdtemp(tree) ? 0 : -1;
}

static int drop_tree(void **state)
{
	return remove_tree(AT_FDCWD, tree);
}

static void make_dir(const char *name)
{
	_cleanup_free_ char *path = path_format("%s/%s", tree, name);

	assert_int_equal(mkdir_all(path, 0755), 0);
}

static void make_file(const char *name)
{
	_cleanup_free_ char *path = path_format("%s/%s", tree, name);

	assert_int_equal(write_file_atomic(AT_FDCWD, path, 0644, "", 0), 0);
}

/* The base for a controller, relative to the tree; "-" for none. Static: until the next call. */
static const char *base_of(const char *self, const char *mountinfo, const char *v2_controller,
	const char *controller, int *version)
{
	static char answer[256];
	struct arrow_cgroups g;
	_cleanup_free_ char *base = NULL;

	assert_int_equal(arrow_cgroups_parse(&g, self, mountinfo), 0);
	if (v2_controller) { /* as arrow_cgroups_look() reads them from the tree */
		g.controllers = realloc(g.controllers, (g.n + 1) * sizeof(*g.controllers));
		g.controllers[g.n++] = (struct arrow_cgroup){
			.name = strdup(v2_controller), .dir = strdup(g.dir), .version = 2};
	}
	base = arrow_limits_base(&g, controller, version);
	arrow_cgroups_release(&g);
	snprintf(answer, sizeof(answer), "%s", base ? base + strlen(tree) : "-");
	return answer;
}

static void groups_of_v1_are_below_our_own(void **state)
{
	_cleanup_free_ char *mounts =
		path_format("31 20 0:28 / %s/v1/memory rw - cgroup cgroup rw,memory\n"
			    "32 20 0:29 / %s/v1/blkio rw - cgroup cgroup rw,blkio\n",
			tree, tree);
	int version = 0;

	make_dir("v1/memory/ours");
	make_dir("v1/blkio");
	assert_string_equal(
		base_of("4:memory:/ours\n5:blkio:/\n", mounts, NULL, "memory", &version),
		"/v1/memory/ours");
	assert_int_equal(version, 1);
	assert_string_equal(base_of("4:memory:/ours\n5:blkio:/\n", mounts, NULL, "blkio", &version),
		"/v1/blkio");
	assert_string_equal(
		base_of("4:memory:/ours\n5:blkio:/\n", mounts, NULL, "cpu", &version), "-");
	/* Of a group that is not there, none can be made. */
	assert_string_equal(base_of("4:memory:/gone\n", mounts, NULL, "memory", &version), "-");
}

static void groups_of_v2_are_beside_our_own(void **state)
{
	_cleanup_free_ char *mounts =
		path_format("31 20 0:28 / %s/v2 rw - cgroup2 cgroup2 rw\n", tree);
	int version = 0;

	make_dir("v2/user/app/ours");
	make_file("v2/cgroup.procs"); /* the root has this file, and no cgroup.type */
	make_file("v2/user/cgroup.procs");
	make_file("v2/user/app/cgroup.procs");
	make_file("v2/user/app/ours/cgroup.type");
	assert_string_equal(base_of("0::/user/app/ours\n", mounts, "memory", "memory", &version),
		"/v2/user/app");
	assert_int_equal(version, 2);
	/* v2 calls it io. */
	assert_string_equal(
		base_of("0::/user/app/ours\n", mounts, "io", "blkio", &version), "/v2/user/app");
	assert_string_equal(base_of("0::/\n", mounts, "memory", "memory", &version), "/v2");
}

static void a_container_is_not_left_upwards(void **state)
{
	_cleanup_free_ char *mounts =
		path_format("31 20 0:28 / %s/inner/v2 rw - cgroup2 cgroup2 rw\n", tree);
	int version = 0;

	make_dir("inner/v2");
	make_file("inner/v2/cgroup.type"); /* no root: of a namespace only */
	make_file("inner/v2/cgroup.procs");
	assert_string_equal(base_of("0::/\n", mounts, "memory", "memory", &version), "-");
}

static void a_hybrid_host_has_each_controller_where_it_is(void **state)
{
	_cleanup_free_ char *mounts =
		path_format("31 20 0:28 / %s/h/cpu rw - cgroup cgroup rw,cpu\n"
			    "32 20 0:29 / %s/h/unified rw - cgroup2 cgroup2 rw\n",
			tree, tree);
	const char *self = "1:cpu:/\n0::/\n";
	int version = 0;

	make_dir("h/cpu");
	make_dir("h/unified");
	make_file("h/unified/cgroup.procs");
	assert_string_equal(base_of(self, mounts, "memory", "cpu", &version), "/h/cpu");
	assert_int_equal(version, 1);
	assert_string_equal(base_of(self, mounts, "memory", "memory", &version), "/h/unified");
	assert_int_equal(version, 2);
}

/* A group of v1 as the kernel would make it; `mode` is that of the file to enter it by. */
static void make_group(const char *base, const char *id, mode_t mode)
{
	_cleanup_free_ char *dir = path_format("%s/arrow-%s", base, id), *procs = NULL;

	make_dir(dir);
	procs = path_format("%s/%s/tasks", tree, dir);
	assert_int_equal(write_file_atomic(AT_FDCWD, procs, 0644, "", 0), 0);
	assert_int_equal(chmod(procs, mode), 0);
}

/* The controllers memory and cpu, in directories of the tree. To be released. */
static struct arrow_cgroups groups_in_tree(const char *memory, const char *cpu)
{
	_cleanup_free_ char *mounts =
		path_format("31 20 0:28 / %s/%s rw - cgroup cgroup rw,memory\n"
			    "32 20 0:29 / %s/%s rw - cgroup cgroup rw,cpu\n",
			tree, memory, tree, cpu);
	struct arrow_cgroups groups;

	assert_int_equal(arrow_cgroups_parse(&groups, "4:memory:/\n5:cpu:/\n", mounts), 0);
	return groups;
}

/* What an ordinary user finds: root may write to any file. */
static void begin_as_a_user(const char *memory, const char *list)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_cgroups groups = groups_in_tree(memory, "no-cpu");
	struct arrow_spec spec;
	struct arrow_confinement c;
	int r;

	arrow_spec_init(&spec);
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		_exit(3);
	r = arrow_limits_begin(&c,
		&(struct arrow_limits_wish){
			.spec = &spec, .id = "closed", .list = list, .groups = &groups},
		&error);
	_exit(r < 0 ? 2 : c.n != 0);
}

static void a_group_that_cannot_be_entered_is_none(void **state)
{
	_cleanup_free_ char *list = path_format("%s/closed/list", tree);
	_cleanup_free_ char *base = path_format("%s/closed", tree);
	int status;
	pid_t pid;

	make_group("closed", "closed", 0);
	assert_int_equal(chmod(base, 0777), 0);
	assert_int_equal(chmod(tree, 0755), 0);
	pid = fork();
	if (pid == 0)
		begin_as_a_user("closed", list);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_failed_update_keeps_only_groups_that_the_process_is_in(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *list = path_format("%s/list-of-update", tree);
	_cleanup_free_ char *quota = NULL, *period = NULL, *entered = NULL, *text = NULL;
	struct arrow_cgroups groups = groups_in_tree("no-memory", "cpu");
	struct arrow_confinement c;
	struct arrow_spec spec;
	struct arrow_limits_wish wish = {
		.spec = &spec, .id = "one", .list = list, .groups = &groups};

	make_group("cpu", "one", 0644);
	quota = path_format("%s/cpu/arrow-one/cpu.cfs_quota_us", tree);
	period = path_format("%s/cpu/arrow-one/cpu.cfs_period_us", tree);
	entered = path_format("%s/cpu/arrow-one/tasks", tree);
	arrow_spec_init(&spec);
	assert_int_equal(arrow_limits_begin(&c, &wish, &error), 0);
	assert_int_equal(c.n, 0);

	/* The kernel refuses the limit: no group is left that the process is not in. */
	spec.limits.cpus_given = true;
	assert_true(arrow_limits_update(&c, &wish, 4711, &error) < 0);
	assert_int_equal(c.n, 0);
	arrow_error_clear(&error);

	/* So the next one, that it does not refuse, has the process enter it. */
	make_group("cpu", "one", 0644);
	assert_int_equal(write_file_atomic(AT_FDCWD, quota, 0644, "", 0), 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, period, 0644, "", 0), 0);
	assert_int_equal(arrow_limits_update(&c, &wish, 4711, &error), 0);
	assert_int_equal(c.n, 1);
	assert_int_equal(read_file(AT_FDCWD, entered, 64, &text, NULL), 0);
	assert_string_equal(text, "4711");
	arrow_limits_end(&c);
	arrow_cgroups_release(&groups);
	arrow_spec_release(&spec);
}

static void shares_become_weights_as_runc_has_them(void **state)
{
	assert_int_equal(arrow_limits_weight(2), 1);
	assert_int_equal(arrow_limits_weight(1024), 39);
	assert_int_equal(arrow_limits_weight(262144), 10000);
}

/* Whether this was written to a file of the tree, all in all. */
static bool tree_took(const char *name, const char *expected)
{
	_cleanup_free_ char *path = path_format("%s/%s", tree, name), *text = NULL;

	assert_int_equal(read_file(AT_FDCWD, path, 64, &text, NULL), 0);
	return strcmp(text, expected) == 0;
}

static void the_keeper_counts_in_the_group_of_the_cpu_and_goes_back(void **state)
{
	_cleanup_free_ char *list = path_format("%s/counted-list", tree);
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_cgroups groups = groups_in_tree("counted/memory", "counted/cpu");
	struct arrow_confinement c = ARROW_CONFINEMENT_INIT;
	struct arrow_spec spec;
	struct arrow_limits_wish wish = {
		.spec = &spec, .id = "it", .list = list, .groups = &groups};

	/* Nothing is joined that was not begun, or has no group for it. */
	arrow_limits_join(&c);
	assert_false(c.joined);
	make_group("counted/memory", "it", 0644);
	make_file("counted/memory/arrow-it/memory.limit_in_bytes");
	make_group("counted/cpu", "it", 0644);
	make_file("counted/cpu/arrow-it/cpu.cfs_period_us");
	make_file("counted/cpu/arrow-it/cpu.cfs_quota_us");
	make_file("counted/cpu/tasks");
	arrow_spec_init(&spec);
	assert_int_equal(arrow_limits_begin(&c, &wish, &error), 0);
	arrow_limits_join(&c);
	assert_false(c.joined);
	/* Once there is one, that one alone. */
	spec.limits.cpus_given = true;
	spec.limits.millicpus = 500;
	assert_int_equal(arrow_limits_update(&c, &wish, 4711, &error), 0);
	assert_true(tree_took("counted/cpu/arrow-it/tasks", "4711"));
	arrow_limits_join(&c);
	assert_true(c.joined);
	/* By a descriptor of its own, which in these files begins in front. */
	assert_true(tree_took("counted/cpu/arrow-it/tasks", "0711"));
	assert_true(tree_took("counted/cpu/tasks", ""));
	arrow_limits_leave(&c);
	assert_false(c.joined);
	assert_true(tree_took("counted/cpu/tasks", "0"));
	/* The group is left before it is removed. */
	arrow_limits_join(&c);
	arrow_limits_end(&c);
	assert_true(tree_took("counted/cpu/tasks", "00"));
	assert_true(tree_took("counted/memory/arrow-it/tasks", ""));
	arrow_cgroups_release(&groups);
	arrow_spec_release(&spec);
}

static void left_groups_are_removed_by_their_list_and_nothing_else_is(void **state)
{
	_cleanup_free_ char *list = path_format("%s/list", tree);
	_cleanup_free_ char *text = path_format(
		"%s/left/arrow-1\n%s/left/other\n%s/left/arrow-2\n\n/\n", tree, tree, tree);
	_cleanup_free_ char *one = path_format("%s/left/arrow-1", tree);
	_cleanup_free_ char *other = path_format("%s/left/other", tree);

	make_dir("left/arrow-1");
	make_dir("left/other");
	assert_int_equal(write_file_atomic(AT_FDCWD, list, 0600, text, strlen(text)), 0);
	arrow_limits_clean(AT_FDCWD, list);
	assert_int_equal(access(one, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0);
	arrow_limits_clean(AT_FDCWD, "/nonexistent/list");
}

static void lists_of_cpus(void **state)
{
	static const char *const bad[] = {
		"", "a", "1-", "-1", "2-1", "1,,2", "1,", ",1", "1 2", "1-z", "99999", "0-99999"};
	cpu_set_t set;

	assert_int_equal(arrow_cpuset_parse("0-2,5", &set), 0);
	assert_int_equal(CPU_COUNT(&set), 4);
	assert_true(CPU_ISSET(5, &set) && CPU_ISSET(0, &set) && !CPU_ISSET(3, &set));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(arrow_cpuset_parse(bad[i], &set), -EINVAL);
}

/* What a parser says to a value: NULL for a good one. Static: until the next call. */
#define SAYS(call)                                                                                 \
	({                                                                                         \
		static char text_[300];                                                            \
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;                           \
		int r_ = (call);                                                                   \
		assert_int_equal(r_ < 0, e.text != NULL);                                          \
		snprintf(text_, sizeof(text_), "%s", e.text ? e.text : "");                        \
		r_ < 0 ? text_ : NULL;                                                             \
	})

static bool has(const char *text, const char *part)
{
	return text && strstr(text, part);
}

static void values_are_checked_in_dockers_words(void **state)
{
	struct arrow_spec s;

	arrow_spec_init(&s);
	assert_null(SAYS(arrow_parse_cpu_shares(&s, "2", &e)));
	assert_true(
		has(SAYS(arrow_parse_cpu_shares(&s, "1", &e)), "minimum allowed cpu-shares is 2"));
	assert_true(has(SAYS(arrow_parse_cpu_shares(&s, "262145", &e)),
		"maximum allowed cpu-shares is 262144"));
	assert_null(SAYS(arrow_parse_cpu_shares(&s, "262144", &e)));
	assert_int_equal(s.limits.cpu_shares, 262144);
	assert_non_null(SAYS(arrow_parse_cpu_shares(&s, "many", &e)));
	assert_true(has(SAYS(arrow_parse_blkio_weight(&s, "9", &e)), "from 10 to 1000"));
	assert_null(SAYS(arrow_parse_blkio_weight(&s, "10", &e)));
	assert_null(SAYS(arrow_parse_blkio_weight(&s, "1000", &e)));
	assert_true(has(SAYS(arrow_parse_blkio_weight(&s, "1001", &e)), "from 10 to 1000"));
	assert_true(has(SAYS(arrow_parse_oom_score(&s, "1001", &e)), "[-1000, 1000]"));
	assert_true(has(SAYS(arrow_parse_oom_score(&s, "-1001", &e)), "[-1000, 1000]"));
	assert_null(SAYS(arrow_parse_oom_score(&s, "1000", &e)));
	assert_int_equal(s.limits.oom_score_adj, 1000);
	assert_null(SAYS(arrow_parse_oom_score(&s, "-1000", &e)));
	assert_int_equal(s.limits.oom_score_adj, -1000);
	assert_true(has(SAYS(arrow_parse_rate(&s, ARROW_RATE_READ_BPS, "/dev/sda", &e)),
		"bad format for path"));
	assert_true(has(SAYS(arrow_parse_rate(&s, ARROW_RATE_READ_BPS, "sda:1mb", &e)),
		"bad format for device path"));
	assert_true(has(SAYS(arrow_parse_rate(&s, ARROW_RATE_READ_BPS, "/dev/sda:-1", &e)),
		"invalid rate for device"));
	assert_true(has(SAYS(arrow_parse_rate(&s, ARROW_RATE_READ_IOPS, "/dev/sda:1k", &e)),
		"invalid rate for device"));
	assert_null(SAYS(arrow_parse_rate(&s, ARROW_RATE_WRITE_BPS, "/dev/sda:1mb", &e)));
	assert_int_equal(s.limits.n_rates, 1);
	assert_int_equal(s.limits.rates[0].value, 1048576);
	assert_null(SAYS(arrow_parse_pids(&s, "4194304", &e)));
	assert_int_equal(s.limits.pids_max, 4194304);
	assert_true(has(SAYS(arrow_parse_pids(&s, "4194305", &e)), "up to 4194304"));
	assert_null(SAYS(arrow_parse_pids(&s, "-1", &e)));
	assert_int_equal(s.limits.pids_max, 0);
	assert_non_null(SAYS(arrow_parse_pids(&s, "5x", &e)));
	assert_true(has(SAYS(arrow_parse_cpuset(&s, "1-z", &e)), "invalid value 1-z"));
	assert_true(has(SAYS(arrow_parse_cpuset(&s, "1000", &e)), "not available"));
	assert_null(SAYS(arrow_parse_memory_swap(&s, "16m", &e)));
	assert_true(has(SAYS(arrow_check_limits(&s, &e)), "larger than memory limit"));
	assert_null(SAYS(arrow_parse_memory_swap(&s, "-1", &e)));
	assert_null(SAYS(arrow_check_limits(&s, &e)));
	arrow_spec_release(&s);
}

/* A process that does nothing until it is killed. */
static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(60);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void a_quota_and_a_period_are_a_number_of_cpus(void **state)
{
	static const struct {
		const char *quota, *period;
		uint32_t millicpus; /* 0: not given */
	} good[] = {
		{"50000", "0", 500},
		{"150000", "100000", 1500},
		{"1000", "1000000", 1},
		{"1000", "1000", 1000},
		{"64000000", "1000000", 64000},
		{"-1", "50000", 0},
		{"0", "0", 0},
	};
	static const char *const bad_quotas[] = {"", "x", "999", "-2", "4294967296", "1000 "};
	static const char *const bad_periods[] = {"", "x", "999", "1000001", "-1"};
	_cleanup_error_ struct arrow_error none = ARROW_ERROR_INIT;
	uint32_t quota = 0, period = 0;
	struct arrow_spec spec;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		arrow_spec_init(&spec);
		assert_int_equal(arrow_parse_cpu_quota(good[i].quota, &quota, &none), 0);
		assert_int_equal(arrow_parse_cpu_period(good[i].period, &period, &none), 0);
		assert_int_equal(arrow_set_cpu_time(&spec, quota, period, &none), 0);
		assert_int_equal(spec.limits.cpus_given, good[i].millicpus > 0);
		if (good[i].millicpus)
			assert_int_equal(spec.limits.millicpus, good[i].millicpus);
		arrow_spec_release(&spec);
	}
	for (size_t i = 0; i < sizeof(bad_quotas) / sizeof(*bad_quotas); i++)
		assert_true(has(SAYS(arrow_parse_cpu_quota(bad_quotas[i], &quota, &e)),
			"invalid CPU quota"));
	for (size_t i = 0; i < sizeof(bad_periods) / sizeof(*bad_periods); i++)
		assert_true(has(SAYS(arrow_parse_cpu_period(bad_periods[i], &period, &e)),
			"invalid CPU period"));
	arrow_spec_init(&spec);
	assert_true(
		has(SAYS(arrow_set_cpu_time(&spec, 64001000, 1000000, &e)), "more than 64 CPUs"));
	assert_int_equal(arrow_parse_cpus(&spec, "2", &none), 0);
	assert_true(has(SAYS(arrow_set_cpu_time(&spec, 0, 100000, &e)), "conflicting options"));
	assert_int_equal(arrow_set_cpu_time(&spec, 0, 0, &none), 0);
	arrow_spec_release(&spec);
}

static void assert_killed(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void what_is_in_a_left_group_is_killed_and_not_who_cleans(void **state)
{
	_cleanup_free_ char *list = path_format("%s/strays", tree);
	_cleanup_free_ char *text = path_format("%s/stray/arrow-3\n", tree);
	_cleanup_free_ char *procs = path_format("%s/stray/arrow-3/cgroup.procs", tree);
	_cleanup_free_ char *in = NULL;
	pid_t pid = start_sleeper();

	make_dir("stray/arrow-3");
	in = path_format("0\n%d\n%d\n", getpid(), pid);
	assert_int_equal(write_file_atomic(AT_FDCWD, procs, 0600, in, strlen(in)), 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, list, 0600, text, strlen(text)), 0);
	arrow_limits_clean(AT_FDCWD, list);
	assert_killed(pid);
}

static void a_stray_vm_is_killed_and_nobody_else_of_its_number(void **state)
{
	_cleanup_free_ char *path = path_format("%s/vm", tree), *text = NULL;
	unsigned long long start;
	pid_t pid = start_sleeper();
	int noted;

	assert_int_equal(arrow_stray_note(path, pid), 0);
	assert_int_equal(read_file(AT_FDCWD, path, 64, &text, NULL), 0);
	assert_int_equal(sscanf(text, "%d %llu", &noted, &start), 2);
	assert_int_equal(noted, pid);
	/* Another process that has the number by now. */
	snprintf(text, strlen(text), "%d %llu", pid, start - 1);
	assert_int_equal(write_file_atomic(AT_FDCWD, path, 0600, text, strlen(text)), 0);
	arrow_stray_kill(AT_FDCWD, path);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	/* The one that was noted. */
	assert_int_equal(arrow_stray_note(path, pid), 0);
	arrow_stray_kill(AT_FDCWD, path);
	assert_killed(pid);
	/* It is gone, and so is the file. */
	arrow_stray_kill(AT_FDCWD, path);
	arrow_stray_kill(AT_FDCWD, "/nonexistent/vm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_of_v1_are_below_our_own),
		cmocka_unit_test(groups_of_v2_are_beside_our_own),
		cmocka_unit_test(a_container_is_not_left_upwards),
		cmocka_unit_test(a_hybrid_host_has_each_controller_where_it_is),
		cmocka_unit_test(a_group_that_cannot_be_entered_is_none),
		cmocka_unit_test(a_failed_update_keeps_only_groups_that_the_process_is_in),
		cmocka_unit_test(shares_become_weights_as_runc_has_them),
		cmocka_unit_test(the_keeper_counts_in_the_group_of_the_cpu_and_goes_back),
		cmocka_unit_test(left_groups_are_removed_by_their_list_and_nothing_else_is),
		cmocka_unit_test(what_is_in_a_left_group_is_killed_and_not_who_cleans),
		cmocka_unit_test(a_stray_vm_is_killed_and_nobody_else_of_its_number),
		cmocka_unit_test(lists_of_cpus),
		cmocka_unit_test(values_are_checked_in_dockers_words),
		cmocka_unit_test(a_quota_and_a_period_are_a_number_of_cpus),
	};

	return cmocka_run_group_tests_name("limits", tests, make_tree, drop_tree);
}
