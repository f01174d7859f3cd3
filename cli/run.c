// SPDX-License-Identifier: Apache-2.0
/* arrow run and arrow create. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/settings.h"
#include "cli/input/values.h"
#include "cli/output/print.h"
#include "cli/run_options.h"
#include "cli/signals.h"
#include "core/client/client.h"
#include "core/spec/parse.h"
#include "core/start/start.h"
#include "net/net.h"
#include "package/resolve.h"

/* Options of which each is fine, but not with another. */
static int run_check(struct run_input *in)
{
	struct arrow_spec *spec = &in->spec;
	int r;

	if (in->error.text)
		return -EINVAL;
	r = arrow_parse_caps(spec, &in->cap_add, &in->cap_drop, &in->error);
	if (r < 0)
		return r;
	if (spec->life.auto_remove && spec->life.restart != ARROW_RESTART_NO)
		return arrow_fail(&in->error, EINVAL,
			"--rm and --restart cannot be combined: leave one of them out");
	if (in->attach && in->detach)
		return arrow_fail(&in->error, EINVAL,
			"--attach and --detach cannot be combined: leave one of them out");
	if (!in->attach && !in->detach)
		in->attach = 7;
	spec->process.stdin_once = spec->process.interactive && in->attach & 1;
	/* A log that goes with the Arrow, whose output somebody sees, would only cost time. */
	if (spec->life.auto_remove && !in->detach && !in->create && !spec->log.driver)
		return cli_set_string(&spec->log.driver, "none", &in->error);
	return 0;
}

/* The network of one that names none: stored with it, so that each start has the same. */
static int run_choose_network(struct run_input *in)
{
	const char *named = cli_settings_network();
	const char *name = net_default(named);

	/* A saved one has its own. */
	if (in->spec.source.from || in->spec.net.names.n)
		return 0;
	if (in->spec.verbose && !(named && *named) && strcmp(name, NET_DEFAULT) != 0)
		fprintf(stderr,
			"arrow: no permission to create networks here: using --network %s\n", name);
	return cli_add_string(&in->spec.net.names, name, &in->error);
}

static int run_start(struct run_input *in, int *status)
{
	struct arrow_paths paths = {0};
	char id[ARROW_ID_HEX] = "";
	int r = run_check(in);
	bool checked = r == 0;

	if (r == 0)
		r = cli_paths_init(&paths, &in->error);
	if (r == 0 && !in->spec.source.from)
		r = arrow_spec_resolve(&in->spec, &paths, &in->error);
	if (r == 0)
		r = run_choose_network(in);
	if (r == 0 && in->create)
		r = arrow_create(&paths, &in->spec, in->cidfile, id, &in->error);
	else if (r == 0)
		r = arrow_run(&paths, &in->spec, in->cidfile,
			&(struct arrow_attach){
				.input = in->spec.process.interactive && in->attach & 1,
				.output = in->attach & 6,
				.no_stdout = !(in->attach & 2),
				.no_stderr = !(in->attach & 4),
				.bound = true,
				.proxy = !in->no_proxy,
				.detach_keys = in->detach_keys,
				.take_signals = cli_take_signals,
			},
			id, status, &in->error);
	/*
	 * As Docker: also the id of one whose program could not be started; but one that was
	 * interrupted before its program started has no id to tell.
	 */
	if ((in->create || !(in->attach & 6)) && *id && *status == 0) {
		puts(id);
		*status = cli_flush() ? in->create ? CLI_FAILED : ARROW_STATUS_ERROR : 0;
	}
	/* Docker's daemon makes it, and its failures are 1. */
	if (r < 0 && in->create && checked)
		in->error.status = 1;
	arrow_paths_release(&paths);
	return r;
}

static int run_or_create(bool create, int argc, char **argv)
{
	struct run_input in = {.create = create};
	int status = 0;

	run_options_parse(&in, argc, argv);
	if (run_start(&in, &status) < 0)
		status = cli_error_of_program(&in.error);
	run_input_release(&in);
	return status;
}

int cmd_run(int argc, char **argv)
{
	return run_or_create(false, argc, argv);
}

int cmd_create(int argc, char **argv)
{
	return run_or_create(true, argc, argv);
}
