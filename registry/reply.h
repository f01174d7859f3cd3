/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_REPLY_H
#define ARROW_REGISTRY_REPLY_H

/* What an answer means: whether to try again, and what to tell the user. */

#include "registry/session.h"

/* How often something was tried. Starts as all zeros. */
struct attempts {
	unsigned int n;
	int64_t wait_s; /* what the last answer asked for by Retry-After */
};

/* After a failure that may pass: waits, longer each time, and returns whether to try again. */
bool attempts_again(struct attempts *a, const struct registry_options *options);

/* Whether a status is one of success. Registries differ in which of them they send. */
bool reply_is_success(int status);

/* Whether a status is of a failure that may pass: too many requests, a gateway that is down. */
bool reply_may_pass(int status);

/* "HOST answered 500 Internal: words", with what to do for the statuses that are known. */
int registry_fail(const struct registry *r, const char *what, const struct http_reply *reply,
	struct arrow_error *error);

#endif
