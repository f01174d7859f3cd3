/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_JOB_RECORDS_H
#define ARROW_CORE_JOB_RECORDS_H

/*
 * The records of a job (docs/protocol.md): adds one of a tag at the end. What does not fit, or
 * finds no memory, is noted as job->failed, and nothing is added from then on.
 */

#include "core/job/job.h"

void job_add(struct arrow_job *job, uint32_t tag, const void *data, size_t size);
void job_add_string(struct arrow_job *job, uint32_t tag, const char *text);
void job_add_u32(struct arrow_job *job, uint32_t tag, uint32_t value);
void job_add_u64(struct arrow_job *job, uint32_t tag, uint64_t value);

#define JOB_BIT(tag) (UINT64_C(1) << (tag))

/* Takes out the records of some tags (JOB_BIT), and seed and clock. */
void job_take_out(struct arrow_job *job, uint64_t tags);

#endif
