/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_DIGEST_H
#define ARROW_UTIL_DIGEST_H

#include <stddef.h>

#include "util/error.h"

#define DIGEST_HEX 65 /* 64 digits and a NUL */

struct digest; /* a SHA-256 in the making */

/* Returns NULL when out of memory; freed by digest_end(). */
struct digest *digest_begin(void) ARROW_MUST_CHECK;
void digest_add(struct digest *d, const void *data, size_t size);
/* Ends and frees it. */
void digest_end(struct digest *d, char hex[DIGEST_HEX]);

/* SHA-256 of memory. Returns 0 or a negative errno. */
int digest_data(const void *data, size_t size, char hex[DIGEST_HEX]) ARROW_MUST_CHECK;

/* SHA-256 of a file from its start; the file offset does not move. 0 or a negative errno. */
int digest_fd(int fd, char hex[DIGEST_HEX]) ARROW_MUST_CHECK;

/*
 * SHA-256 of a file whose zeros do not count, be they holes or not: of all blocks of 64 KiB that
 * have another byte, with their places, and of its size. Returns 0 or a negative errno.
 */
int digest_sparse(int fd, char hex[DIGEST_HEX]) ARROW_MUST_CHECK;

#endif
