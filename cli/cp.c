// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "core/client/copy.h"
#include "util/cleanup.h"

/* clang-format off */
static const struct argp_option options[] = {
	{"archive", 'a', 0, 0, "Keep user and group ids", 0},
	{"follow-link", 'L', 0, 0, "Follow symbolic links in SOURCE", 0},
	{"quiet", 'q', 0, 0, "Accepted for compatibility with Docker; always on", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

struct input {
	struct arrow_copy copy;
	char *source, *destination;
};

static error_t cp_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'a':
		in->copy.owners = true;
		return 0;
	case 'L':
		in->copy.follow = true;
		return 0;
	case 'q':
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			in->source = arg;
		else if (state->arg_num == 1)
			in->destination = arg;
		else
			cli_argument_error(state, "takes one source and one destination");
		return 0;
	case ARGP_KEY_END:
		if (!in->destination)
			cli_argument_error(state, "requires a source and a destination");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp cp_argp = {
	options,
	cp_parse,
	"ARROW:SOURCE DESTINATION\nSOURCE ARROW:DESTINATION",
	"Copy files between a running Arrow and this host.\v"
	"A SOURCE that ends in '/.' stands for the contents of that directory; '-' is a tar archive on stdin or stdout. "
	"Without -a, files copied to this host belong to you and lose their setuid and setgid bits, and files copied to an Arrow belong to root. "
	"Paths in the Arrow are relative to its root. "
	"Write a local path with a colon as './a:b'.",
	NULL,
	NULL,
	NULL,
};

/* Parts ARROW:PATH at the colon. NULL for a path of this host; else the path, and arg is the name.
 */
static char *guest_part(char *arg)
{
	char *colon = strchr(arg, ':');

	if (!colon || colon == arg || arg[0] == '/' || arg[0] == '.')
		return NULL;
	*colon = '\0';
	return colon + 1;
}

static int cp_run(struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	char *from = guest_part(in->source), *to = guest_part(in->destination);

	if (from && to)
		return arrow_fail(error, EINVAL, "copying between Arrows is not supported");
	if (!from && !to)
		return arrow_fail(error, EINVAL,
			"either the source or the destination must be in an Arrow, as in 'arrow cp web:/etc/hosts .'");
	if ((from && !*from) || (to && !*to))
		return arrow_fail(error, EINVAL, "the path in the Arrow is empty");
	in->copy.name = from ? in->source : in->destination;
	in->copy.guest = from ? from : to;
	in->copy.host = from ? in->destination : in->source;
	if (!*in->copy.host)
		return arrow_fail(error, EINVAL, "the path on this host is empty");
	if (from && strcmp(in->copy.host, "-") == 0 && isatty(STDOUT_FILENO))
		return arrow_fail(error, EINVAL,
			"refusing to write an archive to a terminal: redirect stdout to a file or a pipe");
	return from ? arrow_copy_out(paths, &in->copy, error)
		    : arrow_copy_in(paths, &in->copy, error);
}

int cmd_cp(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {0};
	int status = 0;

	cli_parse(&cp_argp, argc, argv, 0, &in);
	if (cli_paths_init(&paths, &error) < 0 || cp_run(&in, &paths, &error) < 0)
		status = cli_error(&error);
	arrow_paths_release(&paths);
	return status;
}
