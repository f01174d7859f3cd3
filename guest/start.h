/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_START_H
#define ARROW_GUEST_START_H

#include "guest/failure.h"
#include "guest/job.h"
#include "guest/process.h"
#include "guest/stage.h"

/*
 * Starts a program, or a worker, with its streams.
 *   first: it is the program of the Arrow
 * On success the process is used and alive. Else nothing of it is left: returns a negative errno,
 * with the failure.
 */
int start_process(struct stage *stage, const struct job *job, bool first, struct process *process,
	struct failure *failure);

#endif
