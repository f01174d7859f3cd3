// SPDX-License-Identifier: Apache-2.0
/* Volumes by name, and who uses them. */
#include "unit.h"

#include "killed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/instance/instance.h"
#include "core/instance/volumes.h"
#include "core/spec/parse.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "volume/volume.h"

static char base[] = "/tmp/arrow-test-volume-XXXXXX";
static char data[sizeof(base) + 8], run[sizeof(base) + 8];
static const struct arrow_paths paths = {.data = data, .run = run};

static int set_up(void **state)
{
	if (!mkdtemp(base))
		return -1;
	snprintf(data, sizeof(data), "%s/data", base);
	snprintf(run, sizeof(run), "%s/run", base);
	return mkdir(data, 0755) < 0 || mkdir(run, 0700) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	return remove_tree(AT_FDCWD, base);
}

static int create(const char *name, const char *const *labels, const char *const *options)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_volume_ struct volume v = {0};

	return volume_create(&v, data,
		&(struct volume_wish){.name = name, .labels = labels, .options = options}, &error);
}

static int count(const struct volume *v, void *n, struct arrow_error *error)
{
	++*(unsigned int *)n;
	return 0;
}

static unsigned int volumes(void)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	unsigned int n = 0;

	assert_int_equal(volume_list(data, count, &n, &error), 0);
	return n;
}

static void test_names(void **state)
{
	char longest[VOLUME_NAME_MAX + 2];

	memset(longest, 'a', VOLUME_NAME_MAX + 1);
	longest[VOLUME_NAME_MAX + 1] = '\0';
	assert_false(volume_name_is_valid(longest));
	longest[VOLUME_NAME_MAX] = '\0';
	assert_true(volume_name_is_valid(longest));
	assert_true(volume_name_is_valid("a.B-_9"));
	for (const char *const *bad = (const char *const[]){"", ".", "..", ".x", "-x", "_x", "a/b",
		     "a b", "a\n", "\xc3\xa4", NULL};
		*bad; bad++)
		assert_false(volume_name_is_valid(*bad));
}

static void test_a_volume_is_what_was_asked_for(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_volume_ struct volume v = {0}, again = {0}, gone = {0};
	const char *const labels[] = {"a=b=c", "empty", NULL};
	const char *const bind[] = {"type=none", "o=bind", "device=/tmp", NULL};
	const char *const other[] = {"type=none", "o=bind", "device=/var", NULL};
	const char *const unknown[] = {"size=1g", NULL};
	const char *const bytes[] = {"a=\xff", NULL};
	json_t *o;

	assert_int_equal(create("one", labels, NULL), 0);
	assert_int_equal(volume_open(&v, data, "one", &error), 0);
	o = volume_json(&v);
	assert_string_equal(json_text(o, "Mountpoint"), v.dir);
	assert_string_equal(json_text(json_object_get(o, "Labels"), "a"), "b=c");
	assert_string_equal(json_text(json_object_get(o, "Labels"), "empty"), "");
	assert_false(volume_is_anonymous(&v));
	json_decref(o);
	/* Once more it is the same. */
	assert_int_equal(create("one", NULL, NULL), 0);
	assert_int_equal(create("one", NULL, bind), -EEXIST);
	assert_int_equal(create("shown", NULL, bind), 0);
	assert_int_equal(create("shown", NULL, bind), 0);
	assert_int_equal(create("shown", NULL, other), -EEXIST);
	assert_int_equal(volume_open(&again, data, "shown", &error), 0);
	assert_string_equal(again.dir, "/tmp");
	assert_int_equal(create("x", NULL, unknown), -EINVAL);
	assert_int_equal(create("../x", NULL, NULL), -EINVAL);
	assert_int_equal(create("x", bytes, NULL), -EINVAL);
	assert_int_equal(create("x", NULL, bytes), -EINVAL);
	assert_int_equal(volumes(), 2);
	assert_int_equal(volume_remove(data, "shown", &error), 0);
	assert_int_equal(access("/tmp", F_OK), 0);
	assert_int_equal(volume_remove(data, "shown", &error), -ENOENT);
	arrow_error_clear(&error);
	assert_int_equal(volume_open(&gone, data, "../volumes/one", &error), -ENOENT);
	arrow_error_clear(&error);
	assert_int_equal(volume_remove(data, "one", &error), 0);
	assert_int_equal(volumes(), 0);
}

static void test_a_damaged_one_is_told_and_can_be_removed(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *path = path_format("%s/volumes/bad/volume.json", data);

	for (const char *const *text = (const char *const[]){"", "{", "[]", "{\"labels\": 1}",
		     "{\"labels\": {\"a\": 1}, \"options\": {}, \"created\": \"\"}", NULL};
		*text; text++) {
		_cleanup_volume_ struct volume v = {0};
		FILE *f;

		assert_int_equal(create("bad", NULL, NULL), 0);
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(*text, f);
		fclose(f);
		arrow_error_clear(&error);
		assert_int_equal(volume_open(&v, data, "bad", &error), -EBADMSG);
		assert_non_null(strstr(error.text, "arrow volume rm"));
		assert_int_equal(volumes(), 0);
		assert_int_equal(arrow_volume_remove(data, "bad", &error), 0);
	}
}

static void test_used_ones_stay(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_instance i;
	struct arrow_spec spec;

	assert_int_equal(create("used", NULL, NULL), 0);
	assert_int_equal(create("made-up", NULL, NULL), 0);
	arrow_spec_init(&spec);
	assert_int_equal(arrow_parse_volume(&spec, "used:/a", &error), 0);
	assert_int_equal(arrow_parse_volume(&spec, "made-up:/b", &error), 0);
	spec.files.volumes[1].anonymous = true;
	assert_int_equal(arrow_instance_create(&i, &paths, &spec, &error), 0);
	assert_int_equal(arrow_volume_remove(data, "used", &error), -EBUSY);
	assert_non_null(strstr(error.text, "in use by Arrow"));
	arrow_volumes_drop(data, &spec, true);
	assert_int_equal(volumes(), 2);
	/* One that does not say what it uses may use any. */
	assert_int_equal(renameat(i.dir_fd, "config.json", i.dir_fd, "saved"), 0);
	close(openat(i.dir_fd, "config.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	arrow_error_clear(&error);
	assert_int_equal(arrow_volume_remove(data, "used", &error), -EBADMSG);
	assert_non_null(strstr(error.text, "is damaged"));
	assert_int_equal(renameat(i.dir_fd, "saved", i.dir_fd, "config.json"), 0);
	arrow_instance_remove(&i, true);
	assert_int_equal(volumes(), 1);
	arrow_error_clear(&error);
	assert_int_equal(arrow_volume_remove(data, "used", &error), 0);
	arrow_spec_release(&spec);
}

static int do_create(void *name)
{
	return create(name, NULL, NULL);
}

static int do_remove(void *name)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	return arrow_volume_remove(data, name, &error);
}

/* Whenever it is killed, the next command finds it whole or gone, and nothing else stays. */
static void test_killed_at_each_change(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *deep = path_format("%s/volumes/v/_data/a/b", data);
	bool made = false, removed = false;
	unsigned int when = 1;

	for (; !made || !removed; when++) {
		_cleanup_volume_ struct volume v = {0};
		struct stat st;
		_cleanup_free_ char *dir = path_format("%s/volumes", data);

		made = killed_run(do_create, (void *)"v", when);
		assert_int_equal(create("v", NULL, NULL), 0);
		assert_int_equal(volume_open(&v, data, "v", &error), 0);
		assert_int_equal(mkdir_all(deep, 0755), 0);
		removed = killed_run(do_remove, (void *)"v", when);
		if (arrow_volume_remove(data, "v", &error) < 0) {
			assert_non_null(strstr(error.text, "no such volume"));
			arrow_error_clear(&error);
		}
		assert_int_equal(volumes(), 0);
		assert_int_equal(stat(dir, &st), 0);
		assert_int_equal(st.st_nlink, 2);
	}
	assert_true(when > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_volume_is_what_was_asked_for),
		cmocka_unit_test(test_a_damaged_one_is_told_and_can_be_removed),
		cmocka_unit_test(test_used_ones_stay),
		cmocka_unit_test(test_killed_at_each_change),
	};

	return cmocka_run_group_tests_name("volume", tests, set_up, tear_down);
}
