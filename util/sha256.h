/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_SHA256_H
#define ARROW_UTIL_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256 (FIPS 180-4) of memory, for little of it: see digest.h. */
void sha256(const void *data, size_t size, uint8_t sum[32]);

#endif
