/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_HEX_H
#define ARROW_UTIL_HEX_H

#include <stddef.h>

#include "util/error.h"

/* Bytes as hexadecimal digits, as ids and digests are written. */

/* Writes 2 * n small digits and a NUL. */
void hex_encode(const void *data, size_t n, char *hex);

/* Reads 2 * n digits, small or capital, whatever comes behind them. Returns 0 or -EINVAL. */
int hex_decode(const char *hex, void *data, size_t n) ARROW_MUST_CHECK;

/* A new id of n random bytes: 2 * n digits and a NUL. Returns 0, or -EIO without random numbers. */
int hex_random(char *hex, size_t n) ARROW_MUST_CHECK;

#endif
