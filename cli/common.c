// SPDX-License-Identifier: Apache-2.0
/* What all commands need. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

void cli_parse(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input)
{
	error_t r;

	argp_err_exit_status = ARROW_STATUS_ERROR;
	r = argp_parse(argp, argc, argv, flags, NULL, input);
	if (r) {
		fprintf(stderr, "arrow: %s\n", strerror(r));
		exit(ARROW_STATUS_ERROR);
	}
}

int cli_error(struct arrow_error *error)
{
	int status = error->status;

	fprintf(stderr, "arrow: %s\n", error->text ? error->text : "unknown error");
	arrow_error_clear(error);
	return status;
}
