/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PROTOCOL_RECORD_H
#define ARROW_PROTOCOL_RECORD_H

/*
 * Records of a job (docs/protocol.md, "The job"): one encoder and one decoder for each kind of
 * value, for host and guest. A decoder gets a record of arrow_record_next(), checks the range of
 * every number, and returns NULL, or what is wrong with it: a constant for the user. Records whose
 * value is a string or bytes need neither.
 */

#include <stdbool.h>
#include <stddef.h>

#include "protocol/protocol.h"

#define ARROW_RECORD_HEAD 8u
#define ARROW_RECORD_LAST ARROW_JOB_GROUP /* the highest tag */
#define ARROW_NICS_MAX 8u                 /* network cards of an Arrow */

struct arrow_record {
	uint32_t tag;    /* enum arrow_job_tag */
	uint32_t length; /* of the value */
	const uint8_t *value;
};

void arrow_record_encode_head(uint8_t out[ARROW_RECORD_HEAD], uint32_t tag, uint32_t length);

/*
 * Takes the record at *at, which is below size, and moves *at behind it. The tag is known, the
 * length is one that it may have, and a string has no NUL. Nothing is written.
 */
const char *arrow_record_next(
	const uint8_t *data, size_t size, size_t *at, struct arrow_record *record);

/* Whether a job may have several records of this tag. */
bool arrow_record_repeats(uint32_t tag);

/* FLAGS, CPU_MAX, RESTORE_SIGNAL, PIDS_MAX; the range depends on the tag. */
void arrow_record_encode_u32(uint8_t out[4], uint32_t value);
const char *arrow_record_u32(const struct arrow_record *record, uint32_t *value);

/* CAPS, SHM_SIZE */
void arrow_record_encode_u64(uint8_t out[8], uint64_t value);
uint64_t arrow_record_u64(const struct arrow_record *record);

#define ARROW_JOB_CLOCK_BYTES 12u
struct arrow_job_clock {
	uint64_t seconds; /* since 1970 */
	uint32_t nanoseconds;
};
void arrow_record_encode_clock(
	uint8_t out[ARROW_JOB_CLOCK_BYTES], const struct arrow_job_clock *clock);
const char *arrow_record_clock(const struct arrow_record *record, struct arrow_job_clock *clock);

#define ARROW_JOB_WINSIZE_BYTES 4u
struct arrow_job_winsize {
	uint16_t rows, columns; /* 0: not known */
};
void arrow_record_encode_winsize(
	uint8_t out[ARROW_JOB_WINSIZE_BYTES], const struct arrow_job_winsize *size);
void arrow_record_winsize(const struct arrow_record *record, struct arrow_job_winsize *size);

#define ARROW_JOB_RLIMIT_BYTES 24u
struct arrow_job_rlimit {
	uint32_t resource; /* RLIMIT_* of Linux */
	uint64_t soft, hard;
};
void arrow_record_encode_rlimit(
	uint8_t out[ARROW_JOB_RLIMIT_BYTES], const struct arrow_job_rlimit *limit);
const char *arrow_record_rlimit(const struct arrow_record *record, struct arrow_job_rlimit *limit);

/*
 * A mount. source and target end with a NUL or with the record, options with the record: whoever
 * decodes puts a NUL there before it reads them as strings.
 */
#define ARROW_JOB_MOUNT_HEAD 8u
struct arrow_job_mount {
	uint32_t kind;       /* enum arrow_mount_kind */
	uint32_t flags;      /* MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC; of the root: see below */
	const char *source;  /* never NULL */
	const char *target;  /* absolute; of the root it may be NULL */
	const char *options; /* never NULL; "" when there are none */
};

/* The size of the value, and the value: out has that many bytes. */
size_t arrow_record_mount_size(const struct arrow_job_mount *mount);
void arrow_record_encode_mount(uint8_t *out, const struct arrow_job_mount *mount);
const char *arrow_record_mount(const struct arrow_record *record, struct arrow_job_mount *mount);

#define ARROW_JOB_NIC_BYTES 16u
struct arrow_job_nic {
	uint32_t index; /* of ethN; below ARROW_NICS_MAX, as that of addresses and routes */
	uint32_t mtu;   /* bytes; 0: as it is */
	uint8_t mac[6];
};
void arrow_record_encode_nic(uint8_t out[ARROW_JOB_NIC_BYTES], const struct arrow_job_nic *nic);
const char *arrow_record_nic(const struct arrow_record *record, struct arrow_job_nic *nic);

#define ARROW_JOB_ADDRESS_BYTES 24u
struct arrow_job_address {
	uint32_t index;
	uint8_t family;      /* 4 or 6 */
	uint8_t prefix;      /* bits */
	uint8_t address[16]; /* IPv4: the first 4 bytes; network order */
};
void arrow_record_encode_address(
	uint8_t out[ARROW_JOB_ADDRESS_BYTES], const struct arrow_job_address *address);
const char *arrow_record_address(
	const struct arrow_record *record, struct arrow_job_address *address);

#define ARROW_JOB_ROUTE_BYTES 40u
struct arrow_job_route {
	uint32_t index;
	uint8_t family; /* 4 or 6 */
	uint8_t prefix; /* bits; 0 with the zero address: the default route */
	uint8_t destination[16];
	uint8_t gateway[16]; /* all zero: on the link */
};
void arrow_record_encode_route(
	uint8_t out[ARROW_JOB_ROUTE_BYTES], const struct arrow_job_route *route);
const char *arrow_record_route(const struct arrow_record *record, struct arrow_job_route *route);

#endif
