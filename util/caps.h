/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_CAPS_H
#define ARROW_UTIL_CAPS_H

#include <stdint.h>

/* The bit of a capability in a set of them. */
#define CAPS_BIT(capability) (UINT64_C(1) << (capability))

/*
 * This process keeps those of its capabilities that are in the set, and no program that it starts
 * gets others: the bounding set shrinks, too, where CAP_SETPCAP is there. Nothing is made ambient.
 * Returns 0 or a negative errno.
 */
int caps_keep(uint64_t set);

/* Of it only the bounding set: without CAP_SETPCAP there are none to lose. */
void caps_bound(uint64_t set);

/*
 * This process has exactly this set, and so has a program that it executes, whatever its user: it
 * is ambient. Returns 0 or a negative errno: -EPERM if it lacks some of them.
 */
int caps_pass_on(uint64_t set);

#endif
