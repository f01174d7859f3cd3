/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PROTOCOL_FRAME_H
#define ARROW_PROTOCOL_FRAME_H

/*
 * Frames of the channel and their payloads (docs/protocol.md, "Frames" and "The control stream"):
 * one encoder and one decoder for each, for host and guest.
 *
 * An encoder writes exactly the bytes that its array says, or returns how many. A decoder gets the
 * payload as it came, with its length, reads nothing beyond that, checks the length and the range
 * of every number, and returns 0 or -EPROTO; then *out is not to be used. Text and data that a
 * decoder finds stay where they are and have no NUL behind them. Frames without a payload, and DATA
 * and NOTE, whose payload is what it is, need neither.
 */

#include <stddef.h>

#include "protocol/protocol.h"

#define ARROW_SIGNAL_MAX 64u

struct arrow_frame {
	uint16_t stream;
	uint16_t type;
	uint32_t length; /* of the payload */
};

void arrow_frame_encode(uint8_t out[ARROW_FRAME_HEADER], struct arrow_frame frame);

/* Refuses a frame that is too long, with its length in *frame. */
int arrow_frame_decode(const uint8_t in[ARROW_FRAME_HEADER], struct arrow_frame *frame);

/* The payloads of one u32: CREDIT, READY, ATTACH, KILL, RELOAD, EXEC_END. */
#define ARROW_NUMBER_BYTES 4u
void arrow_number_encode(uint8_t out[ARROW_NUMBER_BYTES], uint32_t number);

int arrow_credit_decode(const uint8_t *in, size_t length, uint32_t *bytes); /* 0...ARROW_WINDOW */
int arrow_ready_decode(const uint8_t *in, size_t length, uint32_t *version);
int arrow_attach_decode(const uint8_t *in, size_t length, uint32_t *streams); /* bits 0 to 2 */
int arrow_kill_decode(const uint8_t *in, size_t length, uint32_t *signal);    /* 1...64 */
int arrow_reload_decode(const uint8_t *in, size_t length, uint32_t *mib);
int arrow_exec_end_decode(const uint8_t *in, size_t length, uint32_t *process);

/* EXEC: this head, then records. */
#define ARROW_EXEC_HEAD 4u
struct arrow_exec_piece {
	uint32_t process;
	const uint8_t *records;
	size_t size;
};
void arrow_exec_encode(uint8_t out[ARROW_EXEC_HEAD], uint32_t process);
int arrow_exec_decode(const uint8_t *in, size_t length, struct arrow_exec_piece *out);

#define ARROW_SIGNAL_BYTES 8u
struct arrow_signal {
	uint32_t process;
	uint32_t signal; /* 1...64 */
};
void arrow_signal_encode(uint8_t out[ARROW_SIGNAL_BYTES], const struct arrow_signal *signal);
int arrow_signal_decode(const uint8_t *in, size_t length, struct arrow_signal *out);

#define ARROW_WINSIZE_BYTES 8u
struct arrow_winsize {
	uint32_t process;
	uint16_t rows, columns;
};
void arrow_winsize_encode(uint8_t out[ARROW_WINSIZE_BYTES], const struct arrow_winsize *size);
int arrow_winsize_decode(const uint8_t *in, size_t length, struct arrow_winsize *out);

/* TIME: the question is the first number alone, the answer both. */
#define ARROW_TIME_QUESTION_BYTES 8u
#define ARROW_TIME_BYTES 16u
struct arrow_time {
	uint64_t guest; /* monotonic ns; 0 in what asks the guest to ask */
	uint64_t host;  /* ns since 1970 */
};
void arrow_time_question_encode(uint8_t out[ARROW_TIME_QUESTION_BYTES], uint64_t guest);
int arrow_time_question_decode(const uint8_t *in, size_t length, uint64_t *guest);
void arrow_time_encode(uint8_t out[ARROW_TIME_BYTES], const struct arrow_time *time);

/* The answer to a question, with the time of day of this moment. */
void arrow_time_answer_encode(uint8_t out[ARROW_TIME_BYTES], uint64_t asked);
int arrow_time_decode(const uint8_t *in, size_t length, struct arrow_time *out);

#define ARROW_STARTED_BYTES 8u
struct arrow_started {
	uint32_t process;
	uint32_t pid;
};
void arrow_started_encode(uint8_t out[ARROW_STARTED_BYTES], const struct arrow_started *started);
int arrow_started_decode(const uint8_t *in, size_t length, struct arrow_started *out);

#define ARROW_EXITED_BYTES 12u
struct arrow_exited {
	uint32_t process;
	uint32_t how;   /* enum arrow_exit */
	uint32_t value; /* a status of 0...255, or a signal of 1...64 */
};
void arrow_exited_encode(uint8_t out[ARROW_EXITED_BYTES], const struct arrow_exited *exited);
int arrow_exited_decode(const uint8_t *in, size_t length, struct arrow_exited *out);

/* The exit status that shells and Docker show: 128+n for signal n. */
int arrow_exited_status(const struct arrow_exited *exited);

#define ARROW_FAILED_HEAD 12u
#define ARROW_FAILED_MAX (ARROW_FAILED_HEAD + ARROW_TEXT_MAX)
struct arrow_failed {
	uint32_t process;
	uint32_t status; /* 1...255 */
	uint32_t err;    /* errno or 0 */
	const char *text;
	size_t length; /* bytes of it; what is beyond ARROW_TEXT_MAX is not sent */
};
size_t arrow_failed_encode(uint8_t out[ARROW_FAILED_MAX], const struct arrow_failed *failed);
int arrow_failed_decode(const uint8_t *in, size_t length, struct arrow_failed *out);

#define ARROW_SAVED_BYTES 8u
struct arrow_saved_frame {
	uint32_t err;        /* errno or 0 */
	uint32_t stdin_open; /* 0 or 1 */
};
void arrow_saved_encode(uint8_t out[ARROW_SAVED_BYTES], const struct arrow_saved_frame *saved);
int arrow_saved_decode(const uint8_t *in, size_t length, struct arrow_saved_frame *out);

/* STOP and RESTART. */
#define ARROW_STOP_BYTES 8u
struct arrow_stop_request {
	uint32_t signal;  /* 0: the Arrow's own; up to 64 */
	uint32_t seconds; /* until SIGKILL */
};
void arrow_stop_encode(uint8_t out[ARROW_STOP_BYTES], const struct arrow_stop_request *stop);
int arrow_stop_decode(const uint8_t *in, size_t length, struct arrow_stop_request *out);

/* SNAPSHOT: this head, then the path, which has neither a NUL nor one behind it. */
#define ARROW_SNAPSHOT_HEAD 4u
#define ARROW_SNAPSHOT_PATH_MAX 4095u
struct arrow_snapshot_request {
	uint32_t stay; /* 0 or 1 */
	const char *path;
	size_t length;
};
void arrow_snapshot_encode(uint8_t out[ARROW_SNAPSHOT_HEAD], uint32_t stay);
int arrow_snapshot_decode(const uint8_t *in, size_t length, struct arrow_snapshot_request *out);

/* ANSWER: this head, then the text of an error, or data. */
#define ARROW_ANSWER_HEAD 8u
struct arrow_answer {
	uint32_t request; /* type of the frame that it answers */
	uint32_t err;     /* errno or 0 */
	const uint8_t *data;
	size_t size;
};
void arrow_answer_encode(uint8_t out[ARROW_ANSWER_HEAD], uint32_t request, uint32_t err);
int arrow_answer_decode(const uint8_t *in, size_t length, struct arrow_answer *out);

#endif
