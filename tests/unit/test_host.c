// SPDX-License-Identifier: Apache-2.0
/* What is read from the host's files: ranges of user ids, control groups. */
#include "tests/unit/fixture.h"

#include "core/limits/cgroup.h"
#include "core/upkeep/host.h"
#include "core/start/userns.h"

static void finds_the_range_of_a_user(void **state)
{
	const char *text = "alice:100000:65536\nbob:165536:1000\n1003:231072:65536\n";
	struct arrow_id_range range;

	assert_int_equal(arrow_subid_parse(text, "bob", 1002, &range), 0);
	assert_int_equal(range.start, 165536);
	assert_int_equal(range.count, 1000);
	/* By number, and without a newline at the end. */
	assert_int_equal(arrow_subid_parse(text, "carol", 1003, &range), 0);
	assert_int_equal(range.start, 231072);
	assert_int_equal(arrow_subid_parse("bob:1:2", "bob", 1002, &range), 0);
	assert_int_equal(range.count, 2);

	assert_int_equal(arrow_subid_parse(text, "ali", 7, &range), -ENOENT);
	assert_int_equal(arrow_subid_parse(text, "alice2", 7, &range), -ENOENT);
	assert_int_equal(arrow_subid_parse(text, "", 7, &range), -ENOENT);
	assert_int_equal(arrow_subid_parse("", "bob", 1002, &range), -ENOENT);
}

static void passes_over_lines_that_make_no_sense(void **state)
{
	static const char *const bad[] = {"bob", "bob:", "bob:1", "bob:1:", "bob::1", "bob:1:0",
		"bob:-1:5", "bob:1:-5", "bob: 1:5", "bob:1:5:6", "bob:1:5x", "bob:0x1:5",
		"bob:4294967296:1", "bob:4294967295:1", "bob:1:4294967295",
		"bob:99999999999999999999999:1", "bob:1:99999999999999999999999", "bob:1:\n5:6",
		":1:5", "\n\n\n", "# bob:1:5"};
	struct arrow_id_range range;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		_cleanup_free_ char *text = path_format("%s\nbob:7:8\n", bad[i]);

		assert_int_equal(arrow_subid_parse(bad[i], "bob", 1002, &range), -ENOENT);
		assert_int_equal(arrow_subid_parse(text, "bob", 1002, &range), 0);
		assert_int_equal(range.start, 7);
	}
}

static void finds_ids_that_nobody_has(void **state)
{
	assert_int_equal(arrow_subid_free("", 65536), 100000);
	assert_int_equal(arrow_subid_free("a:100000:65536\n", 65536), 165536);
	assert_int_equal(arrow_subid_free("a:300000:10\nb:100000:65536\nc:x:y", 65536), 300010);
	assert_int_equal(arrow_subid_free("a:10:10\n", 65536), 100000);
	assert_int_equal(arrow_subid_free("a:4294900000:60000\n", 65536), 0);
}

static const struct arrow_cgroup *controller(const struct arrow_cgroups *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++)
		if (strcmp(g->controllers[i].name, name) == 0)
			return &g->controllers[i];
	return NULL;
}

static void reads_a_v2_layout(void **state)
{
	struct arrow_cgroups g;

	assert_int_equal(
		arrow_cgroups_parse(&g, "0::/user.slice/session-1.scope\n",
			"24 1 0:22 / / rw - ext4 /dev/vda rw\n"
			"30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"),
		0);
	assert_true(g.v2 && !g.v1);
	assert_string_equal(g.dir, "/sys/fs/cgroup/user.slice/session-1.scope");
	assert_int_equal(g.n, 0);
	arrow_cgroups_release(&g);
}

static void reads_a_hybrid_layout(void **state)
{
	struct arrow_cgroups g;

	assert_int_equal(
		arrow_cgroups_parse(&g,
			"12:cpu,cpuacct:/a/b\n5:memory:/docker/1\n3:devices:/elsewhere\n"
			"2:blkio:/\n1:name=systemd:/x\n0::/\n",
			"31 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
			/* A part of the hierarchy only, as in a container. */
			"32 25 0:27 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
			"33 25 0:28 /docker/1 /sys/fs/cgroup/dev\\040ices rw - cgroup cgroup rw,devices\n"
			"34 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
			"35 25 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"),
		0);
	assert_true(g.v1 && g.v2);
	assert_string_equal(g.dir, "/sys/fs/cgroup/unified");
	assert_int_equal(g.n, 4); /* blkio is nowhere mounted */
	assert_string_equal(controller(&g, "cpu")->dir, "/sys/fs/cgroup/cpu,cpuacct/a/b");
	assert_string_equal(controller(&g, "cpuacct")->dir, "/sys/fs/cgroup/cpu,cpuacct/a/b");
	assert_string_equal(controller(&g, "memory")->dir, "/sys/fs/cgroup/memory");
	assert_string_equal(controller(&g, "devices")->dir, "/sys/fs/cgroup/dev ices");
	assert_int_equal(controller(&g, "cpu")->version, 1);
	assert_null(controller(&g, "blkio"));
	arrow_cgroups_release(&g);
}

static void reads_damaged_files(void **state)
{
	static const char *const texts[] = {"", "\n", ":", "::", ":::", "0:", "0::", "0::x",
		"1:,,:/", " - ", "a b c d e - ", "a b c d e - cgroup", "a b c d e - cgroup x",
		" - cgroup2 x y", "a b c d \\0 f - cgroup2 x y", "a b c d \\777 f - cgroup x ,,,"};
	const size_t n = sizeof(texts) / sizeof(*texts);

	for (size_t i = 0; i < n * n; i++) {
		struct arrow_cgroups g;

		assert_int_equal(arrow_cgroups_parse(&g, texts[i / n], texts[i % n]), 0);
		assert_int_equal(g.n, 0);
		arrow_cgroups_release(&g);
	}
}

static void looks_at_this_host(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_host host;

	assert_int_equal(arrow_host_look(&host, NULL, &error), 0);
	assert_int_equal(host.uid, getuid());
	assert_true(host.cpus >= 1);
	assert_true(host.memory > 0 && host.memory_available <= host.memory);
	assert_true(host.n_engines >= 1);
	for (unsigned int i = 0; i < host.n_engines; i++)
		assert_true(!host.engines[i].version != !host.engines[i].problem);
	for (size_t i = 0; i < host.cgroups.n; i++)
		assert_int_equal(access(host.cgroups.controllers[i].dir, F_OK), 0);
	assert_int_equal(host.n_kernels, 0);
	assert_null(host.data.path);
	arrow_host_release(&host);
}

static void finds_programs(void **state)
{
	_cleanup_free_ char *path = NULL, *none = NULL, *direct = NULL, *here = NULL;
	const char *was = getenv("PATH");
	_cleanup_free_ char *old = strdup(was ? was : "/usr/bin:/bin");

	shell("mkdir a b b/prog-dir; printf '#!/bin/sh\\n' >b/prog; chmod +x b/prog; "
	      "touch a/prog; cp b/prog prog-here; mkdir a/prog-dir");
	setenv("PATH", "a:b::/nonexistent", 1);
	path = process_find("prog");
	direct = process_find("b/prog");
	none = process_find("prog-dir");
	here = process_find("prog-here");
	setenv("PATH", old, 1);
	assert_string_equal(path, "b/prog");
	assert_string_equal(direct, "b/prog");
	assert_null(none);
	assert_string_equal(here, "./prog-here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_range_of_a_user),
		cmocka_unit_test(passes_over_lines_that_make_no_sense),
		cmocka_unit_test(finds_ids_that_nobody_has),
		cmocka_unit_test(reads_a_v2_layout),
		cmocka_unit_test(reads_a_hybrid_layout),
		cmocka_unit_test(reads_damaged_files),
		cmocka_unit_test(looks_at_this_host),
		FIXTURE_TEST(finds_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
