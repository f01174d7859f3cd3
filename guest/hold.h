/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_HOLD_H
#define ARROW_GUEST_HOLD_H

/* The processors, kept from programs. */

#define HOLD_CPUS 64u /* as many as a VM can have */

struct hold {
	unsigned long before[HOLD_CPUS / 64]; /* where the loader may run; bit n is processor n */
	void *shared;        /* with those that keep the other processors, or NULL */
	unsigned int others; /* how many */
};

/* Programs do not run from now on. Returns 0 or a negative errno. */
int hold_begin(struct hold *hold);

/* Gives back the other processors: the loader may need what a program there has locked. */
void hold_others_end(struct hold *hold);
void hold_end(struct hold *hold);

#endif
