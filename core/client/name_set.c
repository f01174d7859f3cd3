// SPDX-License-Identifier: Apache-2.0
#include "core/client/name_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_ROOM 64u /* a power of two, as all sizes are */

static uint64_t name_set_rotate(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = name_set_rotate(v[1], 13) ^ v[0];
	v[3] = name_set_rotate(v[3], 16) ^ v[2];
	v[0] = name_set_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = name_set_rotate(v[1], 17) ^ v[2];
	v[3] = name_set_rotate(v[3], 21) ^ v[0];
	v[2] = name_set_rotate(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein 2012), never 0. */
static uint64_t name_hash(const uint64_t key[2], const char *name)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
	size_t size = strlen(name), at = 0;
	uint64_t hash;

	for (bool last = false; !last; at += 8) {
		uint64_t word = 0;

		last = size - at < 8;
		memcpy(&word, name + at, last ? size - at : 8);
		if (last)
			word |= (uint64_t)size << 56;
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	hash = v[0] ^ v[1] ^ v[2] ^ v[3];
	return hash ? hash : 1;
}

/* Where a hash is, or would be. There is a free slot. */
static uint64_t *find_slot(uint64_t *slots, size_t room, uint64_t hash)
{
	size_t i = hash & (room - 1);

	while (slots[i] && slots[i] != hash)
		i = (i + 1) & (room - 1);
	return &slots[i];
}

static int set_grow(struct name_set *set)
{
	size_t room = set->room ? set->room * 2 : FIRST_ROOM;
	uint64_t *slots;

	if (!set->room && getrandom(set->key, sizeof(set->key), 0) != (ssize_t)sizeof(set->key))
		return -EIO;
	slots = calloc(room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i])
			*find_slot(slots, room, set->slots[i]) = set->slots[i];
	free(set->slots);
	set->slots = slots;
	set->room = room;
	return 0;
}

int name_set_add(struct name_set *set, const char *name)
{
	uint64_t hash, *slot;
	int r = set->used * 2 >= set->room ? set_grow(set) : 0;

	if (r < 0)
		return r;
	hash = name_hash(set->key, name);
	slot = find_slot(set->slots, set->room, hash);
	set->used += *slot == 0;
	*slot = hash;
	return 0;
}

bool name_set_has(const struct name_set *set, const char *name)
{
	return set->used && *find_slot(set->slots, set->room, name_hash(set->key, name)) != 0;
}

void name_set_release(struct name_set *set)
{
	free(set->slots);
	*set = (struct name_set){0};
}
