// SPDX-License-Identifier: Apache-2.0
#include "util/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

static int error_set(struct arrow_error *error, int status, int err, const char *fmt, va_list ap)
{
	if (err <= 0)
		err = EINVAL;

	/* A second error on top of a first one would hide the cause. */
	assert(!error->text);

	errno = err; /* for %m */
	if (vasprintf(&error->text, fmt, ap) < 0)
		error->text = strdup(strerror(err));
	/* Names of files may hold anything; the text stays one line, and no terminal obeys it. */
	text_clean(error->text);
	error->status = status;
	return -err;
}

int(arrow_fail)(struct arrow_error *error, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err = error_set(error, ARROW_STATUS_ERROR, err, fmt, ap);
	va_end(ap);
	return err;
}

int arrow_fail_status(struct arrow_error *error, int status, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err = error_set(error, status, err, fmt, ap);
	va_end(ap);
	return err;
}

int(arrow_no_memory)(struct arrow_error *error)
{
	return (arrow_fail)(error, ENOMEM, "out of memory");
}

int arrow_error_prefix(struct arrow_error *error, int err, const char *fmt, ...)
{
	char *prefix = NULL, *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&prefix, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err;

	n = asprintf(&text, "%s: %s", prefix, error->text ? error->text : strerror(-err));
	free(prefix);
	if (n < 0)
		return err;

	text_clean(text);
	free(error->text);
	error->text = text;
	return err;
}

void arrow_error_clear(struct arrow_error *error)
{
	free(error->text);
	error->text = NULL;
	error->status = ARROW_STATUS_ERROR;
}
