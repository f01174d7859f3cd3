/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_FILL_H
#define ARROW_GUEST_FILL_H

#include "guest/failure.h"

/*
 * As Docker does when a volume is used for the first time: if it is empty, it gets all that is in a
 * directory of the root, with owners, modes, times, links and extended attributes, and becomes as
 * that directory is.
 *   volume: the root of the volume
 *   target: the directory in the root
 * Returns 0 or -errno and the failure.
 */
int fill_volume(int volume, const char *target, struct failure *failure);

#endif
