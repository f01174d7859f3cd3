/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_REHEARSE_H
#define ARROW_ENGINE_QEMU_REHEARSE_H

/* The host's side of a rehearsal: a job without consequence for a loader that waits for one. */

#include <stdint.h>

#include "util/error.h"

/* A guest whose loader waits. */
struct qemu_rehearsal {
	int channel;       /* our end of its control channel, borrowed */
	int share;         /* that of its channel to the server of volumes, borrowed */
	uint64_t deadline; /* ms, by now_ms() */
	char failed[256];  /* what its loader could not do, once it said so */
};

/*
 * MOUNTING: the image is mounted with the job, as one that is not uniform. WITH_SHARE: there is a
 * volume. TRIAL: in earnest, by
 * the loader itself, of as little as there is.
 */
enum qemu_rehearsal_kind {
	REHEARSE_MOUNTING,
	REHEARSE_WITH_INPUT,
	REHEARSE_WITHOUT_INPUT,
	REHEARSE_WITH_TERMINAL,
	REHEARSE_WITH_SHARE,
	REHEARSE_TRIAL,
};

/*
 * Has the loader do a job that leads it where most jobs do, and waits until it is done; but for a
 * trial it waits for its job again afterwards. Returns 0 or a negative errno.
 */
int qemu_rehearse(struct qemu_rehearsal *g, enum qemu_rehearsal_kind how) ARROW_MUST_CHECK;

#endif
