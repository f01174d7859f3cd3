/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_JOB_JOB_H
#define ARROW_CORE_JOB_JOB_H

/* The job of a spec, encoded for the loader (records of protocol/protocol.h). */

#include <stddef.h>

#include "core/job/exec.h"
#include "core/spec/spec.h"
#include "net/net.h"
#include "protocol/record.h"

struct arrow_job {
	uint8_t *data; /* owned */
	size_t size, room;
	size_t stable; /* bytes in front of seed and clock */
	int failed;    /* negative errno of the first failure */
	uint16_t end;  /* type of the frame that ends it */
};

/* What a job has that the spec does not say. */
struct arrow_job_context {
	const char *id, *name;
	const char *entrypoint; /* path of the program in the root image, or NULL */
	uint16_t rows, columns; /* of the terminal, with spec->tty */
	bool uniform;           /* the root image is (image/uniform.h) */
	uint32_t root_mode;     /* of "/", with S_IFDIR; 0 for 0755 of root */
	uint32_t root_uid, root_gid;
	const struct net_attachment *network; /* or NULL for none */
	const bool *files;                    /* for each volume, whether it is a single file */
};

/*
 * Encodes all but seed and clock, which must be fresh.
 * Errors: -E2BIG (arguments and environment too large), -EINVAL (no command).
 */
int arrow_job_encode(struct arrow_job *job, const struct arrow_spec *spec,
	const struct arrow_job_context *context, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Encodes what to execute beside the program of an Arrow.
 * Errors: -E2BIG (arguments and environment too large).
 */
int arrow_job_encode_exec(struct arrow_job *job, const struct arrow_exec *exec,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The same for a restored Arrow: who it is now, and its streams.
 */
int arrow_job_encode_identity(struct arrow_job *job, const struct arrow_spec *spec,
	const struct arrow_job_context *context, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Adds seed and clock, at the moment before the job is sent, in place of those that were there.
 * Returns 0 or a negative errno.
 */
int arrow_job_refresh(struct arrow_job *job) ARROW_MUST_CHECK;

/*
 * Takes the limits of a spec that has changed since it was encoded, for the next VM. Returns 0 or a
 * negative errno.
 */
int arrow_job_limit(struct arrow_job *job, const struct arrow_spec *spec) ARROW_MUST_CHECK;

/*
 * The same for cards that have changed their networks. A job that is empty gets their records
 * alone, as the loader's worker `network` takes them.
 */
int arrow_job_place(struct arrow_job *job, const struct arrow_spec *spec, const char *id,
	const struct net_attachment *network) ARROW_MUST_CHECK;

void arrow_job_release(struct arrow_job *job);

#endif
