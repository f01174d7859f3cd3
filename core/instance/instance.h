/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_INSTANCE_H
#define ARROW_CORE_INSTANCE_INSTANCE_H

/*
 * Arrows on disk.
 *
 *   DATA/arrows/<id>/config.json   what was asked for: name, time, spec; changes by commands only
 *   DATA/arrows/<id>/state.json    what became of it (core/instance/state.h)
 *   DATA/arrows/<id>/log.json      its log (core/instance/log.h)
 *   DATA/arrows/<id>/lock          held by the keeper for as long as it lives
 *   DATA/names/<name>              symbolic link to the id: a name is taken by making it
 *   DATA/arrows/.lock              orders those who make, rename and remove, for a moment
 *   RUN/arrows/<id>/               of this boot: the control socket, what the engine needs
 *
 * The lock is what tells whether an Arrow runs: state.json that says so beside a lock that is free
 * is what a killed keeper, or a reboot, left. Such an Arrow is settled by the next command that
 * lists, names or makes any: it exited with 137, or is removed if it was to be with --rm.
 */

#include "core/spec/spec.h"
#include "core/instance/state.h"

#define ARROW_KILLED_STATUS 137 /* 128 + SIGKILL */

struct arrow_instance {
	char id[ARROW_ID_HEX];
	char *name; /* owned */
	char created[TIME_TEXT];
	char *dir, *run_dir;        /* absolute paths, owned */
	char *names_dir, *data_dir; /* owned */
	int dir_fd;                 /* of dir */
	int lock_fd;                /* held locked; -1 without */
	struct arrow_state state;
};

/* An id that nothing else has. Returns 0 or -EIO. */
int arrow_id_make(char id[ARROW_ID_HEX]) ARROW_MUST_CHECK;

/*
 * Makes the folder of a new Arrow, takes its lock and its name, and stores its spec. What killed
 * keepers left is settled on the way.
 * Errors: -EEXIST (the name is in use), a full or read-only disk.
 */
int arrow_instance_create(struct arrow_instance *instance, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The id of an Arrow by its name, its id, or a prefix of the id that only one has.
 * Errors: -ENOENT, -EEXIST (several begin so).
 */
int arrow_instance_find(const struct arrow_paths *paths, const char *text, char id[ARROW_ID_HEX],
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Opens an Arrow by its id: config and state as they are now; without its lock.
 *   spec: gets the spec, initialized here; released by the caller even after a failure; or NULL
 * Errors: -ENOENT (there is none any more), -EINVAL (damaged).
 */
int arrow_instance_open(struct arrow_instance *instance, const struct arrow_paths *paths,
	const char *id, struct arrow_spec *spec, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes the lock of an Arrow that was opened, if its keeper does not live, and settles what that
 * one left. Returns 0, -EBUSY (it lives, or another command has it), -ENOENT (removed meanwhile).
 */
int arrow_instance_lock(struct arrow_instance *instance) ARROW_MUST_CHECK;

/*
 * The same; waits for a keeper that is just ending, or a command that has it for a moment.
 * Errors: -EBUSY (its keeper lives), -ENOENT.
 */
int arrow_instance_lock_wait(
	struct arrow_instance *instance, struct arrow_error *error) ARROW_MUST_CHECK;

/* Whether somebody has the lock, without taking it. */
bool arrow_instance_is_kept(const struct arrow_instance *instance);

/* Reads the state again; a keeper that was killed counts as settled, though nothing is written. */
void arrow_instance_refresh(struct arrow_instance *instance);

/* Makes RUN/arrows/<id>, for a start. The lock is held. */
int arrow_instance_prepare(
	struct arrow_instance *instance, struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes RUN/arrows/<id>: nothing of this boot is left. */
void arrow_instance_end(struct arrow_instance *instance);

/* The same by its path below dir_fd, with the control groups that a killed keeper left. */
void arrow_instance_remove_run(int dir_fd, const char *path);

/*
 * Gives another name. The keeper, if there is one, need not know.
 * Errors: -EEXIST (in use).
 */
int arrow_instance_rename(struct arrow_instance *instance, const struct arrow_paths *paths,
	const char *name, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Changes the spec of an Arrow that is stored; change() gets it as it is now, and what it returns
 * other than 0 is returned without a change. The keeper reads it when it is told to.
 */
int arrow_instance_change(const struct arrow_paths *paths, const char *id,
	int (*change)(struct arrow_spec *spec, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Brings config and state to the disk, so that a power failure does not lose them. */
void arrow_instance_sync(const struct arrow_instance *instance);

/*
 * Removes an Arrow whose lock is held: folder, name, all. Releases it.
 *   volumes: its volumes without a name, too, unless another Arrow uses them
 */
void arrow_instance_remove(struct arrow_instance *instance, bool volumes);

/* Removes the folder of an Arrow whose config is damaged, if no keeper has it. */
int arrow_instance_discard(const struct arrow_paths *paths, const char *id,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Releases memory and descriptors; what is on disk stays. */
void arrow_instance_release(struct arrow_instance *instance);

/*
 * What killed keepers and commands left. found gets the number of Arrows; they are settled or
 * removed if remove is set.
 */
int arrow_cleanup(const struct arrow_paths *paths, bool remove, unsigned int *found,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Calls each() for the id of every Arrow. Those that are half made or half removed are not. */
int arrow_instances(const struct arrow_paths *paths, void (*each)(const char *id, void *arg),
	void *arg, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
