/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_TEXT_H
#define ARROW_UTIL_TEXT_H

#include <stdbool.h>
#include <string.h>

#include "util/error.h"

/* Copies text with its NUL into size bytes. Returns false if it does not fit: nothing is copied. */
ARROW_MUST_CHECK static inline bool text_copy(char *to, size_t size, const char *text)
{
	size_t n = strlen(text) + 1;

	if (n > size)
		return false;
	memcpy(to, text, n);
	return true;
}

#endif
