// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/spec/parse.h"

/* Linux's, as images mean it; glibc keeps the first two for itself. */
#define RTMIN 34u
#define RTMAX 64u

static int signal_parse_realtime(const char *text, uint32_t *number)
{
	uint32_t base = strncmp(text, "RTMIN", 5) == 0 ? RTMIN : RTMAX;
	unsigned long n = 0;
	char *end;

	if (strncmp(text, "RTMIN", 5) != 0 && strncmp(text, "RTMAX", 5) != 0)
		return -EINVAL;
	text += 5;
	if (*text) {
		if (*text != (base == RTMIN ? '+' : '-') || text[1] < '0' || text[1] > '9')
			return -EINVAL;
		n = strtoul(text + 1, &end, 10);
		if (*end || n > RTMAX - RTMIN)
			return -EINVAL;
	}
	*number = base == RTMIN ? base + (uint32_t)n : base - (uint32_t)n;
	return 0;
}

int arrow_parse_signal(const char *text, uint32_t *number, struct arrow_error *error)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	unsigned long n;
	char *end;

	if (*text >= '0' && *text <= '9') {
		n = strtoul(text, &end, 10);
		if (!*end && n > 0 && n <= RTMAX) {
			*number = (uint32_t)n;
			return 0;
		}
	}
	for (uint32_t i = 1; i < RTMIN; i++) {
		const char *known = sigabbrev_np((int)i);

		if (known && strcasecmp(known, name) == 0) {
			*number = i;
			return 0;
		}
	}
	if (signal_parse_realtime(name, number) == 0)
		return 0;
	return arrow_fail(error, EINVAL, "unknown signal '%.64s'", text);
}
