// SPDX-License-Identifier: Apache-2.0
#include "protocol/record.h"

#define MILLICPUS_MAX 1000000u
#define SIGNAL_MAX 64u
#define RESOURCES 16u /* of RLIMIT_* */
#define MTU_MAX 65535u

/* How long a record of this tag is, and whether it repeats. Strings and mounts have size 0. */
static const struct {
	uint8_t size;
	bool repeats;
} rules[ARROW_RECORD_LAST + 1] = {
	[ARROW_JOB_FLAGS] = {4, false},
	[ARROW_JOB_ARG] = {0, true},
	[ARROW_JOB_ENV] = {0, true},
	[ARROW_JOB_CWD] = {0, false},
	[ARROW_JOB_USER] = {0, false},
	[ARROW_JOB_HOSTNAME] = {0, false},
	[ARROW_JOB_HOSTS] = {0, true},
	[ARROW_JOB_RESOLV] = {0, false},
	[ARROW_JOB_MOUNT] = {0, true},
	[ARROW_JOB_RLIMIT] = {ARROW_JOB_RLIMIT_BYTES, true},
	[ARROW_JOB_CAPS] = {8, false},
	[ARROW_JOB_SYSCTL] = {0, true},
	[ARROW_JOB_SEED] = {32, false},
	[ARROW_JOB_CLOCK] = {ARROW_JOB_CLOCK_BYTES, false},
	[ARROW_JOB_WINSIZE] = {ARROW_JOB_WINSIZE_BYTES, false},
	[ARROW_JOB_SHM_SIZE] = {8, false},
	[ARROW_JOB_MACHINE_ID] = {16, false},
	[ARROW_JOB_CPU_MAX] = {4, false},
	[ARROW_JOB_NIC] = {ARROW_JOB_NIC_BYTES, true},
	[ARROW_JOB_ADDRESS] = {ARROW_JOB_ADDRESS_BYTES, true},
	[ARROW_JOB_ROUTE] = {ARROW_JOB_ROUTE_BYTES, true},
	[ARROW_JOB_ID] = {0, false},
	[ARROW_JOB_NAME] = {0, false},
	[ARROW_JOB_RESTORE_SIGNAL] = {4, false},
	[ARROW_JOB_PIDS_MAX] = {4, false},
	[ARROW_JOB_GROUP] = {0, true},
};

void arrow_record_encode_head(uint8_t out[ARROW_RECORD_HEAD], uint32_t tag, uint32_t length)
{
	arrow_put32(out, tag);
	arrow_put32(out + 4, length);
}

const char *arrow_record_next(
	const uint8_t *data, size_t size, size_t *at, struct arrow_record *record)
{
	size_t left = size - *at;
	uint32_t want;

	if (left < ARROW_RECORD_HEAD)
		return "a record is cut off";
	record->tag = arrow_get32(data + *at);
	record->length = arrow_get32(data + *at + 4);
	record->value = data + *at + ARROW_RECORD_HEAD;
	if (record->length > left - ARROW_RECORD_HEAD)
		return "a record is longer than the job";
	if (record->tag == 0 || record->tag > ARROW_RECORD_LAST)
		return "a record has an unknown tag; the host is newer than the loader";

	want = rules[record->tag].size;
	if (want != 0 && record->length != want)
		return "a record has the wrong length";
	if (want == 0 && record->tag != ARROW_JOB_MOUNT &&
		memchr(record->value, '\0', record->length))
		return "a string holds a NUL";
	*at += ARROW_RECORD_HEAD + record->length;
	return NULL;
}

bool arrow_record_repeats(uint32_t tag)
{
	return tag <= ARROW_RECORD_LAST && rules[tag].repeats;
}

void arrow_record_encode_u32(uint8_t out[4], uint32_t value)
{
	arrow_put32(out, value);
}

const char *arrow_record_u32(const struct arrow_record *record, uint32_t *value)
{
	*value = arrow_get32(record->value);
	switch (record->tag) {
	case ARROW_JOB_CPU_MAX:
		return *value == 0 || *value > MILLICPUS_MAX ? "its share of CPUs is out of range"
							     : NULL;
	case ARROW_JOB_RESTORE_SIGNAL:
		return *value > SIGNAL_MAX ? "its signal is out of range" : NULL;
	case ARROW_JOB_PIDS_MAX:
		return *value == 0 ? "its limit of processes is zero" : NULL;
	default:
		return NULL;
	}
}

void arrow_record_encode_u64(uint8_t out[8], uint64_t value)
{
	arrow_put64(out, value);
}

uint64_t arrow_record_u64(const struct arrow_record *record)
{
	return arrow_get64(record->value);
}

void arrow_record_encode_clock(
	uint8_t out[ARROW_JOB_CLOCK_BYTES], const struct arrow_job_clock *clock)
{
	arrow_put64(out, clock->seconds);
	arrow_put32(out + 8, clock->nanoseconds);
}

const char *arrow_record_clock(const struct arrow_record *record, struct arrow_job_clock *clock)
{
	clock->seconds = arrow_get64(record->value);
	clock->nanoseconds = arrow_get32(record->value + 8);
	return clock->seconds > INT64_MAX || clock->nanoseconds >= 1000000000u
		       ? "its clock is not a time"
		       : NULL;
}

void arrow_record_encode_winsize(
	uint8_t out[ARROW_JOB_WINSIZE_BYTES], const struct arrow_job_winsize *size)
{
	arrow_put16(out, size->rows);
	arrow_put16(out + 2, size->columns);
}

void arrow_record_winsize(const struct arrow_record *record, struct arrow_job_winsize *size)
{
	size->rows = arrow_get16(record->value);
	size->columns = arrow_get16(record->value + 2);
}

void arrow_record_encode_rlimit(
	uint8_t out[ARROW_JOB_RLIMIT_BYTES], const struct arrow_job_rlimit *limit)
{
	arrow_put32(out, limit->resource);
	arrow_put32(out + 4, 0);
	arrow_put64(out + 8, limit->soft);
	arrow_put64(out + 16, limit->hard);
}

const char *arrow_record_rlimit(const struct arrow_record *record, struct arrow_job_rlimit *limit)
{
	limit->resource = arrow_get32(record->value);
	limit->soft = arrow_get64(record->value + 8);
	limit->hard = arrow_get64(record->value + 16);
	return limit->resource >= RESOURCES ? "a resource limit is of an unknown kind" : NULL;
}

size_t arrow_record_mount_size(const struct arrow_job_mount *mount)
{
	return ARROW_JOB_MOUNT_HEAD + strlen(mount->source) + 1 + strlen(mount->target) + 1 +
	       strlen(mount->options);
}

void arrow_record_encode_mount(uint8_t *out, const struct arrow_job_mount *mount)
{
	size_t source = strlen(mount->source) + 1, target = strlen(mount->target) + 1;

	arrow_put32(out, mount->kind);
	arrow_put32(out + 4, mount->flags);
	out += ARROW_JOB_MOUNT_HEAD;
	memcpy(out, mount->source, source);
	memcpy(out + source, mount->target, target);
	memcpy(out + source + target, mount->options, strlen(mount->options));
}

/* Splits "source NUL target NUL options", the last of which may be left out. */
const char *arrow_record_mount(const struct arrow_record *record, struct arrow_job_mount *mount)
{
	const char *text = (const char *)record->value + ARROW_JOB_MOUNT_HEAD;
	const char *end = (const char *)record->value + record->length, *nul;

	if (record->length < ARROW_JOB_MOUNT_HEAD)
		return "a mount is cut off";
	*mount = (struct arrow_job_mount){
		.kind = arrow_get32(record->value),
		.flags = arrow_get32(record->value + 4),
		.source = text,
		.options = end,
	};
	nul = memchr(text, '\0', (size_t)(end - text));
	if (nul) {
		mount->target = nul + 1;
		nul = memchr(mount->target, '\0', (size_t)(end - mount->target));
		if (nul)
			mount->options = nul + 1;
	}
	if (memchr(mount->options, '\0', (size_t)(end - mount->options)))
		return "a mount has too many parts";

	switch ((enum arrow_mount_kind)mount->kind) {
	case ARROW_MOUNT_ROOT:
		if (text == end || *text == '\0' ||
			memchr(text, '/', strnlen(text, (size_t)(end - text))))
			return "its root is not the name of a block device";
		return NULL;
	case ARROW_MOUNT_SHARE:
	case ARROW_MOUNT_SHARE_FILE:
		if (text == end || *text == '\0')
			return "a volume has no tag";
		break;
	case ARROW_MOUNT_TMPFS:
		break;
	default:
		return "a mount is of an unknown kind; the host is newer than the loader";
	}
	if (!mount->target || mount->target == end || *mount->target != '/')
		return "the target of a mount is not an absolute path";
	return NULL;
}

static const char *check_index(uint32_t index)
{
	return index >= ARROW_NICS_MAX ? "it has too many network cards" : NULL;
}

static const char *check_prefix(uint32_t index, uint8_t family, uint8_t prefix)
{
	if ((family != 4 && family != 6) || prefix > (family == 4 ? 32 : 128))
		return "an address or a route is of an unknown kind";
	return check_index(index);
}

/* The 8 bytes in front of an address or a route. */
static void put_prefix(uint8_t *out, uint32_t index, uint8_t family, uint8_t prefix)
{
	arrow_put32(out, index);
	out[4] = family;
	out[5] = prefix;
	out[6] = out[7] = 0;
}

void arrow_record_encode_nic(uint8_t out[ARROW_JOB_NIC_BYTES], const struct arrow_job_nic *nic)
{
	arrow_put32(out, nic->index);
	arrow_put32(out + 4, nic->mtu);
	memcpy(out + 8, nic->mac, sizeof(nic->mac));
	out[14] = out[15] = 0;
}

const char *arrow_record_nic(const struct arrow_record *record, struct arrow_job_nic *nic)
{
	nic->index = arrow_get32(record->value);
	nic->mtu = arrow_get32(record->value + 4);
	memcpy(nic->mac, record->value + 8, sizeof(nic->mac));
	if (nic->mtu > MTU_MAX)
		return "the MTU of a network card is out of range";
	return check_index(nic->index);
}

void arrow_record_encode_address(
	uint8_t out[ARROW_JOB_ADDRESS_BYTES], const struct arrow_job_address *a)
{
	put_prefix(out, a->index, a->family, a->prefix);
	memcpy(out + 8, a->address, sizeof(a->address));
}

const char *arrow_record_address(const struct arrow_record *record, struct arrow_job_address *a)
{
	a->index = arrow_get32(record->value);
	a->family = record->value[4];
	a->prefix = record->value[5];
	memcpy(a->address, record->value + 8, sizeof(a->address));
	return check_prefix(a->index, a->family, a->prefix);
}

void arrow_record_encode_route(uint8_t out[ARROW_JOB_ROUTE_BYTES], const struct arrow_job_route *r)
{
	put_prefix(out, r->index, r->family, r->prefix);
	memcpy(out + 8, r->destination, sizeof(r->destination));
	memcpy(out + 24, r->gateway, sizeof(r->gateway));
}

const char *arrow_record_route(const struct arrow_record *record, struct arrow_job_route *r)
{
	r->index = arrow_get32(record->value);
	r->family = record->value[4];
	r->prefix = record->value[5];
	memcpy(r->destination, record->value + 8, sizeof(r->destination));
	memcpy(r->gateway, record->value + 24, sizeof(r->gateway));
	return check_prefix(r->index, r->family, r->prefix);
}
