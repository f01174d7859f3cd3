/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_LIMITS_LIMITS_H
#define ARROW_CORE_LIMITS_LIMITS_H

/*
 * What holds a VM's process to its limits on the host: control groups named arrow-<id>, one in
 * each hierarchy of v1, one for all controllers of v2.
 *
 *   v1   below the group that we are in
 *   v2   beside it, as a group with processes gives nothing to its children; below it where it is
 *        the root, of which that is not true. In it are two more: "vm", whose memory is limited,
 *        and "keeper"
 *
 * Where there is no group that can be made, the limit holds in the guest only, or not at all:
 * arrow_limits_missing() says which.
 */

#include "core/spec/spec.h"
#include "core/limits/cgroup.h"

#define ARROW_LIMITS_DIRS 4 /* memory, cpu, blkio of v1, and v2 */

/* The groups of one VM. */
struct arrow_confinement {
	char *dirs[ARROW_LIMITS_DIRS]; /* owned */
	int procs[ARROW_LIMITS_DIRS];  /* of each, for the VM's process to write "0" to; owned */
	unsigned int n;
	char *oom; /* file with the kernel's count of what it killed there, or NULL; owned */

	struct arrow_cgroups own; /* of this process at the start, before it may have joined */
	bool looked;              /* for them: it was begun */
	bool joined;              /* this process is in the group that limits CPU time */
	int cpu;                  /* what the keeper enters of it, or -1 for none; owned */
	const char *cpu_group;    /* which of dirs it belongs to, or NULL */
	int home;                 /* those of the group that this process came from, or -1; owned */
};

/* One that was not begun. */
#define ARROW_CONFINEMENT_INIT                                                                     \
	{                                                                                          \
		.cpu = -1, .home = -1                                                              \
	}

/* What the groups of a VM are made of. */
struct arrow_limits_wish {
	const struct arrow_spec *spec;
	const char *id;    /* of the Arrow */
	uint64_t overhead; /* bytes that the VM's process takes beside the guest's memory */
	const char *list;  /* a file that gets the paths first, for arrow_limits_clean() */
	const struct arrow_cgroups
		*groups; /* below which they are made; NULL: those of this process */
};

/*
 * Makes the groups that a spec needs and sets their limits. A limit that this host offers no group
 * for, or one that nothing can enter, is left out.
 * Errors: a value that the kernel refuses, such as the rate of a file that is not a block device.
 */
int arrow_limits_begin(struct arrow_confinement *c, const struct arrow_limits_wish *wish,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The same for a VM that runs: makes the missing groups, moves its process (pid) there, and sets
 * all limits anew.
 * Errors: as above; the groups that its process is in stay, with what was set.
 */
int arrow_limits_update(struct arrow_confinement *c, const struct arrow_limits_wish *wish, int pid,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Moves another process of the VM there, too. Fine where there are no groups, or it is gone. */
void arrow_limits_move(const struct arrow_confinement *c, int pid);

/*
 * This process, which has one thread, enters the group that limits the VM's CPU time, so that what
 * the guest causes here counts as the VM's. The group that limits memory it does not enter.
 * Nothing happens where there is no such group, or no way back from it. What is started meanwhile
 * is in it, too, and ends with it.
 */
void arrow_limits_join(struct arrow_confinement *c);

/* Goes back to where it was before, for a while; arrow_limits_end() does it, too. */
void arrow_limits_leave(struct arrow_confinement *c);

/* Whether the kernel killed the VM's process because its group was out of memory. */
bool arrow_limits_oom(const struct arrow_confinement *c);

/* Removes the groups. Their process is gone. */
void arrow_limits_end(struct arrow_confinement *c);

/*
 * Removes groups that a killed keeper left, by its list, and kills what is still in them. Fine
 * where there is none.
 */
void arrow_limits_clean(int dir_fd, const char *list);

/* The same of an Arrow whose list is lost: groups of its name, wherever they are. */
void arrow_limits_clean_lost(const char *id);

/*
 * Which limits of a spec hold nowhere on this host, and which in the guest only: one line each,
 * owned by the caller; NULL for none.
 */
int arrow_limits_missing(const struct arrow_spec *spec, char **nowhere, char **guest_only,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The group that ours are made in, for a controller: by the name of v1 ("memory", "cpu", "blkio").
 * NULL where there is none that we may write. Owned by the caller.
 *   version: gets 1 or 2
 */
char *arrow_limits_base(const struct arrow_cgroups *groups, const char *controller, int *version);

/* Docker's --cpu-shares (2 to 262144) as the weight of v2 (1 to 10000). */
unsigned int arrow_limits_weight(unsigned int shares);

#endif
