/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_FOLDERS_H
#define ARROW_CORE_INSTANCE_FOLDERS_H

/*
 * The folders that hold all Arrows of a data directory, and the lock that orders those who make,
 * rename and remove. For the files of core/instance/; others use instance.h.
 */

#include "core/instance/instance.h"
#include "util/cleanup.h"

#define FOLDERS_REMOVING ".removing-" /* in front of the id of a folder that is on its way out */

struct folders {
	int arrows_fd, names_fd, run_fd, lock_fd;
};

#define FOLDERS_INIT                                                                               \
	{                                                                                          \
		-1, -1, -1, -1                                                                     \
	}

/* Opens a directory below another, and makes it if it is missing. Returns its descriptor. */
int folders_open_dir(
	const char *parent, const char *name, struct arrow_error *error) ARROW_MUST_CHECK;

/* Opens them. What was opened is released by the caller even after a failure. */
int folders_open(struct folders *folders, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Opens them, and waits for the lock, which its holders keep for moments.
 * Errors: -EWOULDBLOCK after 20 s.
 */
int folders_lock(struct folders *folders, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Closes them, and gives the lock back. */
void folders_release(struct folders *folders);

#define _cleanup_folders_ __attribute__((cleanup(folders_release)))

/* Calls each() for every id in a directory. Returns 0 or a negative errno. */
int folders_each_id(
	int dir_fd, void (*each)(const char *id, void *arg), void *arg) ARROW_MUST_CHECK;

/*
 * Under the lock: removes the folder of an Arrow, in a way that nobody sees half of it, and what
 * there is of it of this boot.
 */
void folders_remove_one(const struct folders *folders, const char *id);

#endif
