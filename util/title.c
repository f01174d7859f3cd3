// SPDX-License-Identifier: Apache-2.0
#include "util/title.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "util/cleanup.h"
#include "util/io.h"

/* From the state of the process, field 3 of proc(5), to arg_start and arg_end. */
#define FIELDS_TO_ARG_START 45
#define FIELDS_TO_ARG_END 46

/* Where the kernel has put the arguments of this process, and how many bytes there are. */
static char *title_find_arguments(size_t *size)
{
	_cleanup_free_ char *text = NULL;
	uintptr_t start = 0, end = 0;
	char *field;

	if (read_file(AT_FDCWD, "/proc/self/stat", 4096, &text, NULL) < 0)
		return NULL;
	field = strrchr(text, ')');
	for (int i = 0; field && i <= FIELDS_TO_ARG_END; i++) {
		field = strchr(field + 1, ' ');
		if (field && i == FIELDS_TO_ARG_START)
			start = strtoull(field + 1, NULL, 10);
		if (field && i == FIELDS_TO_ARG_END)
			end = strtoull(field + 1, NULL, 10);
	}
	*size = end - start;
	return start && end > start ? (char *)start : NULL;
}

void title_set(const char *name, const char *detail)
{
	size_t size;
	char *arguments = title_find_arguments(&size);

	prctl(PR_SET_NAME, name);
	if (!arguments)
		return;
	/* The last byte stays 0: else the kernel shows what lies behind, the environment, too. */
	memset(arguments, 0, size);
	snprintf(arguments, size, "%s%s%s", name, detail ? " " : "", detail ? detail : "");
}
