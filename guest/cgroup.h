/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_CGROUP_H
#define ARROW_GUEST_CGROUP_H

#include "guest/failure.h"
#include "guest/job.h"

/* Whether a process is held by the program's cgroup. */
bool cgroup_holds(const struct job *job, bool first);

/*
 * The loader enters the program's cgroup before it makes a process, so that the process and all its
 * children are born in it, and leaves it afterwards. Each returns 0 or a negative errno.
 */
int cgroup_enter(const struct job *job, bool first, struct failure *failure);
int cgroup_leave(void);

#endif
