// SPDX-License-Identifier: Apache-2.0
#include "util/text.h"

#include <stdio.h>

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
