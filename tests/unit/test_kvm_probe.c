// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/kvm/probe.h"
#include "util/cleanup.h"
#include "util/io.h"

/* A KVM that answers one call in another way: in front of the C library's ioctl(). */
static enum { AS_IT_IS, HANGS, HANGS_EARLY, IS_BUSY, SHUTS_DOWN } kvm_fault;

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	long r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((kvm_fault == HANGS && request == KVM_RUN) ||
		(kvm_fault == HANGS_EARLY && request == KVM_CREATE_VM))
		for (;;)
			pause();
	if (kvm_fault == IS_BUSY && request == KVM_CREATE_VM) {
		errno = EBUSY;
		return -1;
	}
	r = syscall(SYS_ioctl, fd, request, arg);
	if (kvm_fault == SHUTS_DOWN && request == KVM_RUN) {
		struct kvm_run *run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		assert_true(run != MAP_FAILED);
		run->exit_reason = KVM_EXIT_SHUTDOWN;
		munmap(run, 4096);
		return 0;
	}
	return (int)r;
}

static char dir[] = "/tmp/arrow-unit-XXXXXX";

static int make_dir(void **state)
{
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return remove_tree(AT_FDCWD, dir);
}

/* The one file in the cache, NULL if there is none. */
static char *cache_file(void)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	char *path = NULL;
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		assert_null(path);
		path = path_format("%s/%s", dir, e->d_name);
		assert_non_null(path);
	}
	return path;
}

static void write_cache(const char *path, const char *data, size_t size)
{
	assert_int_equal(write_file_atomic(AT_FDCWD, path, 0600, data, size), 0);
}

static void it_gives_a_reason_and_does_not_hang(void **state)
{
	struct arrow_kvm_verdict v;
	uint64_t begin = now_ms();

	memset(&v, 'x', sizeof(v));
	arrow_kvm_probe(NULL, &v);
	assert_true(now_ms() - begin < 20000);
	assert_non_null(memchr(v.reason, '\0', sizeof(v.reason)));
	assert_true(strlen(v.reason) > 5);
	print_message("# %s: %s\n", v.usable ? "usable" : "unusable", v.reason);
	if (access("/dev/kvm", R_OK | W_OK) != 0)
		assert_false(v.usable);
}

/* Where there is no device nothing more can be seen: kvm.bats runs all of it in a machine that has
 * one. */
static bool is_without_kvm(void)
{
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		return false;
	print_message("# not seen: there is no /dev/kvm\n");
	return true;
}

static void the_verdict_is_kept_for_this_boot(void **state)
{
	struct arrow_kvm_verdict first, second;
	_cleanup_free_ char *path = NULL, *data = NULL;
	char *reason;

	arrow_kvm_probe(dir, &first);
	path = cache_file();
	if (!path) {
		/* Only what a guest has shown is kept. */
		assert_true(is_without_kvm());
		return;
	}
	/* What is in the file is what comes back, so the second verdict is from there. */
	assert_int_equal(read_file(AT_FDCWD, path, 1000, &data, NULL), 0);
	reason = strstr(data, first.reason);
	assert_non_null(reason);
	reason[0] = '*';
	write_cache(path, data, strlen(data));
	arrow_kvm_probe(dir, &second);
	assert_int_equal(second.usable, first.usable);
	assert_int_equal(second.reason[0], '*');
	assert_string_equal(second.reason + 1, first.reason + 1);
}

static void a_damaged_verdict_is_found_again(void **state)
{
	struct arrow_kvm_verdict first, again;
	_cleanup_free_ char *path = NULL, *data = NULL;
	size_t size = 0;

	arrow_kvm_probe(dir, &first);
	path = cache_file();
	if (!path) {
		assert_true(is_without_kvm());
		return;
	}
	assert_int_equal(read_file(AT_FDCWD, path, 1000, &data, &size), 0);

	for (int damage = 0; damage < 6; damage++) {
		_cleanup_free_ char *bad = calloc(1, 4096), *now = NULL;
		size_t length = size;

		assert_non_null(bad);
		memcpy(bad, data, size);
		memset(bad + size, 'x', 4096 - size);
		if (damage == 0)
			length = 0; /* empty */
		else if (damage == 1)
			length = size - 1; /* cut */
		else if (damage == 2)
			bad[0] ^= 1; /* another format */
		else if (damage == 3)
			bad[size - 3] = '\0';
		else if (damage == 4)
			bad[size - 3] = '\n'; /* a line too many */
		else
			length = 4096;
		write_cache(path, bad, length);
		arrow_kvm_probe(dir, &again);
		assert_int_equal(again.usable, first.usable);
		assert_true(strlen(again.reason) > 5);
		/* It was found anew and written over the bad one. */
		assert_int_equal(read_file(AT_FDCWD, path, 8192, &now, &length), 0);
		assert_non_null(strstr(now, again.reason));
		assert_true(length < 512 && now[length - 1] == '\n');
	}
}

static void a_cache_that_cannot_be_written_does_no_harm(void **state)
{
	struct arrow_kvm_verdict v, fresh;

	arrow_kvm_probe(NULL, &fresh);
	arrow_kvm_probe("/nonexistent/arrow", &v);
	assert_int_equal(v.usable, fresh.usable);
}

static void expect(int fault, const char *reason)
{
	struct arrow_kvm_verdict v;
	uint64_t begin = now_ms();

	kvm_fault = fault;
	arrow_kvm_probe(NULL, &v);
	kvm_fault = AS_IT_IS;
	assert_false(v.usable);
	if (!strstr(v.reason, reason))
		fail_msg("\"%s\" does not say \"%s\"", v.reason, reason);
	assert_true(now_ms() - begin < 20000);
}

static void what_fails_is_named(void **state)
{
	if (is_without_kvm())
		return;
	expect(IS_BUSY, "KVM_CREATE_VM failed: Device or resource busy");
	expect(SHUTS_DOWN, "stopped at its first instruction (KVM_EXIT_SHUTDOWN");
}

static void a_kvm_that_hangs_is_left_at_the_deadline(void **state)
{
	if (is_without_kvm())
		return;
	expect(HANGS, "the guest was at its first instruction after");
	expect(HANGS_EARLY, "KVM_CREATE_VM did not return");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_gives_a_reason_and_does_not_hang),
		cmocka_unit_test_setup_teardown(
			the_verdict_is_kept_for_this_boot, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_damaged_verdict_is_found_again, make_dir, remove_dir),
		cmocka_unit_test(what_fails_is_named),
		cmocka_unit_test(a_kvm_that_hangs_is_left_at_the_deadline),
		cmocka_unit_test(a_cache_that_cannot_be_written_does_no_harm),
	};

	return cmocka_run_group_tests_name("kvm_probe", tests, NULL, NULL);
}
