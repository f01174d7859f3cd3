/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_CONFIG_H
#define ARROW_CORE_INSTANCE_CONFIG_H

/*
 * The folder of one Arrow: its paths, its config.json and its lock file. For the files of
 * core/instance/; others use instance.h.
 */

#include "core/instance/instance.h"

#define INSTANCE_DIR_MODE 0700
/* Bytes of config.json: arguments and environment in it fit into an exec. */
#define INSTANCE_CONFIG_MAX (64u << 20)

/* Makes it one that owns nothing. */
void instance_clear(struct arrow_instance *instance);

/* Paths of the Arrow whose id is set. Returns 0 or -ENOMEM. */
int instance_set_paths(
	struct arrow_instance *instance, const struct arrow_paths *paths) ARROW_MUST_CHECK;

/*
 * Reads name and time of creation from config.json and, unless it is NULL, the spec, which the
 * caller has initialized.
 * Errors: -ENOENT, -EINVAL (damaged).
 */
int instance_read_config(struct arrow_instance *instance, struct arrow_spec *spec,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Replaces config.json atomically. Returns 0 or a negative errno. */
int instance_write_config(
	const struct arrow_instance *instance, const struct arrow_spec *spec) ARROW_MUST_CHECK;

/*
 * The lock of one Arrow belongs to the open file: a child that was forked with it holds it, too,
 * and others can ask for it without taking it.
 */

/* Takes the lock. Returns 0 or a negative errno; -EAGAIN or -EACCES if somebody holds it. */
int instance_try_lock(int fd) ARROW_MUST_CHECK;

/* Whether somebody else holds the lock. */
bool instance_is_locked(int fd);

/*
 * Opens the lock file, keeps it as lock_fd, and takes the lock.
 *   flags: more flags for open(2): O_CREAT to make the file
 * Returns as instance_try_lock().
 */
int instance_open_lock(struct arrow_instance *instance, int flags) ARROW_MUST_CHECK;

#endif
