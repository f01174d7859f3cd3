// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/rehearse.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "protocol/frame.h"
#include "protocol/record.h"
#include "engine/qemu/rehearse_share.h"
#include "util/io.h"

/* Reads so many bytes before the deadline, and serves the guest's share meanwhile. */
static int rehearse_read(struct qemu_rehearsal *g, void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		struct pollfd p[] = {{g->channel, POLLIN, 0}, {g->share, POLLIN, 0}};
		uint64_t now = now_ms();
		ssize_t n;

		if (now >= g->deadline)
			return -ETIMEDOUT;
		if (poll(p, 2, (int)(g->deadline - now)) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents && qemu_rehearse_share(g->share) < 0)
			return -EPIPE;
		n = recv(g->channel, (char *)data + done, size - done, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int rehearse_send(
	struct qemu_rehearsal *g, uint16_t stream, uint16_t type, const void *data, size_t size)
{
	uint8_t frame[ARROW_FRAME_HEADER + 1024];

	if (size > sizeof(frame) - ARROW_FRAME_HEADER)
		return -E2BIG;
	arrow_frame_encode(frame,
		(struct arrow_frame){.stream = stream, .type = type, .length = (uint32_t)size});
	if (size)
		memcpy(frame + ARROW_FRAME_HEADER, data, size);
	return write_full(g->channel, frame, ARROW_FRAME_HEADER + size);
}

static int rehearse_answer_time(struct qemu_rehearsal *g, uint64_t asked)
{
	uint8_t payload[ARROW_TIME_BYTES];

	arrow_time_answer_encode(payload, asked);
	return rehearse_send(g, ARROW_CONTROL, ARROW_TIME, payload, sizeof(payload));
}

/* Waits for a control frame; what else comes is output of the rehearsal. */
static int rehearse_await(struct qemu_rehearsal *g, uint16_t type)
{
	uint8_t header[ARROW_FRAME_HEADER], payload[ARROW_FRAME_MAX];
	struct arrow_failed failed;
	struct arrow_frame frame;
	uint64_t asked;
	int r;

	do {
		r = rehearse_read(g, header, sizeof(header));
		if (r == 0)
			r = arrow_frame_decode(header, &frame);
		if (r == 0)
			r = rehearse_read(g, payload, frame.length);
		if (r < 0 || frame.stream != ARROW_CONTROL)
			continue;
		if (frame.type == ARROW_TIME) {
			r = arrow_time_question_decode(payload, frame.length, &asked);
			if (r == 0)
				r = rehearse_answer_time(g, asked);
		} else if (frame.type == ARROW_FAILED) {
			if (arrow_failed_decode(payload, frame.length, &failed) == 0)
				snprintf(g->failed, sizeof(g->failed), "%.*s", (int)failed.length,
					failed.text);
			r = -EPROTO;
		}
	} while (r == 0 && (frame.stream != ARROW_CONTROL || frame.type != type));
	return r;
}

struct records {
	uint8_t data[1024];
	size_t size;
};

/* All that is added has its size known here, and fits. */
static void records_add(struct records *r, uint32_t tag, const void *value, size_t size)
{
	arrow_record_encode_head(r->data + r->size, tag, (uint32_t)size);
	memcpy(r->data + r->size + ARROW_RECORD_HEAD, value, size);
	r->size += ARROW_RECORD_HEAD + size;
}

static void records_add_text(struct records *r, uint32_t tag, const char *text)
{
	records_add(r, tag, text, strlen(text));
}

int qemu_rehearse(struct qemu_rehearsal *g, enum qemu_rehearsal_kind how)
{
	const struct arrow_job_mount root = {
		.kind = ARROW_MOUNT_ROOT,
		.flags = how == REHEARSE_MOUNTING ? 0 : ARROW_ROOT_UNIFORM,
		.source = "vda",
		.target = "/",
		.options = "",
	};
	const struct arrow_job_mount share = {
		.kind = ARROW_MOUNT_SHARE,
		.source = ARROW_SHARES_TAG "/0",
		.target = "/volume",
		.options = "",
	};
	uint8_t mount[64], seed[32], flags[4], id[16] = {1}, window[ARROW_JOB_WINSIZE_BYTES];
	uint8_t shm_size[8], caps[8], clock[ARROW_JOB_CLOCK_BYTES];
	bool terminal = how == REHEARSE_WITH_TERMINAL,
	     input = terminal || how == REHEARSE_WITH_INPUT;
	struct timespec now;
	struct records job = {.size = 0};
	int r;

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	clock_gettime(CLOCK_REALTIME, &now);
	arrow_record_encode_clock(
		clock, &(struct arrow_job_clock){(uint64_t)now.tv_sec, (uint32_t)now.tv_nsec});
	arrow_record_encode_u32(
		flags, (input ? ARROW_JOB_STDIN : 0) | (terminal ? ARROW_JOB_TTY : 0));
	arrow_record_encode_u64(
		caps, 0xa80425fb); /* those of most Arrows, as of Docker's containers */
	arrow_record_encode_mount(mount, &root);
	arrow_record_encode_winsize(window, &(struct arrow_job_winsize){24, 80});
	records_add(&job, ARROW_JOB_FLAGS, flags, sizeof(flags));
	records_add_text(&job, ARROW_JOB_ARG, "/rehearsal");
	if (how == REHEARSE_TRIAL)
		records_add_text(&job, ARROW_JOB_ARG, "trial");
	records_add_text(&job, ARROW_JOB_ENV,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	records_add_text(&job, ARROW_JOB_ENV, "HOSTNAME=rehearsal");
	records_add_text(&job, ARROW_JOB_CWD, "/");
	records_add_text(&job, ARROW_JOB_HOSTNAME, "rehearsal");
	records_add(&job, ARROW_JOB_MOUNT, mount, arrow_record_mount_size(&root));
	if (how == REHEARSE_WITH_SHARE) {
		arrow_record_encode_mount(mount, &share);
		records_add(&job, ARROW_JOB_MOUNT, mount, arrow_record_mount_size(&share));
	}
	records_add(&job, ARROW_JOB_CAPS, caps, sizeof(caps));
	arrow_record_encode_u64(shm_size, 64u << 20);
	records_add(&job, ARROW_JOB_SHM_SIZE, shm_size, sizeof(shm_size));
	records_add(&job, ARROW_JOB_SEED, seed, sizeof(seed));
	records_add(&job, ARROW_JOB_CLOCK, clock, sizeof(clock));
	records_add(&job, ARROW_JOB_MACHINE_ID, id, sizeof(id));
	if (terminal)
		records_add(&job, ARROW_JOB_WINSIZE, window, sizeof(window));

	r = how == REHEARSE_TRIAL ? 0 : rehearse_send(g, ARROW_CONTROL, ARROW_WARM, NULL, 0);
	if (r == 0 && how != REHEARSE_TRIAL)
		r = rehearse_await(g, ARROW_READY);
	if (r == 0)
		r = rehearse_send(g, ARROW_CONTROL, ARROW_JOB, job.data, job.size);
	if (r == 0)
		r = rehearse_send(g, ARROW_CONTROL, ARROW_JOB_END, NULL, 0);
	if (r == 0)
		r = rehearse_await(g, ARROW_STARTED);
	if (r == 0 && input)
		r = rehearse_send(g, ARROW_STREAM(1, 0), ARROW_DATA, "line\n", 5);
	if (r == 0 && input)
		r = rehearse_send(g, ARROW_STREAM(1, 0), ARROW_EOF, NULL, 0);
	if (r == 0)
		r = rehearse_await(g, ARROW_DONE);
	return r < 0 || how == REHEARSE_TRIAL ? r : rehearse_await(g, ARROW_READY);
}
