// SPDX-License-Identifier: Apache-2.0
#include "cli/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input/filter.h"
#include "cli/output/print.h"
#include "core/instance/log_reader.h"
#include "net/manage.h"
#include "util/cleanup.h"
#include "util/event.h"
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
			argp_failure(state, CLI_FAILED, 0, "--filter: %s", error.text);
	} else if (strncmp(value, "label=", 6) == 0 && value[6]) {
		r = arrow_strings_add(&f->labels, value + 6);
	} else if (strncmp(value, "label!=", 7) == 0 && value[7]) {
		r = arrow_strings_add(&f->not_labels, value + 7);
	} else {
		cli_filter_refuse(state, value);
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

struct prunable {
	const struct arrow_paths *paths;
	const struct cli_prune_filter *filter;
	struct arrow_strings ids, names; /* of the networks */
};

static int prune_collect_network(const struct net_network *n, void *arg, struct arrow_error *error)
{
	struct prunable *p = arg;
	json_t *o = net_network_json(n, p->paths);
	json_t *row = json_pack("{s:s, s:O*}", "created", n->created, "labels", n->labels);
	int r = 0;

	if (strcmp(n->name, NET_DEFAULT) != 0 &&
		json_object_size(json_object_get(o, "Containers")) == 0 &&
		cli_prune_filter_passes(row, (void *)p->filter)) {
		r = arrow_strings_add(&p->ids, n->id);
		if (r == 0)
			r = arrow_strings_add(&p->names, n->name);
	}
	json_decref(row);
	json_decref(o);
	return r < 0 ? arrow_fail(error, -r, "out of memory") : 0;
}

int cli_prune_networks(const struct arrow_paths *paths, const struct cli_prune_filter *filter,
	struct arrow_error *error)
{
	struct prunable p = {.paths = paths, .filter = filter};
	int lock = net_lock(paths, error);
	int r = lock < 0 ? lock : net_network_list(paths, prune_collect_network, &p, error);
	bool any = false;

	close_keep_errno(lock);
	for (size_t i = 0; r == 0 && i < p.names.n; i++) {
		_cleanup_error_ struct arrow_error taken = ARROW_ERROR_INIT;

		/* One that an Arrow has come to meanwhile stays; so does another of its name. */
		if (net_network_remove(paths, p.ids.v[i], &taken) < 0)
			continue;
		if (!any)
			puts("Deleted Networks:");
		any = true;
		puts(p.names.v[i]);
	}
	if (any)
		putchar('\n');
	arrow_strings_release(&p.ids);
	arrow_strings_release(&p.names);
	if (r == 0)
		event_write(
			paths->data, "network", "prune", "", json_pack("{s:s}", "reclaimed", "0"));
	return r;
}

bool cli_confirm(void)
{
	char answer[16] = "";

	fputs("Are you sure you want to continue? [y/N] ", stdout);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}
