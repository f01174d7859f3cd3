// SPDX-License-Identifier: Apache-2.0
#include "fs/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 16u

static int slots_grow(struct fs_slots *s)
{
	uint32_t room = s->room ? s->room * 2 : SLOTS_FIRST;
	struct fs_slot *larger = realloc(s->slots, room * sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	s->slots = larger;
	s->room = room;
	return 0;
}

int slots_add(struct fs_slots *s, void *thing, uint64_t *id)
{
	uint32_t i = s->free;

	if (s->used >= s->max)
		return -ENFILE;
	if (i) {
		s->free = s->slots[i].free;
	} else {
		i = s->n ? s->n : 1;
		if (i >= s->room && slots_grow(s) < 0)
			return -ENOMEM;
		s->slots[i].uses = 0;
		s->n = i + 1;
	}
	s->slots[i].thing = thing;
	s->used++;
	*id = (uint64_t)s->slots[i].uses << 32 | i;
	return 0;
}

void *slots_get(const struct fs_slots *s, uint64_t id)
{
	uint32_t i = (uint32_t)id;

	if (i == 0 || i >= s->n || s->slots[i].uses != id >> 32)
		return NULL;
	return s->slots[i].thing;
}

void slots_remove(struct fs_slots *s, uint64_t id)
{
	struct fs_slot *slot = &s->slots[(uint32_t)id];

	slot->thing = NULL;
	slot->uses++;
	slot->free = s->free;
	s->free = (uint32_t)id;
	s->used--;
}

void slots_release(struct fs_slots *s)
{
	free(s->slots);
	*s = (struct fs_slots){.max = s->max};
}
