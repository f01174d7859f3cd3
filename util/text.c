// SPDX-License-Identifier: Apache-2.0
#include "util/text.h"

#include <errno.h>
#include <stdio.h>

/* The bytes of the character at text, 0 for what is none of UTF-8 (RFC 3629). */
static size_t text_character(const unsigned char *text)
{
	size_t n = text[0] < 0x80   ? 1
		   : text[0] < 0xc2 ? 0
		   : text[0] < 0xe0 ? 2
		   : text[0] < 0xf0 ? 3
				    : 4;

	if (text[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Longer forms of shorter characters, surrogates, and what is beyond Unicode. */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
		(text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return n;
}

static char *clean_text(char *text, bool lines)
{
	const unsigned char *from = (const unsigned char *)text;
	char *to = text;

	while (from && *from) {
		size_t n = text_character(from);

		if (*from == '\t' && !lines) {
			*to++ = ' ';
		} else if ((*from == '\t' || *from == '\n') && lines) {
			*to++ = (char)*from;
		} else if (n == 0 || *from < ' ' || *from == 0x7f ||
			   (*from == 0xc2 && from[1] < 0xa0)) {
			*to++ = '?';
		} else {
			memmove(to, from, n);
			to += n;
		}
		from += n ? n : 1;
	}
	if (to)
		*to = '\0';
	return text;
}

char *text_clean(char *text)
{
	return clean_text(text, false);
}

char *text_clean_lines(char *text)
{
	return clean_text(text, true);
}

int text_parse_bool(const char *text)
{
	static const char *const words[2][6] = {{"0", "f", "F", "false", "False", "FALSE"},
		{"1", "t", "T", "true", "True", "TRUE"}};

	if (!text)
		return 1;
	for (int yes = 0; yes < 2; yes++)
		for (size_t i = 0; i < sizeof(words[0]) / sizeof(*words[0]); i++)
			if (strcmp(text, words[yes][i]) == 0)
				return yes;
	return -EINVAL;
}

/* How many of the largest unit that fits; each of n units is `base` times the one before. */
static double scale_size(uint64_t bytes, double base, size_t n, size_t *unit)
{
	double size = (double)bytes;

	for (*unit = 0; size >= base && *unit + 1 < n; ++*unit)
		size /= base;
	return size;
}

void size_text(uint64_t bytes, char text[SIZE_TEXT])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	size_t unit;
	double size = scale_size(bytes, 1000, sizeof(units) / sizeof(*units), &unit);

	snprintf(text, SIZE_TEXT, "%.3g%s", size, units[unit]);
}

void size_text_binary(uint64_t bytes, char text[SIZE_TEXT])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t unit;
	double size = scale_size(bytes, 1024, sizeof(units) / sizeof(*units), &unit);

	snprintf(text, SIZE_TEXT, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}
