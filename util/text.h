/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_TEXT_H
#define ARROW_UTIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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

/*
 * Makes a text of a guest, an image or a registry fit for a terminal, in place: control characters
 * (C0, DELETE, and C1 as UTF-8) and what is not UTF-8 become '?', a tab a space, so that it stays
 * one line and moves no cursor. Returns text, which may be NULL.
 */
char *text_clean(char *text);

/* The same, but line breaks and tabs stay. */
char *text_clean_lines(char *text);

/*
 * A truth value, as Docker takes one (Go's strconv.ParseBool): 1, 0, or -EINVAL for another word.
 * NULL stands for an option or key without a value, which is true.
 */
int text_parse_bool(const char *text) ARROW_MUST_CHECK;

/* Bytes in decimal units with three digits, as Docker shows them: "512B", "1.34MB". */
#define SIZE_TEXT 16
void size_text(uint64_t bytes, char text[SIZE_TEXT]);

/* The same in binary units with one decimal: "512 B", "1.3 MiB". */
void size_text_binary(uint64_t bytes, char text[SIZE_TEXT]);

#endif
