/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_ROOT_H
#define ARROW_GUEST_ROOT_H

#include "guest/failure.h"
#include "guest/job.h"
#include "guest/stage.h"

/*
 * Mounts the disk as a root before there is a job: a uniform image is as good as the one that is
 * there now (protocol.h). Where that fails, it is mounted with the job, as any other.
 */
void root_mount(struct stage *stage);

/* Takes that back. Returns 0 or -errno. */
int root_unmount(struct stage *stage);

/* Mounts the root, if it is not, enters it, and mounts the volumes. 0 or -errno and the failure. */
int root_enter(struct stage *stage, const struct job *job, struct failure *failure);

#endif
