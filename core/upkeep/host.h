/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_UPKEEP_HOST_H
#define ARROW_CORE_UPKEEP_HOST_H

/* What this host offers to Arrow, as it is found now: nothing of it is kept. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/limits/cgroup.h"
#include "core/start/userns.h"
#include "engine/choice/choice.h"
#include "util/error.h"
#include "util/paths.h"

/* One engine. */
struct arrow_host_engine {
	const struct arrow_engine *engine;
	char *path;    /* of the program that it runs, or NULL */
	bool own;      /* that program was built for Arrow */
	char *version; /* or NULL: it cannot work here */
	char *problem; /* why not, and what to do; or NULL */
};

/* A device that can be opened, or why not. */
struct arrow_host_device {
	const char *path;
	int err; /* 0: we can open it for reading and writing; else the errno */
};

#define ARROW_HOST_DEVICES 3

/* The controllers that limit a VM's process, by their names of v1. */
#define ARROW_HOST_GROUPS 3
extern const char *const arrow_host_controllers[ARROW_HOST_GROUPS];

/* A directory that Arrow writes to. */
struct arrow_host_dir {
	const char *path; /* borrowed from the paths; NULL without any */
	uint64_t free;    /* bytes that we may use */
	bool writable;
};

/* The kernel of a profile. */
struct arrow_host_kernel {
	char *profile;
	/* "current"; "old", "missing" or "damaged": no Arrow can run on it, and problem says why */
	const char *state;
	char id[65]; /* of a current one */
	char *path;
	unsigned int vcpus_max;
	char *problem;
};

struct arrow_host {
	char kernel[65], machine[65]; /* of the host: release, architecture */
	unsigned int cpus;
	uint64_t memory, memory_available; /* bytes */

	uid_t uid;
	char *user;     /* name, or the number */
	int userns_err; /* 0: a user without rights can make a user namespace and be root in it */
	struct arrow_id_range subuids, subgids; /* count 0: none */
	char *newuidmap;                        /* path, or NULL */

	struct arrow_host_engine *engines;
	unsigned int n_engines;
	struct arrow_engine_choice choice;                    /* what `arrow run` takes */
	struct arrow_host_device devices[ARROW_HOST_DEVICES]; /* beside /dev/kvm */
	bool jail_namespaces, jail_own_user;                  /* what jails of VMs have here */
	struct arrow_cgroups cgroups;
	char *groups[ARROW_HOST_GROUPS]; /* in which a VM's own is made, or NULL; owned */
	char *mkfs;                      /* path of what makes root images, or NULL */

	struct arrow_host_dir data, run;
	struct arrow_host_kernel *kernels; /* one a profile, the smallest first */
	unsigned int n_kernels;
};

/*
 * Looks at everything. What is missing is told in the facts and is no error.
 *   paths: kept as long as the host; NULL if there are none: then nothing is known of directories
 *          and kernels
 * Errors: -ENOMEM.
 */
int arrow_host_look(struct arrow_host *host, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

void arrow_host_release(struct arrow_host *host);

#endif
