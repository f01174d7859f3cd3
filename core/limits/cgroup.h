/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_LIMITS_CGROUP_H
#define ARROW_CORE_LIMITS_CGROUP_H

/* Which control groups this host offers to this process. */

#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

struct arrow_cgroup {
	char *name; /* of the controller */
	char *dir;  /* of our group in its hierarchy */
	int version;
	bool writable; /* we could make a group below it */
};

struct arrow_cgroups {
	bool v1, v2; /* what is mounted; both is a hybrid layout */
	char *dir;   /* of our group in the v2 hierarchy, or NULL */
	struct arrow_cgroup *controllers;
	size_t n;
};

/*
 * What the texts of /proc/self/cgroup and /proc/self/mountinfo say: the layout, our groups and the
 * controllers of v1. Lines that make no sense are passed over. Returns 0 or -ENOMEM.
 */
int arrow_cgroups_parse(
	struct arrow_cgroups *groups, const char *self, const char *mountinfo) ARROW_MUST_CHECK;

/*
 * The same of this process, with the controllers of v2, and which can be written. Returns 0 or
 * -ENOMEM; a host without /proc has no control groups.
 */
int arrow_cgroups_look(struct arrow_cgroups *groups) ARROW_MUST_CHECK;

void arrow_cgroups_release(struct arrow_cgroups *groups);

#endif
