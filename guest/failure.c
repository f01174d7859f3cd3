// SPDX-License-Identifier: Apache-2.0
#include "guest/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

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
