// SPDX-License-Identifier: Apache-2.0
#include "cli/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input/filter.h"
#include "core/instance/log_reader.h"
#include "util/cleanup.h"
#include "util/io.h"

void cli_prune_filter_parse(
	struct cli_prune_filter *f, const char *value, const struct argp_state *state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	int r = 0;

	if (*value == '\0')
		return;
	if (strncmp(value, "until=", 6) == 0) {
		if (log_parse_time(value + 6, &f->until, &error) < 0)
			argp_error(state, "%s", error.text);
	} else if (strncmp(value, "label=", 6) == 0 && value[6]) {
		r = arrow_strings_add(&f->labels, value + 6);
	} else if (strncmp(value, "label!=", 7) == 0 && value[7]) {
		r = arrow_strings_add(&f->not_labels, value + 7);
	} else {
		argp_error(state,
			"invalid filter '%s': use until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]",
			value);
	}
	if (r < 0)
		argp_failure(state, ARROW_STATUS_ERROR, 0, "out of memory");
}

bool cli_prune_filter_passes(const json_t *row, void *arg)
{
	const struct cli_prune_filter *f = arg;
	const char *created = json_string_value(json_object_get(row, "created"));
	struct timespec when;

	if (f->until.tv_sec &&
		(!created || time_parse(created, &when) < 0 || when.tv_sec >= f->until.tv_sec))
		return false;
	for (size_t i = 0; i < f->labels.n; i++)
		if (!cli_has_label(json_object_get(row, "labels"), f->labels.v[i]))
			return false;
	for (size_t i = 0; i < f->not_labels.n; i++)
		if (cli_has_label(json_object_get(row, "labels"), f->not_labels.v[i]))
			return false;
	return true;
}

void cli_prune_filter_release(struct cli_prune_filter *f)
{
	arrow_strings_release(&f->labels);
	arrow_strings_release(&f->not_labels);
}

bool cli_confirm(void)
{
	char answer[16] = "";

	fputs("Are you sure you want to continue? [y/N] ", stdout);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}
