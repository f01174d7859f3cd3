// SPDX-License-Identifier: Apache-2.0
#include "cli/output/print.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int cli_error(struct arrow_error *error)
{
	int status = error->status;

	fprintf(stderr, "arrow: %s\n", error->text ? error->text : "unknown error");
	arrow_error_clear(error);
	return status;
}

int cli_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "arrow: cannot write the output: %s\n", strerror(errno));
	return ARROW_STATUS_ERROR;
}

int cli_print_json(const json_t *json)
{
	if (!json || json_dumpf(json, stdout, JSON_INDENT(2)) < 0) {
		fputs("arrow: cannot print JSON: out of memory\n", stderr);
		return ARROW_STATUS_ERROR;
	}
	putchar('\n');
	return cli_flush();
}

char *cli_printable(char *text)
{
	for (char *c = text; c && *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return text;
}
