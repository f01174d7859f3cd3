/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_FAILURE_H
#define ARROW_GUEST_FAILURE_H

#include <stdint.h>

#include "protocol/frame.h"

/* Why the job cannot be done, for ARROW_FAILED. */
struct failure {
	uint32_t status; /* 125, 126, 127 */
	int err;         /* a positive errno */
	char text[ARROW_TEXT_MAX - 64];
};

/* Fills it in, cutting text that is too long. "%m" prints err. Returns -err. */
int fail(struct failure *failure, uint32_t status, int err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The payload of FAILED, for a process. Returns its size. */
size_t failure_encode(
	uint8_t out[ARROW_FAILED_MAX], uint32_t process, const struct failure *failure);

#endif
