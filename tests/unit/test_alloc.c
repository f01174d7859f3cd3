// SPDX-License-Identifier: Apache-2.0
/* The loader's own malloc(). */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *loader_malloc(size_t size);
void *loader_calloc(size_t count, size_t size);
void *loader_realloc(void *data, size_t size);
void loader_free(void *data);

#define malloc loader_malloc
#define calloc loader_calloc
#define realloc loader_realloc
#define free loader_free
#include "guest/alloc.c" /* NOLINT(bugprone-suspicious-include) */
#undef malloc
#undef calloc
#undef realloc
#undef free

#define PIECES 200

struct held {
	uint8_t *data;
	size_t size;
	uint8_t mark;
};

static void check(const struct held *h)
{
	for (size_t i = 0; i < h->size; i++)
		if (h->data[i] != h->mark)
			fail_msg("byte %zu of %zu is another's", i, h->size);
}

static void pieces_are_whole_and_apart(void **state)
{
	static struct held held[PIECES];
	uint32_t x = 2463534242u;

	for (int i = 0; i < 20000; i++) {
		struct held *h = &held[i % PIECES];

		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		check(h);
		if (x % 4 == 0) {
			loader_free(h->data);
			*h = (struct held){0};
			continue;
		}
		size_t size = x % 64 == 1 ? x >> 12 : x % 3000,
		       kept = h->size < size ? h->size : size;

		if (x % 3 == 0) {
			loader_free(h->data);
			h->data = loader_calloc(size, 1);
			*h = (struct held){.data = h->data, .size = size};
		} else {
			h->data = loader_realloc(h->data, size);
			h->size = kept;
			check(h);
		}
		assert_non_null(h->data);
		assert_int_equal((uintptr_t)h->data % _Alignof(max_align_t), 0);
		h->size = size;
		check(&(struct held){
			.data = h->data, .size = x % 3 == 0 ? size : kept, .mark = h->mark});
		h->mark = (uint8_t)(x >> 8);
		memset(h->data, h->mark, size);
	}
	for (int i = 0; i < PIECES; i++)
		loader_free(held[i].data);
}

static void a_piece_is_used_again(void **state)
{
	void *first = loader_malloc(1000), *second;

	loader_free(first);
	second = loader_malloc(900);
	assert_ptr_equal(first, second);
	assert_ptr_equal(loader_realloc(second, 1000), second);
	loader_free(second);
	loader_free(NULL);
}

static void what_cannot_be_had_is_refused(void **state)
{
	void *data = loader_malloc(10);

	assert_null(loader_malloc(SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	assert_null(loader_malloc(SIZE_MAX / 2));
	assert_null(loader_calloc(SIZE_MAX / 2, 3));
	assert_null(loader_realloc(data, SIZE_MAX - 5));
	loader_free(data);
	data = loader_malloc(0);
	assert_non_null(data);
	loader_free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_whole_and_apart),
		cmocka_unit_test(a_piece_is_used_again),
		cmocka_unit_test(what_cannot_be_had_is_refused),
	};

	return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
