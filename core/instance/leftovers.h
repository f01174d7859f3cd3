/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_LEFTOVERS_H
#define ARROW_CORE_INSTANCE_LEFTOVERS_H

/*
 * What killed keepers and a host that went down left of Arrows. For the files of core/instance/;
 * others use arrow_cleanup() of instance.h.
 */

#include "core/instance/folders.h"

/* Under the lock of the folders: settles or removes the Arrows whose keeper died, of this boot and
 * of the last. What cannot be looked at now stays for the next one. */
void leftovers_clean(const struct arrow_paths *paths, const struct folders *folders);

/*
 * Looks for Arrows of this boot whose keeper died, without the lock, at the cost of three system
 * calls for each that runs; takes it and cleans only if there are any. For the beginning of a
 * command that reads: an error is left to what the command does next.
 */
void leftovers_sweep(const struct arrow_paths *paths);

#endif
