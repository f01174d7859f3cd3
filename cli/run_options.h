/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_RUN_OPTIONS_H
#define ARROW_CLI_RUN_OPTIONS_H

/* The options of arrow run and arrow create, which are the same. */

#include <stdbool.h>

#include "cli/limit_options.h"
#include "core/spec/spec.h"

struct run_input {
	bool create; /* arrow create */
	struct arrow_spec spec;
	struct arrow_strings cap_add, cap_drop;
	bool detach, no_proxy;
	struct limit_cpu_time cpu_time;
	uint32_t attach; /* a bit for each of streams 0 to 2 that --attach names; 0: not given */
	const char *cidfile, *detach_keys; /* borrowed of argv */
	struct arrow_error error;          /* the first thing that is wrong with a value */
};

/*
 * Takes a command line into an input that is zeroed but for `create`. Wrong usage of an option ends
 * the command; a value that is wrong is left in `error`. Free with run_input_release().
 */
void run_options_parse(struct run_input *in, int argc, char **argv);

void run_input_release(struct run_input *in);

#endif
