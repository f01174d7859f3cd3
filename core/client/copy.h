/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_COPY_H
#define ARROW_CORE_CLIENT_COPY_H

/* Files between an Arrow that runs and its host, by Docker's rules for names and directories. */

#include <stdbool.h>

#include "util/error.h"
#include "util/paths.h"

struct arrow_copy {
	const char *name;  /* of the Arrow, or its id */
	const char *guest; /* path in it; one that is not absolute begins at / */
	const char *host;  /* path here; "-" for a tar on stdin or stdout */
	bool owners;       /* keep users and groups, by number; else they are the receiver's */
	bool follow;       /* the source itself, where it is a link */
};

/* Errors: with exit status 1, as Docker has them. */
int arrow_copy_out(const struct arrow_paths *paths, const struct arrow_copy *copy,
	struct arrow_error *error) ARROW_MUST_CHECK;
int arrow_copy_in(const struct arrow_paths *paths, const struct arrow_copy *copy,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
