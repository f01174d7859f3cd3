/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_H
#define ARROW_CORE_INSTANCE_H

/*
 * The state of Arrows on disk: RUN/arrows/<id>/state.json, and RUN/names/<name>, a symbolic link
 * whose target is the id. RUN/arrows/<id>/lock is held by the keeper for as long as it lives, so
 * a folder whose lock is free is what a killed keeper left. RUN/lock orders makers and cleaners.
 */

#include "core/arrow.h"

#define ARROW_ID_HEX 65 /* 64 digits and a NUL */
#define ARROW_ID_SHORT 12

struct arrow_instance {
	char id[ARROW_ID_HEX];
	char *name;      /* owned */
	char *dir;       /* absolute path, owned */
	char *names_dir; /* owned */
	int lock_fd;     /* held locked */
};

/*
 * Makes the folder of a new Arrow, takes its lock and its name. What killed keepers left is removed
 * on the way.
 * Errors: -EEXIST (the name is in use), a full or read-only run directory.
 */
int arrow_instance_create(struct arrow_instance *instance, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error) ARROW_MUST_CHECK;

/* What is known of an Arrow once it runs, for state.json. */
struct arrow_instance_facts {
	const char *status; /* "starting", "running" */
	const char *engine, *accel, *kernel, *image;
	int keeper_pid, vm_pid;
};

/* Writes state.json, atomically. */
int arrow_instance_write(const struct arrow_instance *instance, const struct arrow_spec *spec,
	const struct arrow_instance_facts *facts, struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes folder and name, and gives the lock back. */
void arrow_instance_remove(struct arrow_instance *instance);

/* Releases memory and descriptors; what is on disk stays. */
void arrow_instance_release(struct arrow_instance *instance);

/*
 * What killed keepers left under paths->run. found gets the number of Arrows; what is left of them
 * is removed if remove is set.
 */
int arrow_cleanup(const struct arrow_paths *paths, bool remove, unsigned int *found,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes RUN/lock and calls each() for every folder of an Arrow. Held for a moment only: meanwhile
 * no Arrow can start.
 *   arrows_fd: of RUN/arrows
 *   dead:      the keeper is gone
 */
int arrow_instances(const struct arrow_paths *paths,
	void (*each)(int arrows_fd, const char *id, bool dead, void *arg), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
