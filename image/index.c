// SPDX-License-Identifier: Apache-2.0
#include "image/index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define MAGIC "arrow-index 2"
#define ENTRY_MAX ((size_t)4 * 1024 * 1024)
#define SUM_SIZE 17u /* 16 digits and a NUL */

/* FNV-1a: finds an entry's file and its accidental damage; nothing trusts it further. */
static uint64_t sum_add(uint64_t sum, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static char *entry_name(const struct index_key *k)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	sum = sum_add(sum, k->program, strlen(k->program) + 1);
	sum = sum_add(sum, k->name, strlen(k->name) + 1);
	if (k->library_path)
		sum = sum_add(sum, k->library_path, strlen(k->library_path));
	return path_format("index/%016" PRIx64, sum);
}

/*
 * An entry is a row of strings, each with its NUL: MAGIC, program, name, library path, digest,
 * then identity and path of each file, then the sum of all before it.
 */
struct cursor {
	const char *at;
	const char *end;
};

static const char *next_string(struct cursor *c)
{
	const char *s = c->at;
	const char *nul = s < c->end ? memchr(s, '\0', (size_t)(c->end - s)) : NULL;

	if (!nul)
		return NULL;
	c->at = nul + 1;
	return s;
}

static bool index_takes(struct cursor *c, const char *expected)
{
	const char *s = next_string(c);

	return s && !strcmp(s, expected);
}

static bool is_digest(const char *s)
{
	return strlen(s) == DIGEST_HEX - 1 && strspn(s, "0123456789abcdef") == DIGEST_HEX - 1;
}

int index_find(const struct image_store *store, const struct index_key *k, char digest[DIGEST_HEX])
{
	_cleanup_free_ char *name = entry_name(k);
	_cleanup_free_ char *data = NULL;
	const char *found, *identity;
	char sum[SUM_SIZE];
	struct cursor c;
	size_t size;

	if (!name || read_file(store->fd, name, ENTRY_MAX, &data, &size) < 0 || size < SUM_SIZE)
		return -ENOENT;
	c = (struct cursor){data, data + size - SUM_SIZE};
	snprintf(sum, sizeof(sum), "%016" PRIx64, sum_add(0, data, size - SUM_SIZE));
	if (memcmp(c.end, sum, SUM_SIZE) != 0)
		return -ENOENT;

	if (!index_takes(&c, MAGIC) || !index_takes(&c, k->program) || !index_takes(&c, k->name) ||
		!index_takes(&c, k->library_path ? k->library_path : "") ||
		!(found = next_string(&c)) || !is_digest(found))
		return -ENOENT;
	while ((identity = next_string(&c))) {
		const char *path = next_string(&c);
		char now[IDENTITY_SIZE];

		if (!path)
			return -ENOENT;
		identity_of_path(path, now);
		if (strcmp(now, identity) != 0)
			return -ENOENT;
	}
	memcpy(digest, found, DIGEST_HEX);
	return 0;
}

static void index_put_field(FILE *f, const char *s)
{
	fwrite(s, 1, strlen(s) + 1, f);
}

static char *entry_data(
	const struct index_key *k, const char *digest, const struct closure *c, size_t *size)
{
	char *data = NULL, *grown;
	FILE *f = open_memstream(&data, size);

	if (!f)
		return NULL;
	index_put_field(f, MAGIC);
	index_put_field(f, k->program);
	index_put_field(f, k->name);
	index_put_field(f, k->library_path ? k->library_path : "");
	index_put_field(f, digest);
	for (size_t i = 0; i < c->object_count; i++) {
		index_put_field(f, c->objects[i]->identity);
		index_put_field(f, c->objects[i]->host);
	}
	for (size_t i = 0; i < c->probe_count; i++) {
		index_put_field(f, c->probes[i].identity);
		index_put_field(f, c->probes[i].path);
	}
	if (fclose(f) != 0) {
		free(data);
		return NULL;
	}

	grown = realloc(data, *size + SUM_SIZE);
	if (!grown) {
		free(data);
		return NULL;
	}
	snprintf(grown + *size, SUM_SIZE, "%016" PRIx64, sum_add(0, grown, *size));
	*size += SUM_SIZE;
	return grown;
}

int index_write(struct image_temp *temp, const struct index_key *k, const char *digest,
	const struct closure *closure)
{
	const struct image_store *s = temp->store;
	_cleanup_free_ char *name = entry_name(k);
	_cleanup_free_ char *data = NULL;
	size_t size;
	int e;

	if (!name || !(data = entry_data(k, digest, closure, &size)))
		return -ENOMEM;
	if (mkdirat(s->fd, "index", 0700) < 0 && errno != EEXIST)
		return -errno;
	e = write_file_atomic(temp->fd, "entry", 0600, data, size);
	if (e == 0 && renameat(temp->fd, "entry", s->fd, name) < 0)
		e = -errno;
	return e;
}
