// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fixture.h"

#include <errno.h>
#include <sys/stat.h>

#include "image/closure.h"
#include "image/search.h"

/* libbar is needed by libfoo, libfoo by the program; flags say how each is linked. */
static void build(const char *compiler, const char *program_flags, const char *foo_flags)
{
	_cleanup_free_ char *line = path_format(
		"mkdir -p bin lib other; cd lib;"
		"%s -shared -fPIC -Wl,-soname,libbar.so.1 -o libbar.so.1 ../bar.c;"
		"%s -shared -fPIC -Wl,-soname,libfoo.so.1 -o libfoo.so.1 ../foo.c libbar.so.1 %s;"
		"%s -o ../bin/prog ../main.c libfoo.so.1 -Wl,--allow-shlib-undefined %s",
		compiler, compiler, foo_flags, compiler, program_flags);

	assert_non_null(line);
	write_text("main.c", "int foo(void); int main(void) { return foo(); }\n");
	write_text("foo.c", "int bar(void); int foo(void) { return bar(); }\n");
	write_text("bar.c", "int bar(void) { return 0; }\n");
	shell(line);
}

static int find(struct closure *c, const struct fixture *f, const char *library_path,
	struct arrow_error *error)
{
	_cleanup_free_ char *program = path_format("%s/bin/prog", f->dir);

	assert_non_null(program);
	return closure_find(c, program, "./prog", "/bin/prog", library_path, error);
}

/* Where in the image a file of the host lies, or NULL. */
static const char *placed(const struct closure *c, const char *end)
{
	for (size_t i = 0; i < c->object_count; i++) {
		const char *host = c->objects[i]->host;
		size_t n = strlen(host), m = strlen(end);

		if (n >= m && !strcmp(host + n - m, end))
			return c->objects[i]->guest;
	}
	return NULL;
}

static void expect_places(
	struct fixture *f, const char *library_path, const char *foo, const char *bar)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct closure c;

	if (find(&c, f, library_path, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(c.objects[0]->guest, "/bin/prog");
	assert_string_equal(c.objects[1]->guest, c.objects[0]->elf.interpreter);
	assert_non_null(placed(&c, "/libfoo.so.1"));
	assert_string_equal(placed(&c, "/libfoo.so.1"), foo);
	assert_non_null(placed(&c, "/libbar.so.1"));
	assert_string_equal(placed(&c, "/libbar.so.1"), bar);
	closure_release(&c);
}

static void runpath_with_origin_is_kept(void **state)
{
	build("cc", "'-Wl,-rpath,$ORIGIN/../lib' -Wl,--enable-new-dtags",
		"'-Wl,-rpath,${ORIGIN}' -Wl,--enable-new-dtags");
	expect_places(*state, NULL, "/lib/libfoo.so.1", "/lib/libbar.so.1");
}

static void rpath_is_inherited(void **state)
{
	build("cc", "'-Wl,-rpath,$ORIGIN/../lib' -Wl,--disable-new-dtags", "");
	expect_places(*state, NULL, "/lib/libfoo.so.1", "/lib/libbar.so.1");
}

static void runpath_is_not_inherited_and_the_error_names_both(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct fixture *f = *state;
	struct closure c;

	build("cc", "'-Wl,-rpath,$ORIGIN/../lib' -Wl,--enable-new-dtags", "");
	assert_int_equal(find(&c, f, NULL, &e), -ENOENT);
	assert_int_equal(e.status, ARROW_STATUS_ERROR);
	assert_non_null(strstr(e.text, "cannot run ./prog: it needs libbar.so.1 (needed by "));
	assert_non_null(strstr(e.text, "/libfoo.so.1), which is nowhere in "));
	assert_non_null(strstr(e.text, "/lib"));
}

static void musl_inherits_both(void **state)
{
	build("musl-gcc", "'-Wl,-rpath,$ORIGIN/../lib' -Wl,--enable-new-dtags", "");
	expect_places(*state, NULL, "/lib/libfoo.so.1", "/lib/libbar.so.1");
}

static void musl_knows_its_own_libraries(void **state)
{
	assert_true(search_musl_builtin("libc.so"));
	assert_true(search_musl_builtin("libpthread.so.0"));
	assert_false(search_musl_builtin("libcrypt.so.1"));
	assert_false(search_musl_builtin("libmagic.so.1"));
}

static void library_path_moves_to_a_default_directory(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct fixture *f = *state;
	_cleanup_free_ char *lib = path_format("/nowhere:%s/lib", f->dir);
	_cleanup_free_ char *libc = NULL;
	struct closure c;
	const char *guest;

	build("cc", "", "");
	assert_int_equal(find(&c, f, lib, &e), 0);
	assert_false(c.relative);
	guest = placed(&c, "/libfoo.so.1");
	assert_non_null(guest);
	assert_non_null(placed(&c, "/libc.so.6"));
	libc = strdup(placed(&c, "/libc.so.6"));
	/* Where libc lies, the loader looks by default. */
	assert_memory_equal(guest, libc, strlen(libc) - strlen("libc.so.6"));
	closure_release(&c);

	/* The same through the current directory must not be remembered. */
	assert_int_equal(find(&c, f, "lib", &e), 0);
	assert_true(c.relative);
	closure_release(&c);
}

static void paths_that_an_arrow_covers_move_to_a_default_directory(void **state)
{
	char dir[] = "/tmp/arrow-unit-XXXXXX";
	_cleanup_free_ char *flags = NULL, *copy = NULL;
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct closure c;

	assert_non_null(mkdtemp(dir));
	flags = path_format("-Wl,-rpath,%s -Wl,--disable-new-dtags", dir);
	copy = path_format("cp lib/*.so.1 %s", dir);
	build("cc", flags, "");
	shell(copy);
	assert_int_equal(find(&c, *state, NULL, &e), 0);
	assert_non_null(placed(&c, "/libfoo.so.1"));
	assert_null(strstr(placed(&c, "/libfoo.so.1"), "/tmp"));
	closure_release(&c);
	remove_tree(AT_FDCWD, dir);
}

static void a_library_of_another_machine_is_passed_over(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct closure c;
	bool noted = false;

	build("cc", "'-Wl,-rpath,$ORIGIN/../other:$ORIGIN/../lib' -Wl,--disable-new-dtags", "");
	/* Byte 18 is the machine. */
	shell("cp lib/libfoo.so.1 other/;"
	      "printf '\\26' | dd of=other/libfoo.so.1 bs=1 seek=18 conv=notrunc status=none");
	assert_int_equal(find(&c, *state, NULL, &e), 0);
	assert_null(placed(&c, "/other/libfoo.so.1"));
	assert_non_null(placed(&c, "/libfoo.so.1"));
	for (size_t i = 0; i < c.probe_count; i++)
		if (strstr(c.probes[i].path, "/other/libfoo.so.1"))
			noted = strcmp(c.probes[i].identity, IDENTITY_ABSENT) != 0;
	assert_true(noted);
	closure_release(&c);
}

static void a_damaged_library_is_named(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct closure c;

	build("cc", "'-Wl,-rpath,$ORIGIN/../lib' -Wl,--disable-new-dtags", "");
	shell("truncate -s 3000 lib/libbar.so.1");
	assert_int_equal(find(&c, *state, NULL, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "it needs libbar.so.1 (needed by "));
	assert_non_null(strstr(e.text, "lib/libbar.so.1 is not usable: it is cut short"));
}

static void libraries_without_a_file_are_looked_for_again(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct closure c;
	bool noted = false;

	build("cc", "'-Wl,-rpath,$ORIGIN/../other:$ORIGIN/../lib' -Wl,--disable-new-dtags", "");
	assert_int_equal(find(&c, *state, NULL, &e), 0);
	for (size_t i = 0; i < c.probe_count; i++)
		if (strstr(c.probes[i].path, "/other/libfoo.so.1"))
			noted = !strcmp(c.probes[i].identity, IDENTITY_ABSENT);
	assert_true(noted);
	closure_release(&c);
}

static void a_name_with_a_slash_is_a_path(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct fixture *f = *state;
	_cleanup_free_ char *line = path_format("cc -shared -fPIC -o %s/plain.so bar.c;"
						"mkdir bin; cc -o bin/prog main.c %s/plain.so",
		f->dir, f->dir);
	_cleanup_free_ char *path = path_format("%s/plain.so", f->dir);
	struct closure c;

	write_text("main.c", "int bar(void); int main(void) { return bar(); }\n");
	write_text("bar.c", "int bar(void) { return 0; }\n");
	shell(line);
	assert_int_equal(find(&c, f, NULL, &e), 0);
	assert_string_equal(placed(&c, "/plain.so"), path);
	closure_release(&c);

	unlink("plain.so");
	assert_int_equal(find(&c, f, NULL, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/plain.so, and there is no such library"));
}

static void what_the_loader_mounts_covers_paths(void **state)
{
	assert_true(search_is_covered("/tmp/x"));
	assert_true(search_is_covered("/proc"));
	assert_false(search_is_covered("/tmpx"));
}

static void a_damaged_cache_finds_nothing_and_never_crashes(void **state)
{
	_cleanup_free_ char *data = NULL;
	struct ldcache cache;
	size_t size;

	assert_int_equal(ldcache_read(&cache, "/nowhere"), 0);
	assert_null(ldcache_find(&cache, "libc.so.6", 0));
	assert_int_equal(ldcache_read(&cache, "/etc/ld.so.cache"), 0);
	assert_non_null(ldcache_find(&cache, "libc.so.6", 0));
	assert_null(ldcache_find(&cache, "libc.so.6", 1000));
	ldcache_release(&cache);

	assert_int_equal(read_file(AT_FDCWD, "/etc/ld.so.cache", 64u << 20, &data, &size), 0);
	for (size_t cut = 0; cut < 600 && cut < size; cut++) {
		assert_int_equal(write_file_atomic(AT_FDCWD, "cache", 0600, data, cut), 0);
		assert_int_equal(ldcache_read(&cache, "cache"), 0);
		assert_null(ldcache_find(&cache, "libc.so.6", 0));
		ldcache_release(&cache);
	}
	/* Offsets of the first entry far outside. */
	memset(data + 48, 0xff, 24);
	memset(data + 48, 3, 2);
	memset(data + 50, 0, 2);
	assert_int_equal(write_file_atomic(AT_FDCWD, "cache", 0600, data, size), 0);
	assert_int_equal(ldcache_read(&cache, "cache"), 0);
	assert_null(ldcache_find(&cache, "no such library", 0));
	ldcache_release(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(runpath_with_origin_is_kept),
		FIXTURE_TEST(rpath_is_inherited),
		FIXTURE_TEST(runpath_is_not_inherited_and_the_error_names_both),
		FIXTURE_TEST(musl_inherits_both),
		FIXTURE_TEST(musl_knows_its_own_libraries),
		FIXTURE_TEST(library_path_moves_to_a_default_directory),
		FIXTURE_TEST(paths_that_an_arrow_covers_move_to_a_default_directory),
		FIXTURE_TEST(a_library_of_another_machine_is_passed_over),
		FIXTURE_TEST(a_damaged_library_is_named),
		FIXTURE_TEST(libraries_without_a_file_are_looked_for_again),
		FIXTURE_TEST(a_name_with_a_slash_is_a_path),
		cmocka_unit_test(what_the_loader_mounts_covers_paths),
		FIXTURE_TEST(a_damaged_cache_finds_nothing_and_never_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
