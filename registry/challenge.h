/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_CHALLENGE_H
#define ARROW_REGISTRY_CHALLENGE_H

/*
 * What a registry asks for when it answers 401: the challenges of WWW-Authenticate (RFC 9110,
 * section 11.6.1; Docker's token authentication for the parameters of Bearer).
 */

#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

struct challenge {
	bool basic;    /* Basic is offered */
	bool bearer;   /* Bearer is offered, and has a realm */
	char *realm;   /* of Bearer: the URL that gives out tokens; owned, as are those below */
	char *service; /* or NULL */
	char *scope;   /* or NULL */
	char *error;   /* why a token that was sent is not enough, or NULL */
};

/*
 * Reads the value of one header of `size` bytes, which may hold several challenges, and adds to
 * what is known: the first Bearer with a realm counts. What is not understood is passed over.
 * Parameters with control characters or longer than 4 KiB are not taken.
 * Returns 0 or -ENOMEM.
 */
int challenge_add(struct challenge *c, const char *text, size_t size) ARROW_MUST_CHECK;

void challenge_release(struct challenge *c);
#define _cleanup_challenge_ __attribute__((cleanup(challenge_release)))

#endif
