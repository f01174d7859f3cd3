/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_INTERNAL_H
#define ARROW_CORE_INSTANCE_INTERNAL_H

/* What core/instance/instance.c, the folder of one Arrow, does for core/instance/store.c, all of
 * them. */

#include "core/instance/instance.h"

#define DIR_MODE 0700

int instance_no_memory(struct arrow_error *error);

/* Makes it one that owns nothing. */
void instance_clear(struct arrow_instance *instance);

/* Paths of the Arrow whose id is set. Returns 0 or -ENOMEM. */
int instance_set_paths(struct arrow_instance *instance, const struct arrow_paths *paths);

/* config.json: name, time and, unless it is NULL, the spec. Writing returns a negative errno. */
int instance_read_config(
	struct arrow_instance *instance, struct arrow_spec *spec, struct arrow_error *error);
int instance_write_config(const struct arrow_instance *instance, const struct arrow_spec *spec);

/*
 * The lock of one Arrow is of the open file: a child that was forked with it holds it, too, and
 * others can ask for it without taking it. Both return 0 or a negative errno; -EAGAIN or -EACCES if
 * somebody holds it. The second opens (with more flags: makes) the file and keeps it as lock_fd.
 */
int instance_try_lock(int fd);
int instance_open_lock(struct arrow_instance *instance, int flags);

/* Removes what there is of this boot, with the control groups that a killed keeper left. */
void instance_remove_run(int dir_fd, const char *path);

#endif
