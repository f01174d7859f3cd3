// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "core/client/exec.h"
#include "util/cleanup.h"
#include "util/text.h"

#define RECORD_MAX 8192           /* bytes: a letter, a space and a path */
#define ANSWER_MAX (256ull << 20) /* bytes of all records: millions of paths */

static error_t diff_parse(int key, char *arg, struct argp_state *state)
{
	const char **name = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			cli_argument_error(state, "takes one Arrow");
		*name = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		cli_argument_error(state, "requires an Arrow");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp diff_argp = {
	NULL,
	diff_parse,
	"ARROW",
	"List the changes to the root of a running Arrow: A added, C changed, D deleted.\v"
	"Volumes, and files that Arrow itself creates, are left out.",
	NULL,
	NULL,
	NULL,
};

static int print_changes(
	const struct arrow_paths *paths, const char *name, struct arrow_error *error)
{
	const char *argv[] = {"changes", NULL};
	_cleanup_free_ char *record = malloc(RECORD_MAX);
	struct arrow_worker worker;
	_cleanup_fclose_ FILE *f = NULL;
	size_t n;
	int r;

	if (!record)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = arrow_worker_start(paths, name, argv, 0, &worker, error);
	if (r < 0)
		return r;
	f = fdopen(worker.out, "r");
	if (f)
		worker.out = -1;
	for (unsigned long long size = 0; f && r == 0; size += n) {
		int c;

		n = 0;
		while ((c = getc(f)) > 0 && n + 1 < RECORD_MAX)
			record[n++] = (char)c;
		record[n] = '\0';
		if (c == EOF && n == 0)
			break;
		if (c != 0 || !strchr("ACD", record[0]) || n < 3 || record[1] != ' ')
			r = arrow_fail(error, EPROTO, "invalid list of changes from the Arrow");
		else if (size + n > ANSWER_MAX)
			r = arrow_fail(error, EFBIG,
				"the Arrow sent more than %llu bytes of changes", ANSWER_MAX);
		else
			/* Nothing in a name may move the cursor, or pass for another record. */
			puts(text_clean(record));
	}
	/* It may still be writing, and then ends by this. */
	if (f)
		fclose(STEAL(f));
	r = arrow_worker_end(&worker, r, error);
	return r;
}

int cmd_diff(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	const char *name = NULL;
	int status;

	cli_parse(&diff_argp, argc, argv, 0, &name);
	if (cli_paths_init(&paths, &error) < 0 || print_changes(&paths, name, &error) < 0)
		status = cli_error(&error);
	else
		status = cli_flush();
	arrow_paths_release(&paths);
	return status;
}
