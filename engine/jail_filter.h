/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_JAIL_FILTER_H
#define ARROW_ENGINE_JAIL_FILTER_H

/* The system calls that are left in a jail (docs/security.md). */

#include <stdbool.h>

#include "util/error.h"

/* What a process in a jail does beside what all of them do. */
struct arrow_jail_calls {
	bool volumes; /* makes and changes files */
	bool serves;  /* does so for others */
	bool network; /* makes sockets of the Internet */
	bool forks;   /* makes processes, which tell who they are and are tied to others */
};

/*
 * Sets the filter, for this process and what it executes.
 *   listener: gets a descriptor on which openat(AT_FDCWD, path, O_RDWR) waits for an answer, owned
 *             by the caller; NULL for none
 * Returns 0 or a negative errno.
 */
int arrow_jail_filter(const struct arrow_jail_calls *calls, int *listener) ARROW_MUST_CHECK;

#endif
