// SPDX-License-Identifier: Apache-2.0
/* arrow update: limits and restart policy of Arrows that there are. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/limit_options.h"
#include "core/client/update.h"
#include "core/spec/parse.h"

enum { OPT_CPUS = 256 };

/* clang-format off */
static const struct argp_option options[] = {
	{"memory", 'm', "SIZE", 0, "Memory of the VM; while running, at most what it was started with", 0},
	{"cpus", OPT_CPUS, "N", 0, "Number of CPUs; while running, at most those of its VM", 0},
	LIMIT_OPTIONS,
	LIMIT_RESTART_OPTION,
	{0},
};
/* clang-format on */

struct input {
	struct cli_names names;
	struct arrow_spec values;
	struct limit_cpu_time cpu_time;
	unsigned int fields;
	bool no_quota; /* --cpu-quota -1 */
	bool options;  /* one was given, with a value or not */
	struct arrow_error error;
};

/* Takes the value of an option, and notes the field that it sets. "" and 0 leave a field as it is.
 */
static int update_parse_value(struct input *in, int key, const char *value)
{
	struct arrow_spec *v = &in->values;
	struct arrow_error *e = &in->error;
	unsigned int field;
	bool given;
	int r;

	switch (key) {
	case 'm':
		r = arrow_parse_memory(v, value, e);
		field = ARROW_UPDATE_MEMORY;
		given = v->limits.memory_given;
		break;
	case LIMIT_MEMORY_SWAP:
		r = arrow_parse_memory_swap(v, value, e);
		field = ARROW_UPDATE_MEMORY_SWAP;
		given = v->limits.memory_swap_given;
		break;
	case OPT_CPUS:
		r = arrow_parse_cpus(v, value, e);
		field = ARROW_UPDATE_CPUS;
		given = v->limits.cpus_given;
		break;
	case LIMIT_CPU_PERIOD:
		in->options = true;
		return arrow_parse_cpu_period(value, &in->cpu_time.period, e);
	case LIMIT_CPU_QUOTA:
		in->options = true;
		in->no_quota = strcmp(value, "-1") == 0;
		return arrow_parse_cpu_quota(value, &in->cpu_time.quota, e);
	case 'c':
		r = arrow_parse_cpu_shares(v, value, e);
		field = ARROW_UPDATE_CPU_SHARES;
		given = v->limits.cpu_shares != 0;
		break;
	case LIMIT_CPUSET:
		r = arrow_parse_cpuset(v, value, e);
		field = ARROW_UPDATE_CPUSET;
		given = v->limits.cpuset_cpus != NULL;
		break;
	case LIMIT_PIDS:
		r = arrow_parse_pids(v, value, e);
		field = ARROW_UPDATE_PIDS;
		given = true; /* 0 is unlimited */
		break;
	case LIMIT_BLKIO_WEIGHT:
		r = arrow_parse_blkio_weight(v, value, e);
		field = ARROW_UPDATE_BLKIO_WEIGHT;
		given = v->limits.blkio_weight != 0;
		break;
	case LIMIT_RESTART:
		r = arrow_parse_restart(v, value, e);
		field = ARROW_UPDATE_RESTART;
		given = v->life.restart_given;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (r < 0)
		return r;
	in->options = true;
	in->fields = given ? in->fields | field : in->fields & ~field;
	return 0;
}

static error_t update_parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;
	int r;

	if (key == ARGP_KEY_END) {
		if (arrow_set_cpu_time(
			    &in->values, in->cpu_time.quota, in->cpu_time.period, &in->error) < 0)
			argp_error(state, "%s", in->error.text);
		if (in->no_quota && in->values.limits.cpus_given)
			argp_error(state, "conflicting options: --cpus and --cpu-quota");
		if (in->no_quota)
			in->values.limits.millicpus = 0;
		if (in->cpu_time.quota || in->no_quota)
			in->fields |= ARROW_UPDATE_CPUS;
	}
	if (key == ARGP_KEY_ARG || key == ARGP_KEY_END)
		return cli_parse_names(key, value, state, &in->names);
	r = update_parse_value(in, key, value);
	if (r < 0) {
		cli_name_option(state, key, &in->error);
		argp_error(state, "%s", in->error.text);
	}
	return r;
}

static const struct argp update_argp = {options, update_parse, "ARROW...",
	"Change the limits and the restart policy of Arrows, running or not.", NULL, NULL, NULL};

static int update_one(
	const struct arrow_paths *paths, const char *name, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;

	return arrow_update(paths, name, &in->values, in->fields, error);
}

int cmd_update(int argc, char **argv)
{
	struct input in = {.error = ARROW_ERROR_INIT};
	int status;

	arrow_spec_init(&in.values);
	cli_parse(&update_argp, argc, argv, 0, &in);
	if (!in.options) {
		fputs("arrow: update requires an option: see 'arrow update --help'\n", stderr);
		status = 1;
	} else {
		status = cli_each(&in.names, update_one, &in);
	}
	arrow_spec_release(&in.values);
	arrow_error_clear(&in.error);
	return status;
}
