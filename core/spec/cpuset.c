// SPDX-License-Identifier: Apache-2.0
#include "core/spec/cpuset.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

static int cpuset_parse_number(const char **text, unsigned long *n)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	errno = 0;
	*n = strtoul(*text, &end, 10);
	*text = end;
	return errno || *n >= CPU_SETSIZE ? -EINVAL : 0;
}

int arrow_cpuset_parse(const char *text, cpu_set_t *set)
{
	CPU_ZERO(set);
	for (;;) {
		unsigned long first, last;

		if (cpuset_parse_number(&text, &first) < 0)
			return -EINVAL;
		last = first;
		if (*text == '-') {
			text++;
			if (cpuset_parse_number(&text, &last) < 0 || last < first)
				return -EINVAL;
		}
		for (unsigned long n = first; n <= last; n++)
			CPU_SET(n, set);
		if (*text == '\0')
			return 0;
		if (*text++ != ',')
			return -EINVAL;
	}
}
