// SPDX-License-Identifier: Apache-2.0
/*
 * The frames of a keeper: what comes from the guest is checked and goes to the client, what comes
 * from the client goes to the guest, and the control frames of the loader move the keeper through
 * its phases.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "core/keeper_state.h"
#include "util/io.h"

void keeper_phase(struct keeper *k, enum phase phase, uint64_t deadline_ms)
{
	k->phase = phase;
	k->deadline = deadline_ms ? now_ms() + deadline_ms : 0;
}

void keeper_fail(struct keeper *k, int status, const char *fmt, ...)
{
	uint8_t payload[12 + ARROW_TEXT_MAX];
	va_list ap;
	int n;

	keeper_phase(k, OVER, 0);
	if (k->failed || k->exited)
		return;
	k->failed = true;
	arrow_put32(payload, 1);
	arrow_put32(payload + 4, (uint32_t)status);
	arrow_put32(payload + 8, 0);
	va_start(ap, fmt);
	n = vsnprintf((char *)payload + 12, ARROW_TEXT_MAX, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if (n >= (int)ARROW_TEXT_MAX)
		n = ARROW_TEXT_MAX - 1;
	/* A client that left no room does not read; it will see the end of the socket. */
	if (channel_send(&k->client, ARROW_CONTROL, ARROW_FAILED, payload, 12 + (size_t)n) < 0)
		k->failed = true;
}

/* A frame for the client. The poll loop reads from the guest only while there is room. */
static void to_client(
	struct keeper *k, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	if (channel_send(&k->client, stream, type, payload, length) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the client does not read");
}

void keeper_note(struct keeper *k, const char *what)
{
	char text[ARROW_TEXT_MAX];
	uint64_t us = now_us() - k->config->begin_us;
	int n;

	if (!k->config->spec->verbose)
		return;
	n = snprintf(text, sizeof(text), "%6llu.%llu ms  %s", (unsigned long long)(us / 1000),
		(unsigned long long)(us % 1000 / 100), what);
	to_client(k, ARROW_CONTROL, ARROW_NOTE, text, (size_t)n);
}

void keeper_hand_out(struct keeper *k, uint64_t deadline_ms)
{
	if (arrow_job_refresh(k->config->job) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "cannot describe the job: out of memory");
	else
		keeper_phase(k, HANDING, deadline_ms);
}

/*
 * The time is told at the moment it is asked for, so the guest's clock is wrong only by what the
 * question took. The first one comes between the job and the start of the program.
 */
static void tell_time(struct keeper *k, const uint8_t *asked)
{
	uint8_t payload[16];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	memcpy(payload, asked, 8);
	arrow_put64(payload + 8, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	if (channel_send(&k->guest, ARROW_CONTROL, ARROW_TIME, payload, sizeof(payload)) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
	k->timed = true;
}

static void guest_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	switch (f.type) {
	case ARROW_READY:
		if (k->phase != BOOTING || f.length != 4)
			break;
		if (arrow_get32(payload) != ARROW_PROTOCOL_VERSION) {
			keeper_fail(k, ARROW_STATUS_ERROR,
				"the guest speaks version %u of the protocol, not %u",
				arrow_get32(payload), ARROW_PROTOCOL_VERSION);
			return;
		}
		keeper_note(k, "the loader waits for its job");
		keeper_hand_out(k, BOOT_DEADLINE_MS);
		return;
	case ARROW_STARTED:
		if (k->phase != RUNNING || f.length != 8)
			break;
		k->started = true;
		keeper_phase(k, RUNNING, 0);
		keeper_note(k, "the program started");
		if (k->config->spec->timeout)
			k->time_limit = now_ms() + k->config->spec->timeout * 1000ull;
		to_client(k, f.stream, f.type, payload, f.length);
		return;
	case ARROW_FAILED:
		if (k->phase != RUNNING || f.length < 12)
			break;
		to_client(k, f.stream, f.type, payload, f.length);
		k->failed = true;
		keeper_phase(k, OVER, 0);
		return;
	case ARROW_EXITED:
		if (k->phase != RUNNING || f.length != sizeof(k->exit_frame))
			break;
		memcpy(k->exit_frame, payload, sizeof(k->exit_frame));
		k->exited = true;
		keeper_note(k, "the program ended");
		k->time_limit = 0;
		keeper_phase(k, ENDING, DONE_DEADLINE_MS);
		return;
	case ARROW_DONE:
		if (k->phase != ENDING)
			break;
		keeper_note(k, "its output is whole, its file systems are synced");
		keeper_phase(k, OVER, 0);
		return;
	case ARROW_TIME:
		if (f.length != 8 || k->phase == BOOTING)
			break;
		tell_time(k, payload);
		return;
	case ARROW_NOTE:
		to_client(k, f.stream, f.type, payload, f.length);
		return;
	default:
		break;
	}
	keeper_fail(k, ARROW_STATUS_ERROR, "the guest broke the protocol: frame %u in phase %d",
		f.type, (int)k->phase);
}

static void guest_frame(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);
	bool output = f.type == ARROW_DATA || f.type == ARROW_EOF;
	bool answer = f.type == ARROW_CREDIT || f.type == ARROW_CLOSED;

	if (f.stream == ARROW_CONTROL) {
		guest_control(k, f, payload);
		return;
	}
	if (ARROW_STREAM_PROCESS(f.stream) != 1 || (fd == 0 ? !answer : !output) || fd > 2 ||
		(f.type == ARROW_CREDIT && f.length != 4)) {
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest broke the protocol: frame %u on stream %u", f.type, f.stream);
		return;
	}
	if (f.type == ARROW_DATA && !k->closed[fd - 1])
		k->in_flight[fd - 1] += f.length;
	to_client(k, f.stream, f.type, payload, f.length);
}

static void client_frame(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);

	if (f.stream != ARROW_CONTROL && (fd == 1 || fd == 2)) {
		uint64_t *in_flight = &k->in_flight[fd - 1];

		if (f.type == ARROW_CLOSED)
			k->closed[fd - 1] = true;
		if (f.type == ARROW_CLOSED || (f.length == 4 && arrow_get32(payload) > *in_flight))
			*in_flight = 0;
		else if (f.length == 4)
			*in_flight -= arrow_get32(payload);
		if (k->phase == ENDING) /* a slow reader is not a stuck guest */
			keeper_phase(k, ENDING, DONE_DEADLINE_MS);
	}
	if (k->guest.fd < 0 || (k->phase != RUNNING && k->phase != ENDING))
		return;
	if (channel_send(&k->guest, f.stream, f.type, payload, f.length) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

void keeper_send_job(struct keeper *k)
{
	const struct arrow_job *job = k->config->job;

	while (k->phase == HANDING) {
		size_t n = job->size - k->job_sent;

		if (n > ARROW_FRAME_MAX)
			n = ARROW_FRAME_MAX;
		if (!channel_has_room(&k->guest, n))
			return;
		if (n == 0) {
			if (channel_send(&k->guest, ARROW_CONTROL, ARROW_JOB_END, NULL, 0) == 0)
				keeper_phase(k, RUNNING,
					k->template ? CLONE_DEADLINE_MS : BOOT_DEADLINE_MS);
			return;
		}
		if (channel_send(&k->guest, ARROW_CONTROL, ARROW_JOB, job->data + k->job_sent, n) <
			0)
			return;
		k->job_sent += n;
	}
}

static void pump(struct keeper *k, struct channel *from, struct channel *to,
	void (*take)(struct keeper *, struct arrow_frame, const uint8_t *))
{
	struct arrow_frame frame;
	const uint8_t *payload;

	while (k->phase != OVER && channel_has_room(to, ARROW_FRAME_MAX)) {
		int r = channel_next(from, &frame, &payload);

		if (r < 0)
			keeper_fail(k, ARROW_STATUS_ERROR,
				"the guest broke the protocol: a frame of %u bytes", frame.length);
		if (r <= 0)
			return;
		take(k, frame, payload);
	}
}

void keeper_relay_guest(struct keeper *k)
{
	pump(k, &k->guest, &k->client, guest_frame);
}

void keeper_relay_client(struct keeper *k)
{
	pump(k, &k->client, &k->guest, client_frame);
}
