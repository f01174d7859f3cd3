// SPDX-License-Identifier: Apache-2.0
/* The rate of the time stamp counter: measured, kept for a boot, and never taken on trust. */
#include "engine/tsc.h"
#include "tests/unit/fixture.h"

/* The only file that the measurement leaves in the current directory. */
static char *cache_file(void)
{
	char *name = shell_output("ls -d tsc-*");

	name[strcspn(name, "\n")] = '\0';
	return name;
}

static uint32_t rate(void)
{
	uint32_t khz = arrow_tsc_khz(NULL);

	if (khz == 0) {
		print_message("this host's time stamp counter is not constant\n");
		skip();
	}
	return khz;
}

static void two_measurements_agree(void **state)
{
	uint32_t a = rate(), b = rate();

	/* Within a thousandth, which is a hundred times what they differ by. */
	assert_in_range(a, b - b / 1000, b + b / 1000);
}

static void a_measurement_is_kept(void **state)
{
	uint32_t khz = rate(), kept;
	_cleanup_free_ char *name = NULL, *text = NULL;

	kept = arrow_tsc_khz(".");
	assert_in_range(kept, khz - khz / 1000, khz + khz / 1000);
	name = cache_file();
	assert_int_equal(read_file(AT_FDCWD, name, 32, &text, NULL), 0);
	assert_int_equal(strtoul(text, NULL, 10), kept);

	/* What is there is used. */
	assert_int_equal(write_file_atomic(AT_FDCWD, name, 0600, "1234567\n", 8), 0);
	assert_int_equal(arrow_tsc_khz("."), 1234567);
}

static void a_damaged_file_is_not_used(void **state)
{
	static const char *const damaged[] = {"", "\n", "x\n", "2000000", "2000000\nx", "-1\n",
		"0\n", "99999\n", "20000001\n", "99999999999999999999999\n",
		"184467440737095520\n"};
	uint32_t khz = rate();
	_cleanup_free_ char *name = NULL;

	assert_int_not_equal(arrow_tsc_khz("."), 0);
	name = cache_file();
	for (size_t i = 0; i < sizeof(damaged) / sizeof(*damaged); i++) {
		assert_int_equal(
			write_file_atomic(AT_FDCWD, name, 0600, damaged[i], strlen(damaged[i])), 0);
		assert_in_range(arrow_tsc_khz("."), khz - khz / 1000, khz + khz / 1000);
	}
}

static void a_directory_that_is_not_there_does_no_harm(void **state)
{
	uint32_t khz = rate();

	assert_in_range(arrow_tsc_khz("/nonexistent"), khz - khz / 1000, khz + khz / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			two_measurements_agree, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			a_measurement_is_kept, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			a_damaged_file_is_not_used, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_does_no_harm,
			fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
