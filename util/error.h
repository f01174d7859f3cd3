/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_ERROR_H
#define ARROW_UTIL_ERROR_H

/*
 * The error object that every fallible function of Arrow takes as its last argument.
 *
 * Rules: a function that succeeds returns 0 (or a value >= 0) and leaves the object alone; one
 * that fails returns a negative errno and has set it exactly once. The text is one line for the
 * user: what failed, on what, why, and what to do. It has no prefix and no newline.
 */

#define ARROW_MUST_CHECK __attribute__((warn_unused_result))
#define ARROW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Exit statuses of `arrow run`, as Docker has them. */
enum arrow_status {
	ARROW_STATUS_ERROR = 125,     /* Arrow itself failed */
	ARROW_STATUS_NOT_EXEC = 126,  /* the program is there and cannot be executed */
	ARROW_STATUS_NOT_FOUND = 127, /* there is no such program */
};

struct arrow_error {
	int status; /* exit status that the command line should end with */
	char *text; /* owned; NULL while no error is set */
};

#define ARROW_ERROR_INIT                                                                           \
	{                                                                                          \
		.status = ARROW_STATUS_ERROR, .text = NULL                                         \
	}

/*
 * Sets the error and returns -err. err is a positive errno; 0 becomes EINVAL, so that a failure
 * never looks like a success. A "%m" in fmt prints strerror(err).
 */
int arrow_fail(struct arrow_error *error, int err, const char *fmt, ...) ARROW_PRINTF(3, 4);

/* The same with an exit status of its own (126, 127). */
int arrow_fail_status(struct arrow_error *error, int status, int err, const char *fmt, ...)
	ARROW_PRINTF(4, 5);

/* Sets "out of memory" and returns -ENOMEM. */
int arrow_no_memory(struct arrow_error *error);

/* Puts "prefix: " in front of the text of an error that is set. Returns err unchanged. */
int arrow_error_prefix(struct arrow_error *error, int err, const char *fmt, ...) ARROW_PRINTF(3, 4);

/* Frees the text; the object can be used again. */
void arrow_error_clear(struct arrow_error *error);

#ifdef __clang_analyzer__
/* The analyzer does not look into error.c: tell it that a failure is negative. */
#define arrow_fail(...) ((void)(arrow_fail)(__VA_ARGS__), -1)
#define arrow_no_memory(error) ((void)(arrow_no_memory)(error), -1)
#endif

#define _cleanup_error_ __attribute__((cleanup(arrow_error_clear)))

#endif
