/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_IDENTITY_H
#define ARROW_GUEST_IDENTITY_H

/* What makes a VM one of a kind: seed, clock, names. */

#include "guest/failure.h"
#include "guest/job.h"
#include "guest/stage.h"

/* What no job changes. Returns 0 or -errno. */
int identity_prepare(void);

/* Brings up the loopback device. */
void identity_loopback(void);

/* Each returns 0 or a negative errno and fills in the failure. */
int identity_unique(const struct job *job, struct failure *failure);
int identity_sysctls(const struct stage *stage, const struct job *job, struct failure *failure);
int identity_files(const struct job *job, struct failure *failure);

/* The same in the layer of changes: dir is its /etc, and image that of the image below, or -1. */
int identity_files_beside(const struct job *job, int dir, int image, struct failure *failure);

/* /etc/resolv.conf of the job. Returns 0 or a negative errno. */
int identity_resolver(const struct job *job);

/* Removes /etc/machine-id if it is this one, so that identity_files() makes another. */
void identity_forget_machine(const uint8_t machine_id[16]);

#endif
