// SPDX-License-Identifier: Apache-2.0
/* Images that a template's loader can mount before it knows which one it will be. */
#include "tests/unit/fixture.h"

#include <errno.h>

#include "image/erofs_format.h"
#include "image/uniform.h"

#define MKFS "mkfs.erofs --quiet -T0 -x-1 --all-root -Enoinline_data image tree >/dev/null; "

static int open_image(void)
{
	int fd = open("image", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Whether the image that the line makes is uniform afterwards; its tools must like it anyway. */
static bool made_uniform(const char *line)
{
	_cleanup_free_ char *make = path_format("rm -rf image out tree; mkdir tree; %s", line);
	_cleanup_close_ int fd = -1;

	shell(make);
	fd = open_image();
	assert_false(erofs_is_uniform(fd));
	assert_int_equal(erofs_make_uniform(fd), 0);
	shell("fsck.erofs --extract=out image; diff -r tree out");
	return erofs_is_uniform(fd);
}

static void what_a_kernel_keeps_is_the_same_for_all(void **state)
{
	uint8_t one[EROFS_SUPER_OFFSET + sizeof(struct erofs_super)], other[sizeof(one)];
	struct erofs_super a, b;
	uint32_t mode, uid, gid;
	int fd;

	assert_true(made_uniform("mkdir tree/etc; echo x >tree/file; " MKFS));
	fd = open_image();
	assert_int_equal(pread(fd, one, sizeof(one), 0), sizeof(one));
	assert_int_equal(erofs_read_root(fd, &mode, &uid, &gid), 0);
	assert_int_equal(mode, S_IFDIR | 0755);
	close(fd);
	assert_true(made_uniform("mkdir -p tree/a/b/c tree/d; ln -s a tree/link; chmod 1777 tree; "
				 "dd if=/dev/zero of=tree/large bs=1M count=9 2>/dev/null; " MKFS));
	fd = open_image();
	assert_int_equal(erofs_read_root(fd, &mode, &uid, &gid), 0);
	assert_int_equal(mode, S_IFDIR | 01777);
	assert_int_equal(uid, 0);
	assert_int_equal(gid, 0);
	assert_int_equal(pread(fd, other, sizeof(other), 0), sizeof(other));
	close(fd);

	memcpy(&a, one + EROFS_SUPER_OFFSET, sizeof(a));
	memcpy(&b, other + EROFS_SUPER_OFFSET, sizeof(b));
	/* These are for show. */
	memset(a.uuid, 0, sizeof(a.uuid));
	memset(b.uuid, 0, sizeof(b.uuid));
	a.inodes = b.inodes = 0;
	a.blocks = b.blocks = 0;
	assert_memory_equal(&a, &b, sizeof(a));
}

static void names_may_sort_before_the_parent(void **state)
{
	assert_true(made_uniform(
		"mkdir -p tree/d tree/--; touch tree/d/-x tree/d/+ 'tree/d/!' tree/d/... 'tree/--/#'; " MKFS));
	/* So many of them that the parent is in another block. */
	assert_false(made_uniform(
		"mkdir tree/d; for i in $(seq 300); do touch tree/d/-$i; done; " MKFS));
}

static void a_root_with_many_entries_stays_as_it_is(void **state)
{
	assert_true(made_uniform("for i in $(seq 100 145); do touch tree/f$i; done; " MKFS));
	assert_false(made_uniform("for i in $(seq 100 200); do mkdir tree/f$i; done; " MKFS));
	assert_false(made_uniform("for i in $(seq 1000); do mkdir tree/f$i; done; " MKFS));
}

static void times_of_their_own_are_kept(void **state)
{
	_cleanup_free_ char *time = NULL;

	assert_true(made_uniform(
		"mkdir tree/d; touch -d '2001-02-03 04:05:06 UTC' tree/d/f; mkfs.erofs --quiet "
		"-x-1 -Enoinline_data,force-inode-extended image tree >/dev/null"));
	time = shell_output("TZ=UTC dump.erofs --path=/d/f image | grep Timestamp");
	assert_non_null(strstr(time, "2001-02-03 04:05:06"));
}

static void damaged_images_do_no_harm(void **state)
{
	uint8_t image[16384];
	uint32_t x = 2463534242u;
	_cleanup_close_ int fd = -1;
	ssize_t size;

	shell("mkdir -p tree/a/b tree/etc; touch tree/a/f; " MKFS);
	fd = open_image();
	size = pread(fd, image, sizeof(image), 0);
	assert_true(size >= 4096);
	for (int i = 0; i < 5000; i++) {
		_cleanup_close_ int copy =
			open("copy", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(pwrite(copy, image, (size_t)size, 0), size);
		for (int k = 0; k < 3; k++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			assert_int_equal(pwrite(copy, &x, 1, (off_t)(1024 + x % 600)), 1);
		}
		(void)!erofs_make_uniform(copy);
		erofs_is_uniform(copy);
	}
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(erofs_make_uniform(fd), -EINVAL);
	assert_false(erofs_is_uniform(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_a_kernel_keeps_is_the_same_for_all, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			names_may_sort_before_the_parent, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			a_root_with_many_entries_stays_as_it_is, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			times_of_their_own_are_kept, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			damaged_images_do_no_harm, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("uniform", tests, NULL, NULL);
}
