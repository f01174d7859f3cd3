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

#endif
