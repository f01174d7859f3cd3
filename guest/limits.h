/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_LIMITS_H
#define ARROW_GUEST_LIMITS_H

#include "guest/failure.h"
#include "guest/job.h"

/* Whether a process is held by the program's cgroup. */
bool limits_hold(const struct job *job, bool first);

/*
 * The loader enters the program's cgroup before it makes a process, so that the process and all its
 * children are born in it, and leaves it afterwards. Each returns 0 or a negative errno.
 */
int limits_enter(const struct job *job, bool first, struct failure *failure);
int limits_leave(void);

#endif
