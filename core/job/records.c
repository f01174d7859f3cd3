// SPDX-License-Identifier: Apache-2.0
#include "core/job/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void job_add(struct arrow_job *job, uint32_t tag, const void *data, size_t size)
{
	uint8_t head[ARROW_RECORD_HEAD];

	if (job->failed)
		return;
	if (size > ARROW_JOB_MAX || job->size + sizeof(head) + size > ARROW_JOB_MAX) {
		job->failed = -E2BIG;
		return;
	}
	if (job->room < job->size + sizeof(head) + size) {
		size_t room = (job->size + sizeof(head) + size) * 2;
		uint8_t *larger = realloc(job->data, room);

		if (!larger) {
			job->failed = -ENOMEM;
			return;
		}
		job->data = larger;
		job->room = room;
	}
	arrow_record_encode_head(head, tag, (uint32_t)size);
	memcpy(job->data + job->size, head, sizeof(head));
	if (size)
		memcpy(job->data + job->size + sizeof(head), data, size);
	job->size += sizeof(head) + size;
}

void job_add_string(struct arrow_job *job, uint32_t tag, const char *text)
{
	job_add(job, tag, text, strlen(text));
}

void job_add_u32(struct arrow_job *job, uint32_t tag, uint32_t value)
{
	uint8_t data[4];

	arrow_record_encode_u32(data, value);
	job_add(job, tag, data, sizeof(data));
}

void job_add_u64(struct arrow_job *job, uint32_t tag, uint64_t value)
{
	uint8_t data[8];

	arrow_record_encode_u64(data, value);
	job_add(job, tag, data, sizeof(data));
}

void job_take_out(struct arrow_job *job, uint64_t tags)
{
	job->size = job->stable;
	for (size_t at = 0; at < job->size;) {
		size_t begin = at;
		struct arrow_record record;

		if (arrow_record_next(job->data, job->size, &at, &record))
			break; /* it was encoded here */
		if (!(tags & JOB_BIT(record.tag)))
			continue;
		memmove(job->data + begin, job->data + at, job->size - at);
		job->size -= at - begin;
		at = begin;
	}
}
