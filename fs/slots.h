/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_SLOTS_H
#define ARROW_FS_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/*
 * Numbers that the guest gets for things of ours, and the way back. The low half of a number is a
 * place in a table, the high half counts how often the place was used: a number that was given up
 * is never valid again. All is zero in an empty table.
 */

struct fs_slot {
	void *thing;   /* NULL: free */
	uint32_t uses; /* how often the place was given up */
	uint32_t free; /* index of the next free place, 0 for none */
};

struct fs_slots {
	struct fs_slot *slots; /* from 1 on: 0 is no place */
	uint32_t n, room;
	uint32_t free, used;
	uint32_t max;
};

/* Returns 0, -ENFILE if there are max things, or -ENOMEM. */
int slots_add(struct fs_slots *s, void *thing, uint64_t *id) ARROW_MUST_CHECK;

/* The thing, or NULL. */
void *slots_get(const struct fs_slots *s, uint64_t id);

/* Gives up a number that is valid. */
void slots_remove(struct fs_slots *s, uint64_t id);

void slots_release(struct fs_slots *s);

#endif
