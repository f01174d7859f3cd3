// SPDX-License-Identifier: Apache-2.0
/* The loader's own printf() says what the library's does, for all that the loader asks of it. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int loader_vsnprintf(char *out, size_t size, const char *fmt, va_list args);
int loader_snprintf(char *out, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int loader_dprintf(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define vsnprintf loader_vsnprintf
#define snprintf loader_snprintf
#define dprintf loader_dprintf
#include "guest/printf.c" /* NOLINT(bugprone-suspicious-include) */
#undef vsnprintf
#undef snprintf
#undef dprintf

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char theirs[200], ours[200];                                                       \
		errno = ENOENT;                                                                    \
		int n = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                             \
		errno = ENOENT;                                                                    \
		assert_int_equal(loader_snprintf(ours, sizeof(ours), __VA_ARGS__), n);             \
		assert_string_equal(ours, theirs);                                                 \
	} while (0)

static void conversions_are_those_of_the_library(void **state)
{
	SAME("nothing");
	SAME("%s", "");
	SAME("%s and %s", "one", "two");
	SAME("%.*s|%.20s|%.2s", 3, "abcdef", "short", "cut");
	SAME("%c%c", 'x', '%');
	SAME("100 %%");
	SAME("%d %d %d %d", 0, -1, INT32_MAX, INT32_MIN);
	SAME("%u %u", 0u, UINT32_MAX);
	SAME("%lu %llu %zu", 1ul, (unsigned long long)UINT64_MAX, (size_t)7);
	SAME("%lld %lld", -5ll, (long long)INT64_MIN);
	SAME("%x %02x %02x", 0xbeefu, 7u, 0xabu);
	SAME("%u.%03u ms", 12u, 5u);
	SAME("cannot do it: %m");
	SAME("%s: %m%s", "a", "b");
}

static void text_without_room_is_cut_and_counted(void **state)
{
	char out[8];

	for (size_t size = 1; size <= sizeof(out); size++) {
		memset(out, 'x', sizeof(out));
		assert_int_equal(loader_snprintf(out, size, "%s-%u", "abcd", 123456u), 11);
		assert_int_equal(strlen(out), size - 1);
		assert_memory_equal(out, "abcd-123456", size - 1);
	}
	assert_int_equal(loader_snprintf(NULL, 0, "%s", "abc"), 3);
}

static void a_descriptor_gets_the_text(void **state)
{
	char out[8];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(loader_dprintf(fds[1], "%d\n", 42), 3);
	assert_int_equal(read(fds[0], out, sizeof(out)), 3);
	assert_memory_equal(out, "42\n", 3);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversions_are_those_of_the_library),
		cmocka_unit_test(text_without_room_is_cut_and_counted),
		cmocka_unit_test(a_descriptor_gets_the_text),
	};

	return cmocka_run_group_tests_name("printf", tests, NULL, NULL);
}
