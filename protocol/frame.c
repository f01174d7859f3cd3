// SPDX-License-Identifier: Apache-2.0
#include "protocol/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

static bool is_process(uint32_t number)
{
	return number >= 1 && number <= ARROW_PROCESSES;
}

void arrow_frame_encode(uint8_t out[ARROW_FRAME_HEADER], struct arrow_frame f)
{
	arrow_put16(out, f.stream);
	arrow_put16(out + 2, f.type);
	arrow_put32(out + 4, f.length);
}

int arrow_frame_decode(const uint8_t in[ARROW_FRAME_HEADER], struct arrow_frame *f)
{
	f->stream = arrow_get16(in);
	f->type = arrow_get16(in + 2);
	f->length = arrow_get32(in + 4);
	return f->length <= ARROW_FRAME_MAX ? 0 : -EPROTO;
}

void arrow_number_encode(uint8_t out[ARROW_NUMBER_BYTES], uint32_t number)
{
	arrow_put32(out, number);
}

static int number_decode(
	const uint8_t *in, size_t length, uint32_t least, uint32_t most, uint32_t *number)
{
	if (length != ARROW_NUMBER_BYTES)
		return -EPROTO;
	*number = arrow_get32(in);
	return *number >= least && *number <= most ? 0 : -EPROTO;
}

int arrow_credit_decode(const uint8_t *in, size_t length, uint32_t *bytes)
{
	return number_decode(in, length, 0, ARROW_WINDOW, bytes);
}

int arrow_ready_decode(const uint8_t *in, size_t length, uint32_t *version)
{
	return number_decode(in, length, 0, UINT32_MAX, version);
}

int arrow_attach_decode(const uint8_t *in, size_t length, uint32_t *streams)
{
	return number_decode(in, length, 0, 7, streams);
}

int arrow_kill_decode(const uint8_t *in, size_t length, uint32_t *signal)
{
	return number_decode(in, length, 1, ARROW_SIGNAL_MAX, signal);
}

int arrow_reload_decode(const uint8_t *in, size_t length, uint32_t *mib)
{
	return number_decode(in, length, 0, UINT32_MAX, mib);
}

int arrow_exec_end_decode(const uint8_t *in, size_t length, uint32_t *process)
{
	return number_decode(in, length, 1, ARROW_PROCESSES, process);
}

void arrow_exec_encode(uint8_t out[ARROW_EXEC_HEAD], uint32_t process)
{
	arrow_put32(out, process);
}

int arrow_exec_decode(const uint8_t *in, size_t length, struct arrow_exec_piece *out)
{
	if (length < ARROW_EXEC_HEAD)
		return -EPROTO;
	out->process = arrow_get32(in);
	out->records = in + ARROW_EXEC_HEAD;
	out->size = length - ARROW_EXEC_HEAD;
	return is_process(out->process) ? 0 : -EPROTO;
}

void arrow_signal_encode(uint8_t out[ARROW_SIGNAL_BYTES], const struct arrow_signal *s)
{
	arrow_put32(out, s->process);
	arrow_put32(out + 4, s->signal);
}

int arrow_signal_decode(const uint8_t *in, size_t length, struct arrow_signal *out)
{
	if (length != ARROW_SIGNAL_BYTES)
		return -EPROTO;
	out->process = arrow_get32(in);
	out->signal = arrow_get32(in + 4);
	return is_process(out->process) && out->signal >= 1 && out->signal <= ARROW_SIGNAL_MAX
		       ? 0
		       : -EPROTO;
}

void arrow_winsize_encode(uint8_t out[ARROW_WINSIZE_BYTES], const struct arrow_winsize *w)
{
	arrow_put32(out, w->process);
	arrow_put16(out + 4, w->rows);
	arrow_put16(out + 6, w->columns);
}

int arrow_winsize_decode(const uint8_t *in, size_t length, struct arrow_winsize *out)
{
	if (length != ARROW_WINSIZE_BYTES)
		return -EPROTO;
	out->process = arrow_get32(in);
	out->rows = arrow_get16(in + 4);
	out->columns = arrow_get16(in + 6);
	return is_process(out->process) ? 0 : -EPROTO;
}

void arrow_time_question_encode(uint8_t out[ARROW_TIME_QUESTION_BYTES], uint64_t guest)
{
	arrow_put64(out, guest);
}

int arrow_time_question_decode(const uint8_t *in, size_t length, uint64_t *guest)
{
	if (length != ARROW_TIME_QUESTION_BYTES)
		return -EPROTO;
	*guest = arrow_get64(in);
	return 0;
}

void arrow_time_encode(uint8_t out[ARROW_TIME_BYTES], const struct arrow_time *t)
{
	arrow_put64(out, t->guest);
	arrow_put64(out + 8, t->host);
}

void arrow_time_answer_encode(uint8_t out[ARROW_TIME_BYTES], uint64_t asked)
{
	struct arrow_time time = {.guest = asked};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time.host = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	arrow_time_encode(out, &time);
}

int arrow_time_decode(const uint8_t *in, size_t length, struct arrow_time *out)
{
	if (length != ARROW_TIME_BYTES)
		return -EPROTO;
	out->guest = arrow_get64(in);
	out->host = arrow_get64(in + 8);
	return out->host <= INT64_MAX ? 0 : -EPROTO;
}

void arrow_started_encode(uint8_t out[ARROW_STARTED_BYTES], const struct arrow_started *s)
{
	arrow_put32(out, s->process);
	arrow_put32(out + 4, s->pid);
}

int arrow_started_decode(const uint8_t *in, size_t length, struct arrow_started *out)
{
	if (length != ARROW_STARTED_BYTES)
		return -EPROTO;
	out->process = arrow_get32(in);
	out->pid = arrow_get32(in + 4);
	return is_process(out->process) && out->pid <= INT32_MAX ? 0 : -EPROTO;
}

void arrow_exited_encode(uint8_t out[ARROW_EXITED_BYTES], const struct arrow_exited *e)
{
	arrow_put32(out, e->process);
	arrow_put32(out + 4, e->how);
	arrow_put32(out + 8, e->value);
}

int arrow_exited_decode(const uint8_t *in, size_t length, struct arrow_exited *out)
{
	if (length != ARROW_EXITED_BYTES)
		return -EPROTO;
	out->process = arrow_get32(in);
	out->how = arrow_get32(in + 4);
	out->value = arrow_get32(in + 8);
	if (!is_process(out->process) || out->how > ARROW_EXIT_OOM)
		return -EPROTO;
	if (out->how == ARROW_EXIT_STATUS)
		return out->value <= 255 ? 0 : -EPROTO;
	return out->value >= 1 && out->value <= ARROW_SIGNAL_MAX ? 0 : -EPROTO;
}

int arrow_exited_status(const struct arrow_exited *e)
{
	return (int)e->value + (e->how == ARROW_EXIT_STATUS ? 0 : 128);
}

size_t arrow_failed_encode(uint8_t out[ARROW_FAILED_MAX], const struct arrow_failed *f)
{
	size_t length = f->length < ARROW_TEXT_MAX ? f->length : ARROW_TEXT_MAX;

	arrow_put32(out, f->process);
	arrow_put32(out + 4, f->status);
	arrow_put32(out + 8, f->err);
	if (length > 0)
		memcpy(out + ARROW_FAILED_HEAD, f->text, length);
	return ARROW_FAILED_HEAD + length;
}

int arrow_failed_decode(const uint8_t *in, size_t length, struct arrow_failed *out)
{
	if (length < ARROW_FAILED_HEAD || length > ARROW_FAILED_MAX)
		return -EPROTO;
	out->process = arrow_get32(in);
	out->status = arrow_get32(in + 4);
	out->err = arrow_get32(in + 8);
	out->text = (const char *)in + ARROW_FAILED_HEAD;
	out->length = length - ARROW_FAILED_HEAD;
	return is_process(out->process) && out->status >= 1 && out->status <= 255 &&
			       out->err <= ARROW_ERRNO_MAX
		       ? 0
		       : -EPROTO;
}

void arrow_saved_encode(uint8_t out[ARROW_SAVED_BYTES], const struct arrow_saved_frame *s)
{
	arrow_put32(out, s->err);
	arrow_put32(out + 4, s->stdin_open);
}

int arrow_saved_decode(const uint8_t *in, size_t length, struct arrow_saved_frame *out)
{
	if (length != ARROW_SAVED_BYTES)
		return -EPROTO;
	out->err = arrow_get32(in);
	out->stdin_open = arrow_get32(in + 4);
	return out->err <= ARROW_ERRNO_MAX && out->stdin_open <= 1 ? 0 : -EPROTO;
}

void arrow_stop_encode(uint8_t out[ARROW_STOP_BYTES], const struct arrow_stop_request *s)
{
	arrow_put32(out, s->signal);
	arrow_put32(out + 4, s->seconds);
}

int arrow_stop_decode(const uint8_t *in, size_t length, struct arrow_stop_request *out)
{
	if (length != ARROW_STOP_BYTES)
		return -EPROTO;
	out->signal = arrow_get32(in);
	out->seconds = arrow_get32(in + 4);
	return out->signal <= ARROW_SIGNAL_MAX ? 0 : -EPROTO;
}

void arrow_snapshot_encode(uint8_t out[ARROW_SNAPSHOT_HEAD], uint32_t stay)
{
	arrow_put32(out, stay);
}

int arrow_snapshot_decode(const uint8_t *in, size_t length, struct arrow_snapshot_request *out)
{
	if (length <= ARROW_SNAPSHOT_HEAD || length > ARROW_SNAPSHOT_HEAD + ARROW_SNAPSHOT_PATH_MAX)
		return -EPROTO;
	out->stay = arrow_get32(in);
	out->path = (const char *)in + ARROW_SNAPSHOT_HEAD;
	out->length = length - ARROW_SNAPSHOT_HEAD;
	return out->stay <= 1 && !memchr(out->path, '\0', out->length) ? 0 : -EPROTO;
}

void arrow_answer_encode(uint8_t out[ARROW_ANSWER_HEAD], uint32_t request, uint32_t err)
{
	arrow_put32(out, request);
	arrow_put32(out + 4, err);
}

int arrow_answer_decode(const uint8_t *in, size_t length, struct arrow_answer *out)
{
	if (length < ARROW_ANSWER_HEAD)
		return -EPROTO;
	out->request = arrow_get32(in);
	out->err = arrow_get32(in + 4);
	out->data = in + ARROW_ANSWER_HEAD;
	out->size = length - ARROW_ANSWER_HEAD;
	return out->request <= UINT16_MAX && out->err <= ARROW_ERRNO_MAX ? 0 : -EPROTO;
}
