// SPDX-License-Identifier: Apache-2.0
#include "guest/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fail(struct failure *failure, uint32_t status, int err, const char *fmt, ...)
{
	va_list args;

	failure->status = status;
	failure->err = err;
	va_start(args, fmt);
	errno = err; /* for %m */
	vsnprintf(failure->text, sizeof(failure->text), fmt, args);
	va_end(args);
	return -err;
}

size_t failure_encode(
	uint8_t out[ARROW_FAILED_MAX], uint32_t process, const struct failure *failure)
{
	return arrow_failed_encode(out, &(struct arrow_failed){
						.process = process,
						.status = failure->status,
						.err = (uint32_t)failure->err,
						.text = failure->text,
						.length = strlen(failure->text),
					});
}
