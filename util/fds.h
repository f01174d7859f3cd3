/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_FDS_H
#define ARROW_UTIL_FDS_H

#include <stddef.h>

/*
 * For a process that was just forked: closes all descriptors from 3 on but those listed, so that it
 * passes on nothing else and holds nothing else open. The list may be in any order, and -1 in it is
 * skipped. Descriptors 0 to 2 stay.
 */
void close_all_but(const int *keep, size_t n);

#endif
