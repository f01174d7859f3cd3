// SPDX-License-Identifier: Apache-2.0
/* Frames and records: each comes back as it was encoded, and nothing cut off or too long is taken.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/entries.h"
#include "protocol/frame.h"
#include "protocol/record.h"
#include "util/cleanup.h"

/* A decoder of frames, whatever it fills in. */
#define DECODER(name, type)                                                                        \
	static int name##_any(const uint8_t *in, size_t length)                                    \
	{                                                                                          \
		type out;                                                                          \
                                                                                                   \
		return arrow_##name##_decode(in, length, &out);                                    \
	}
DECODER(credit, uint32_t)
DECODER(ready, uint32_t)
DECODER(attach, uint32_t)
DECODER(kill, uint32_t)
DECODER(reload, uint32_t)
DECODER(exec_end, uint32_t)
DECODER(exec, struct arrow_exec_piece)
DECODER(signal, struct arrow_signal)
DECODER(winsize, struct arrow_winsize)
DECODER(time_question, uint64_t)
DECODER(time, struct arrow_time)
DECODER(started, struct arrow_started)
DECODER(exited, struct arrow_exited)
DECODER(failed, struct arrow_failed)
DECODER(saved, struct arrow_saved_frame)
DECODER(stop, struct arrow_stop_request)
DECODER(snapshot, struct arrow_snapshot_request)
DECODER(answer, struct arrow_answer)

static const struct decoder {
	const char *name;
	int (*decode)(const uint8_t *in, size_t length);
	size_t least, most; /* bytes of a payload; most 0: any */
} decoders[] = {
	{"CREDIT", credit_any, 4, 4},
	{"READY", ready_any, 4, 4},
	{"ATTACH", attach_any, 4, 4},
	{"KILL", kill_any, 4, 4},
	{"RELOAD", reload_any, 4, 4},
	{"EXEC_END", exec_end_any, 4, 4},
	{"EXEC", exec_any, 4, 0},
	{"SIGNAL", signal_any, 8, 8},
	{"WINSIZE", winsize_any, 8, 8},
	{"TIME, the question", time_question_any, 8, 8},
	{"TIME", time_any, 16, 16},
	{"STARTED", started_any, 8, 8},
	{"EXITED", exited_any, 12, 12},
	{"FAILED", failed_any, 12, 12 + ARROW_TEXT_MAX},
	{"SAVED", saved_any, 8, 8},
	{"STOP", stop_any, 8, 8},
	{"SNAPSHOT", snapshot_any, 5, 4 + 4095},
	{"ANSWER", answer_any, 8, 0},
};

/* Payloads of 1s, whose numbers are in every range but those that follow. */
static void payloads_cut_off_or_too_long_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof(decoders) / sizeof(*decoders); i++) {
		const struct decoder *d = &decoders[i];
		size_t most = d->most ? d->most : 3 * d->least;

		for (size_t length = 0; length <= most + 9; length++) {
			/* Of the right size, so that a sanitizer sees each byte read behind it. */
			_cleanup_free_ uint8_t *in = malloc(length ? length : 1);
			bool fits = length >= d->least && (!d->most || length <= d->most);
			int r;

			memset(in, 1, length);
			for (size_t k = 0; k < length; k++)
				in[k] = k % 4 == 0; /* each u32 is 1 */
			if (d->decode == snapshot_any && length > 4)
				memset(in + 4, '/', length - 4);
			r = d->decode(in, length);
			if (r != (fits ? 0 : -EPROTO))
				fail_msg("%s of %zu bytes: %d", d->name, length, r);
		}
	}
}

/* The u32 number n of a payload that is else 1s is set to a value that is out of range. */
static void numbers_out_of_range_are_refused(void **state)
{
	static const struct {
		int (*decode)(const uint8_t *in, size_t length);
		size_t length, n;
		uint32_t value;
		int result;
	} cases[] = {
		{credit_any, 4, 0, 0, 0},
		{credit_any, 4, 0, ARROW_WINDOW, 0},
		{credit_any, 4, 0, ARROW_WINDOW + 1, -EPROTO},
		{credit_any, 4, 0, UINT32_MAX, -EPROTO},
		{attach_any, 4, 0, 7, 0},
		{attach_any, 4, 0, 8, -EPROTO},
		{kill_any, 4, 0, 0, -EPROTO},
		{kill_any, 4, 0, 64, 0},
		{kill_any, 4, 0, 65, -EPROTO},
		{exec_end_any, 4, 0, 0, -EPROTO},
		{exec_end_any, 4, 0, ARROW_PROCESSES, 0},
		{exec_end_any, 4, 0, ARROW_PROCESSES + 1, -EPROTO},
		{exec_any, 9, 0, 0, -EPROTO},
		{exec_any, 9, 0, UINT32_MAX, -EPROTO},
		{signal_any, 8, 0, 0, -EPROTO},
		{signal_any, 8, 0, ARROW_PROCESSES, 0},
		{signal_any, 8, 0, ARROW_PROCESSES + 1, -EPROTO},
		{signal_any, 8, 1, 0, -EPROTO},
		{signal_any, 8, 1, 64, 0},
		{signal_any, 8, 1, 65, -EPROTO},
		{winsize_any, 8, 0, 0, -EPROTO},
		{winsize_any, 8, 1, UINT32_MAX, 0},
		{time_any, 16, 3, INT32_MAX, 0},
		{time_any, 16, 3, UINT32_MAX, -EPROTO},
		{started_any, 8, 0, 0, -EPROTO},
		{started_any, 8, 1, UINT32_MAX, -EPROTO},
		{exited_any, 12, 0, 0, -EPROTO},
		{exited_any, 12, 1, ARROW_EXIT_OOM + 1, -EPROTO},
		{exited_any, 12, 2, 0, -EPROTO}, /* by signal 0 */
		{exited_any, 12, 2, 65, -EPROTO},
		{failed_any, 12, 0, 0, -EPROTO},
		{failed_any, 12, 1, 0, -EPROTO},
		{failed_any, 12, 1, 255, 0},
		{failed_any, 12, 1, 256, -EPROTO},
		{failed_any, 12, 2, 4095, 0},
		{failed_any, 12, 2, 4096, -EPROTO},
		{saved_any, 8, 0, 4096, -EPROTO},
		{saved_any, 8, 1, 2, -EPROTO},
		{stop_any, 8, 0, 0, 0},
		{stop_any, 8, 0, 65, -EPROTO},
		{stop_any, 8, 1, UINT32_MAX, 0},
		{snapshot_any, 9, 0, 2, -EPROTO},
		{snapshot_any, 9, 1, 0, -EPROTO}, /* NULs in the path */
		{answer_any, 8, 0, UINT16_MAX + 1, -EPROTO},
		{answer_any, 8, 1, 4096, -EPROTO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t in[16];

		for (size_t k = 0; k < sizeof(in); k++)
			in[k] = k % 4 == 0;
		if (cases[i].decode == snapshot_any)
			memset(in + 4, '/', 12);
		arrow_put32(in + 4 * cases[i].n, cases[i].value);
		if (cases[i].decode(in, cases[i].length) != cases[i].result)
			fail_msg("case %zu", i);
	}
}

static void frames_come_back_as_they_were(void **state)
{
	uint8_t wire[ARROW_FAILED_MAX];
	struct arrow_frame frame;
	struct arrow_signal signal;
	struct arrow_winsize size;
	struct arrow_time time;
	struct arrow_started started;
	struct arrow_exited exited;
	struct arrow_saved_frame saved;
	struct arrow_stop_request stop;
	struct arrow_exec_piece piece;
	uint64_t asked;
	uint32_t number;

	arrow_frame_encode(wire, (struct arrow_frame){9, 20, ARROW_FRAME_MAX});
	assert_int_equal(arrow_frame_decode(wire, &frame), 0);
	assert_int_equal(frame.stream, 9);
	assert_int_equal(frame.type, 20);
	assert_int_equal(frame.length, ARROW_FRAME_MAX);
	arrow_frame_encode(wire, (struct arrow_frame){9, 20, ARROW_FRAME_MAX + 1});
	assert_int_equal(arrow_frame_decode(wire, &frame), -EPROTO);

	arrow_number_encode(wire, 0x01020304);
	assert_memory_equal(wire, "\4\3\2\1", 4); /* little-endian */
	assert_int_equal(arrow_reload_decode(wire, 4, &number), 0);
	assert_int_equal(number, 0x01020304);

	arrow_exec_encode(wire, 7);
	assert_int_equal(arrow_exec_decode(wire, ARROW_EXEC_HEAD + 3, &piece), 0);
	assert_int_equal(piece.process, 7);
	assert_ptr_equal(piece.records, wire + ARROW_EXEC_HEAD);
	assert_int_equal(piece.size, 3);

	arrow_signal_encode(wire, &(struct arrow_signal){3, 15});
	assert_int_equal(arrow_signal_decode(wire, ARROW_SIGNAL_BYTES, &signal), 0);
	assert_int_equal(signal.process, 3);
	assert_int_equal(signal.signal, 15);

	arrow_winsize_encode(wire, &(struct arrow_winsize){1, 24, 65535});
	assert_int_equal(arrow_winsize_decode(wire, ARROW_WINSIZE_BYTES, &size), 0);
	assert_int_equal(size.process, 1);
	assert_int_equal(size.rows, 24);
	assert_int_equal(size.columns, 65535);

	arrow_time_question_encode(wire, UINT64_MAX);
	assert_int_equal(arrow_time_question_decode(wire, ARROW_TIME_QUESTION_BYTES, &asked), 0);
	assert_true(asked == UINT64_MAX);
	arrow_time_encode(wire, &(struct arrow_time){5, INT64_MAX});
	assert_int_equal(arrow_time_decode(wire, ARROW_TIME_BYTES, &time), 0);
	assert_int_equal(time.guest, 5);
	assert_true(time.host == INT64_MAX);

	arrow_started_encode(wire, &(struct arrow_started){ARROW_PROCESSES, 42});
	assert_int_equal(arrow_started_decode(wire, ARROW_STARTED_BYTES, &started), 0);
	assert_int_equal(started.process, ARROW_PROCESSES);
	assert_int_equal(started.pid, 42);

	arrow_saved_encode(wire, &(struct arrow_saved_frame){EIO, 1});
	assert_int_equal(arrow_saved_decode(wire, ARROW_SAVED_BYTES, &saved), 0);
	assert_int_equal(saved.err, EIO);
	assert_int_equal(saved.stdin_open, 1);

	arrow_stop_encode(wire, &(struct arrow_stop_request){2, 10});
	assert_int_equal(arrow_stop_decode(wire, ARROW_STOP_BYTES, &stop), 0);
	assert_int_equal(stop.signal, 2);
	assert_int_equal(stop.seconds, 10);

	arrow_exited_encode(wire, &(struct arrow_exited){1, ARROW_EXIT_STATUS, 255});
	assert_int_equal(arrow_exited_decode(wire, ARROW_EXITED_BYTES, &exited), 0);
	assert_int_equal(arrow_exited_status(&exited), 255);
	arrow_exited_encode(wire, &(struct arrow_exited){1, ARROW_EXIT_SIGNAL, 15});
	assert_int_equal(arrow_exited_decode(wire, ARROW_EXITED_BYTES, &exited), 0);
	assert_int_equal(arrow_exited_status(&exited), 143);
	exited.how = ARROW_EXIT_OOM;
	assert_int_equal(arrow_exited_status(&exited), 143);
}

static void text_is_carried_and_cut(void **state)
{
	static char text[ARROW_TEXT_MAX + 100];
	uint8_t wire[ARROW_FAILED_MAX + 16];
	struct arrow_failed in = {.process = 1, .status = 127, .err = ENOENT}, out;
	struct arrow_snapshot_request snapshot;
	struct arrow_answer answer;
	size_t size;

	assert_int_equal(arrow_failed_encode(wire, &in), ARROW_FAILED_HEAD);
	memset(text, 'x', sizeof(text));
	memset(wire, 0, sizeof(wire));
	in.text = text;
	in.length = sizeof(text);
	size = arrow_failed_encode(wire, &in);
	assert_int_equal(size, ARROW_FAILED_MAX);
	assert_int_equal(wire[size], 0);
	assert_int_equal(arrow_failed_decode(wire, size, &out), 0);
	assert_int_equal(out.status, 127);
	assert_int_equal(out.err, ENOENT);
	assert_int_equal(out.length, ARROW_TEXT_MAX);
	assert_memory_equal(out.text, text, ARROW_TEXT_MAX);

	arrow_snapshot_encode(wire, 1);
	memcpy(wire + ARROW_SNAPSHOT_HEAD, "/a/b", 4);
	assert_int_equal(arrow_snapshot_decode(wire, ARROW_SNAPSHOT_HEAD + 4, &snapshot), 0);
	assert_int_equal(snapshot.stay, 1);
	assert_int_equal(snapshot.length, 4);
	assert_memory_equal(snapshot.path, "/a/b", 4);
	memcpy(wire + ARROW_SNAPSHOT_HEAD, "/\0/b", 4);
	assert_int_equal(arrow_snapshot_decode(wire, ARROW_SNAPSHOT_HEAD + 4, &snapshot), -EPROTO);

	arrow_answer_encode(wire, ARROW_STOP, ESRCH);
	assert_int_equal(arrow_answer_decode(wire, ARROW_ANSWER_HEAD + 4, &answer), 0);
	assert_int_equal(answer.request, ARROW_STOP);
	assert_int_equal(answer.err, ESRCH);
	assert_int_equal(answer.size, 4);
}

/* A record in a buffer of its own. */
static const char *take(uint32_t tag, const void *value, size_t length, struct arrow_record *record)
{
	static uint8_t data[512];
	size_t at = 0;

	assert_true(length + ARROW_RECORD_HEAD <= sizeof(data));
	arrow_record_encode_head(data, tag, (uint32_t)length);
	memcpy(data + ARROW_RECORD_HEAD, value, length);
	return arrow_record_next(data, ARROW_RECORD_HEAD + length, &at, record);
}

static void records_have_the_length_of_their_tag(void **state)
{
	static const uint32_t lengths[ARROW_RECORD_LAST + 1] = {[ARROW_JOB_FLAGS] = 4,
		[ARROW_JOB_RLIMIT] = 24,
		[ARROW_JOB_CAPS] = 8,
		[ARROW_JOB_SEED] = 32,
		[ARROW_JOB_CLOCK] = 12,
		[ARROW_JOB_WINSIZE] = 4,
		[ARROW_JOB_SHM_SIZE] = 8,
		[ARROW_JOB_MACHINE_ID] = 16,
		[ARROW_JOB_CPU_MAX] = 4,
		[ARROW_JOB_NIC] = 16,
		[ARROW_JOB_ADDRESS] = 24,
		[ARROW_JOB_ROUTE] = 40,
		[ARROW_JOB_RESTORE_SIGNAL] = 4,
		[ARROW_JOB_PIDS_MAX] = 4};
	uint8_t value[64];
	struct arrow_record record;

	memset(value, 'x', sizeof(value));
	for (uint32_t tag = 0; tag <= ARROW_RECORD_LAST + 2; tag++) {
		for (size_t length = 0; length <= sizeof(value); length++) {
			bool known = tag > 0 && tag <= ARROW_RECORD_LAST;
			bool fits = known && (lengths[tag] == 0 || lengths[tag] == length);

			if ((take(tag, value, length, &record) == NULL) != fits)
				fail_msg("tag %u of %zu bytes", tag, length);
		}
	}
	assert_non_null(take(ARROW_JOB_ARG, "a\0b", 3, &record));
}

static void records_cut_off_are_refused(void **state)
{
	uint8_t data[3 * ARROW_RECORD_HEAD + 4];
	struct arrow_record record;
	size_t at = 0;

	arrow_record_encode_head(data, ARROW_JOB_ARG, 4);
	memcpy(data + 8, "true", 4);
	for (size_t size = 1; size < 12; size++) {
		at = 0;
		assert_non_null(arrow_record_next(data, size, &at, &record));
		assert_int_equal(at, 0);
	}
	assert_null(arrow_record_next(data, 12, &at, &record));
	assert_int_equal(at, 12);
	assert_int_equal(record.length, 4);
	assert_memory_equal(record.value, "true", 4);
	for (uint32_t length = UINT32_MAX; length > UINT32_MAX - 20; length--) {
		arrow_record_encode_head(data, ARROW_JOB_ARG, length);
		at = 0;
		assert_non_null(arrow_record_next(data, sizeof(data), &at, &record));
	}
	assert_true(arrow_record_repeats(ARROW_JOB_ARG));
	assert_false(arrow_record_repeats(ARROW_JOB_CWD));
	assert_false(arrow_record_repeats(UINT32_MAX));
}

static void record_values_come_back_as_they_were(void **state)
{
	const struct arrow_job_nic nic = {.index = 7, .mtu = 1420, .mac = {2, 0, 0, 1, 2, 3}};
	const struct arrow_job_address address = {
		.index = 1, .family = 6, .prefix = 64, .address = {0xfd, [15] = 9}};
	const struct arrow_job_route route = {.index = 2,
		.family = 4,
		.prefix = 24,
		.destination = {10, 1, 2, 0},
		.gateway = {10, 0, 0, 1}};
	const struct arrow_job_mount mount = {ARROW_MOUNT_SHARE, 1, "v0", "/data", "x=1"};
	struct arrow_job_nic nic2;
	struct arrow_job_address address2;
	struct arrow_job_route route2;
	struct arrow_job_mount mount2;
	struct arrow_job_rlimit limit;
	struct arrow_job_clock clock;
	struct arrow_job_winsize size;
	struct arrow_record record;
	uint8_t value[64] = {0};
	uint32_t number;

	arrow_record_encode_nic(value, &nic);
	assert_null(take(ARROW_JOB_NIC, value, ARROW_JOB_NIC_BYTES, &record));
	assert_null(arrow_record_nic(&record, &nic2));
	assert_memory_equal(&nic, &nic2, sizeof(nic.index) + sizeof(nic.mtu) + sizeof(nic.mac));

	arrow_record_encode_address(value, &address);
	assert_null(take(ARROW_JOB_ADDRESS, value, ARROW_JOB_ADDRESS_BYTES, &record));
	assert_null(arrow_record_address(&record, &address2));
	assert_int_equal(address2.index, 1);
	assert_int_equal(address2.family, 6);
	assert_int_equal(address2.prefix, 64);
	assert_memory_equal(address2.address, address.address, 16);

	arrow_record_encode_route(value, &route);
	assert_null(take(ARROW_JOB_ROUTE, value, ARROW_JOB_ROUTE_BYTES, &record));
	assert_null(arrow_record_route(&record, &route2));
	assert_int_equal(route2.index, 2);
	assert_int_equal(route2.prefix, 24);
	assert_memory_equal(route2.destination, route.destination, 16);
	assert_memory_equal(route2.gateway, route.gateway, 16);

	assert_int_equal(arrow_record_mount_size(&mount), 8 + 3 + 6 + 3);
	arrow_record_encode_mount(value, &mount);
	assert_null(take(ARROW_JOB_MOUNT, value, 8 + 3 + 6 + 3, &record));
	assert_null(arrow_record_mount(&record, &mount2));
	assert_int_equal(mount2.kind, ARROW_MOUNT_SHARE);
	assert_int_equal(mount2.flags, 1);
	assert_string_equal(mount2.source, "v0");
	assert_string_equal(mount2.target, "/data");
	assert_memory_equal(mount2.options, "x=1", 3);

	arrow_record_encode_rlimit(value, &(struct arrow_job_rlimit){7, 1024, UINT64_MAX});
	assert_null(take(ARROW_JOB_RLIMIT, value, ARROW_JOB_RLIMIT_BYTES, &record));
	assert_null(arrow_record_rlimit(&record, &limit));
	assert_int_equal(limit.resource, 7);
	assert_int_equal(limit.soft, 1024);
	assert_true(limit.hard == UINT64_MAX);

	arrow_record_encode_clock(value, &(struct arrow_job_clock){INT64_MAX, 999999999});
	assert_null(take(ARROW_JOB_CLOCK, value, ARROW_JOB_CLOCK_BYTES, &record));
	assert_null(arrow_record_clock(&record, &clock));
	assert_true(clock.seconds == INT64_MAX);
	assert_int_equal(clock.nanoseconds, 999999999);

	arrow_record_encode_winsize(value, &(struct arrow_job_winsize){24, 80});
	assert_null(take(ARROW_JOB_WINSIZE, value, ARROW_JOB_WINSIZE_BYTES, &record));
	arrow_record_winsize(&record, &size);
	assert_int_equal(size.rows, 24);
	assert_int_equal(size.columns, 80);

	arrow_record_encode_u32(value, 500);
	assert_null(take(ARROW_JOB_CPU_MAX, value, 4, &record));
	assert_null(arrow_record_u32(&record, &number));
	assert_int_equal(number, 500);
	arrow_record_encode_u64(value, UINT64_MAX - 1);
	assert_null(take(ARROW_JOB_CAPS, value, 8, &record));
	assert_true(arrow_record_u64(&record) == UINT64_MAX - 1);
}

static const char *nic_any(const struct arrow_record *record)
{
	struct arrow_job_nic nic;

	return arrow_record_nic(record, &nic);
}

static const char *address_any(const struct arrow_record *record)
{
	struct arrow_job_address address;

	return arrow_record_address(record, &address);
}

static const char *route_any(const struct arrow_record *record)
{
	struct arrow_job_route route;

	return arrow_record_route(record, &route);
}

static const char *rlimit_any(const struct arrow_record *record)
{
	struct arrow_job_rlimit limit;

	return arrow_record_rlimit(record, &limit);
}

static void record_values_out_of_range_are_refused(void **state)
{
	static const struct {
		uint32_t tag;
		const char *(*decode)(const struct arrow_record *record);
		size_t length;
		const char *begin; /* of the value; the rest is zeros */
		size_t n;
	} bad[] = {
		{ARROW_JOB_NIC, nic_any, 16, "\10", 1},
		{ARROW_JOB_NIC, nic_any, 16, "\377\377\377\377", 4},
		{ARROW_JOB_NIC, nic_any, 16, "\0\0\0\0\0\0\1", 7},
		{ARROW_JOB_ADDRESS, address_any, 24, "\10\0\0\0\4", 5},
		{ARROW_JOB_ADDRESS, address_any, 24, "\0\0\0\0\5", 5},
		{ARROW_JOB_ADDRESS, address_any, 24, "\0\0\0\0\4\41", 6},
		{ARROW_JOB_ADDRESS, address_any, 24, "\0\0\0\0\6\201", 6},
		{ARROW_JOB_ROUTE, route_any, 40, "\10\0\0\0\4", 5},
		{ARROW_JOB_ROUTE, route_any, 40, "\0\0\0\0\0", 5},
		{ARROW_JOB_ROUTE, route_any, 40, "\0\0\0\0\4\41", 6},
		{ARROW_JOB_RLIMIT, rlimit_any, 24, "\20", 1},
		{ARROW_JOB_RLIMIT, rlimit_any, 24, "\377\377\377\377", 4},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct arrow_record record;
		uint8_t value[64] = {0};

		memcpy(value, bad[i].begin, bad[i].n);
		assert_null(take(bad[i].tag, value, bad[i].length, &record));
		if (!bad[i].decode(&record))
			fail_msg("case %zu was taken", i);
	}
}

static void record_values_reach_their_limits(void **state)
{
	static const struct {
		uint32_t tag;
		const char *(*decode)(const struct arrow_record *record);
		size_t length;
		const char *begin; /* of the value; the rest is zeros */
		size_t n;
	} good[] = {
		{ARROW_JOB_NIC, nic_any, 16, "\7\0\0\0\377\377", 6}, /* eth7, an MTU of 65535 */
		{ARROW_JOB_ADDRESS, address_any, 24, "\7\0\0\0\4\40", 6},
		{ARROW_JOB_ADDRESS, address_any, 24, "\7\0\0\0\6\200", 6},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct arrow_record record;
		uint8_t value[64] = {0};

		memcpy(value, good[i].begin, good[i].n);
		assert_null(take(good[i].tag, value, good[i].length, &record));
		if (good[i].decode(&record))
			fail_msg("case %zu: %s", i, good[i].decode(&record));
	}
}

static void attributes_of_files_come_back_as_they_were(void **state)
{
	_cleanup_free_ uint8_t *xattrs = calloc(1, ENTRY_XATTRS_MAX);
	struct arrow_entry_xattr x = {.name = "user.a", .value = (const uint8_t *)"12", .size = 2};
	uint32_t used, at = 0;

	used = arrow_entry_xattr_encode(xattrs, 0, &x);
	assert_int_equal(used, 8 + 6 + 2);
	strcpy(x.name, "user.empty");
	x.size = 0;
	used = arrow_entry_xattr_encode(xattrs, used, &x);
	assert_int_equal(used, 16 + 8 + 10);
	assert_int_equal(arrow_entry_xattr_next(xattrs, used, &at, &x), 1);
	assert_string_equal(x.name, "user.a");
	assert_int_equal(x.size, 2);
	assert_memory_equal(x.value, "12", 2);
	assert_int_equal(arrow_entry_xattr_next(xattrs, used, &at, &x), 1);
	assert_string_equal(x.name, "user.empty");
	assert_int_equal(x.size, 0);
	assert_int_equal(arrow_entry_xattr_next(xattrs, used, &at, &x), 0);

	/* Cut off anywhere but between the two. */
	for (uint32_t size = 1; size < used; size++) {
		int r = 1;

		for (at = 0; r > 0;)
			r = arrow_entry_xattr_next(xattrs, size, &at, &x);
		assert_int_equal(r, size == 16 ? 0 : -EPROTO);
	}
	/* Lengths that no honest peer says. */
	for (int which = 0; which < 2; which++) {
		arrow_entry_xattr_encode(
			xattrs, 0, &(struct arrow_entry_xattr){"user.a", (const uint8_t *)"12", 2});
		for (uint32_t length = UINT32_MAX; length > UINT32_MAX - 30; length--) {
			arrow_put32(xattrs + 4 * which, length);
			at = 0;
			assert_int_equal(arrow_entry_xattr_next(xattrs, used, &at, &x), -EPROTO);
		}
	}
	/* What does not fit is left out. */
	x = (struct arrow_entry_xattr){.name = "user.a", .value = xattrs, .size = 100};
	used = ENTRY_XATTRS_MAX - 8 - 6 - 99;
	assert_int_equal(arrow_entry_xattr_encode(xattrs, used, &x), used);
	assert_int_equal(
		arrow_entry_xattr_encode(xattrs, ENTRY_XATTRS_MAX - 3, &x), ENTRY_XATTRS_MAX - 3);
	x.name[0] = '\0';
	assert_int_equal(arrow_entry_xattr_encode(xattrs, 0, &x), 0);
}

static void an_error_of_files_has_an_errno(void **state)
{
	struct arrow_entry e = {.type = ENTRY_ERROR, .name = 1, .major = ARROW_ERRNO_MAX}, got;
	uint8_t head[ENTRY_HEAD];

	arrow_entry_encode(head, &e);
	assert_int_equal(arrow_entry_decode(head, &got), 0);
	assert_int_equal(got.major, ARROW_ERRNO_MAX);
	e.major++;
	arrow_entry_encode(head, &e);
	assert_int_equal(arrow_entry_decode(head, &got), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_as_they_were),
		cmocka_unit_test(text_is_carried_and_cut),
		cmocka_unit_test(payloads_cut_off_or_too_long_are_refused),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(records_have_the_length_of_their_tag),
		cmocka_unit_test(records_cut_off_are_refused),
		cmocka_unit_test(record_values_come_back_as_they_were),
		cmocka_unit_test(record_values_out_of_range_are_refused),
		cmocka_unit_test(record_values_reach_their_limits),
		cmocka_unit_test(attributes_of_files_come_back_as_they_were),
		cmocka_unit_test(an_error_of_files_has_an_errno),
	};

	return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
