// SPDX-License-Identifier: Apache-2.0
#include "image/ldcache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/io.h"

#define MAGIC "glibc-ld.so.cache1.1"
#define CACHE_MAX ((size_t)64 * 1024 * 1024)

/* Kind of library: low byte 3 is glibc's ELF, the next is the ABI. */
#if defined(__x86_64__)
#define FLAGS_WANTED 0x0303u
#elif defined(__aarch64__)
#define FLAGS_WANTED 0x0a03u
#endif

/* The format as ldconfig writes it; offsets of strings count from the header. */
struct cache_header {
	char magic[sizeof(MAGIC) - 1];
	uint32_t count;
	uint32_t strings_size;
	uint8_t flags;
	uint8_t padding[3];
	uint32_t extensions;
	uint32_t unused[3];
};

struct cache_entry {
	uint32_t flags;
	uint32_t name;
	uint32_t path;
	uint32_t os_version;
	uint64_t hwcap;
};

_Static_assert(sizeof(struct cache_header) == 48, "layout of ld.so.cache");
_Static_assert(sizeof(struct cache_entry) == 24, "layout of ld.so.cache");

int ldcache_read(struct ldcache *cache, const char *path)
{
	struct cache_header header;
	int e;

	*cache = (struct ldcache){0};
	e = read_file(AT_FDCWD, path, CACHE_MAX, &cache->data, &cache->size);
	if (e == -ENOMEM)
		return e;
	if (e < 0)
		return 0;

	if (cache->size < sizeof(header))
		goto empty;
	memcpy(&header, cache->data, sizeof(header));
	if (memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0 ||
		header.count > (cache->size - sizeof(header)) / sizeof(struct cache_entry))
		goto empty;
	return 0;
empty:
	ldcache_release(cache);
	return 0;
}

const char *ldcache_find(const struct ldcache *cache, const char *name, size_t n)
{
	struct cache_header header;

	if (!cache->data)
		return NULL;
	memcpy(&header, cache->data, sizeof(header));
	for (uint32_t i = 0; i < header.count; i++) {
		struct cache_entry entry;

		memcpy(&entry, cache->data + sizeof(header) + i * sizeof(entry), sizeof(entry));
		/* read_file() ended the data with a NUL, so every offset in it is a string. */
		if (entry.flags != FLAGS_WANTED || entry.hwcap != 0 || entry.name >= cache->size ||
			entry.path >= cache->size || strcmp(cache->data + entry.name, name) != 0)
			continue;
		if (n-- == 0)
			return cache->data + entry.path;
	}
	return NULL;
}

void ldcache_release(struct ldcache *cache)
{
	free(cache->data);
	*cache = (struct ldcache){0};
}
