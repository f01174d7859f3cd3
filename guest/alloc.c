// SPDX-License-Identifier: Apache-2.0
/*
 * The loader's malloc(). The C library's takes a clone through 250 blocks of code that it has not
 * run before, and asks the kernel for memory several times, for the few pieces of a start. Here a
 * piece is of a power of two bytes and goes back to a list of its size; large ones are the
 * kernel's. The loader has one thread.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SMALLEST 5u               /* 32 bytes, as a power of two */
#define LARGEST 17u               /* 128 KiB; what is larger is a mapping of its own */
#define HEAP (LARGEST + 1u)       /* what is taken of the kernel at once */
#define HEAD sizeof(struct piece) /* keeps what is behind it aligned */
#define PAGE ((size_t)4096)

struct piece {
	_Alignas(16) size_t size; /* with this head */
	struct piece *next;
};

static struct piece *lists[LARGEST + 1];
static char *heap;
static size_t left; /* of it */

static void *alloc_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The power of two that a piece of `size` bytes has. */
static unsigned int alloc_find_class(size_t size)
{
	unsigned int class = 64u - (unsigned int)__builtin_clzl(size - 1);

	return class < SMALLEST ? SMALLEST : class;
}

static struct piece *alloc_carve(size_t size)
{
	struct piece *p;

	/* What was left of a heap is lost, which is less than a piece. */
	if (left < size) {
		heap = alloc_map((size_t)1 << HEAP);
		left = heap ? (size_t)1 << HEAP : 0;
	}
	if (!heap)
		return NULL;
	p = (struct piece *)heap;
	heap += size;
	left -= size;
	return p;
}

/* Of its own name, for the compiler knows what malloc() and memset() are together. */
static void *alloc_take(size_t size)
{
	struct piece *p;
	unsigned int class;

	if (size > PTRDIFF_MAX - PAGE) {
		errno = ENOMEM;
		return NULL;
	}
	class = alloc_find_class(size + HEAD);
	if (class > LARGEST) {
		size = (size + HEAD + PAGE - 1) & ~(PAGE - 1);
		p = alloc_map(size);
	} else {
		size = (size_t)1 << class;
		p = lists[class];
		if (p)
			lists[class] = p->next;
		else
			p = alloc_carve(size);
	}
	if (!p) {
		errno = ENOMEM;
		return NULL;
	}
	p->size = size;
	return p + 1;
}

void *malloc(size_t size)
{
	return alloc_take(size);
}

void free(void *data)
{
	struct piece *p;
	int err = errno;

	if (!data)
		return;
	p = (struct piece *)data - 1;
	if (p->size > (size_t)1 << LARGEST) {
		munmap(p, p->size);
		errno = err;
		return;
	}
	p->next = lists[alloc_find_class(p->size)];
	lists[alloc_find_class(p->size)] = p;
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	p = alloc_take(bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

void *realloc(void *data, size_t size)
{
	struct piece *p;
	void *larger;

	if (!data)
		return alloc_take(size);
	p = (struct piece *)data - 1;
	if (size <= p->size - HEAD && size > p->size / 4)
		return data;
	larger = alloc_take(size);
	if (!larger)
		return NULL;
	memcpy(larger, data, size < p->size - HEAD ? size : p->size - HEAD);
	free(data);
	return larger;
}
