// SPDX-License-Identifier: Apache-2.0
#include "cli/output/human.h"

#include <stdlib.h>
#include <string.h>

#include "util/io.h"
#include "util/text.h"

char *human_size(unsigned long long bytes)
{
	char text[SIZE_TEXT];

	size_text(bytes, text);
	return strdup(text);
}

char *human_binary_size(unsigned long long bytes)
{
	char text[SIZE_TEXT];

	size_text_binary(bytes, text);
	return strdup(text);
}

char *human_age(const char *text, time_t now)
{
	static const struct {
		const char *name;
		long seconds, below;
	} units[] = {
		{"second", 1, 60},
		{"minute", 60, 60 * 60},
		{"hour", 3600, 48 * 3600},
		{"day", 86400, 14 * 86400},
		{"week", 7 * 86400, 60 * 86400},
		{"month", 30 * 86400, 2 * 365 * 86400},
		{"year", 365 * 86400, 0},
	};
	struct timespec then;
	long age, count;
	size_t i = 0;

	/* Year 1 is Go's time of nothing. */
	if (time_parse(text, &then) < 0 || strncmp(text, "0001-", 5) == 0)
		return strdup("N/A");
	age = (long)(now - then.tv_sec);
	if (age < 1)
		return strdup("Less than a second");
	while (units[i].below && age >= units[i].below)
		i++;
	count = age / units[i].seconds;
	if (count == 1 && i > 0 && i < 3)
		return path_format(i == 2 ? "About an %s" : "About a %s", units[i].name);
	return path_format("%ld %s%s", count, units[i].name, count == 1 ? "" : "s");
}

char *human_time(const char *text)
{
	return strlen(text) < 19 ? strdup("N/A")
				 : path_format("%.10s %.8s +0000 UTC", text, text + 11);
}

size_t human_width(const char *text, size_t size)
{
	size_t width = 0;

	for (size_t i = 0; i < size; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

size_t human_bytes(const char *text, size_t n)
{
	size_t at = 0;

	while (text[at] && n > 0) {
		at++;
		while (((unsigned char)text[at] & 0xc0) == 0x80)
			at++;
		n--;
	}
	return at;
}
