// SPDX-License-Identifier: Apache-2.0
/* arrow system df and prune: what takes disk, and the removal of what is not used. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/prune.h"
#include "package/remove.h"
#include "core/upkeep/prune.h"
#include "core/template/template.h"
#include "core/upkeep/usage.h"
#include "util/cleanup.h"
#include "util/io.h"

#define SHORT_ID 12

enum { OPT_FILTER = 256, OPT_VOLUMES };

static const char *const kinds[ARROW_USAGE_KINDS] = {
	"Images", "Arrows", "Root images", "Templates", "Kernels", "Volumes"};

struct input {
	const char *format;
	bool verbose, all, force, volumes;
	struct cli_prune_filter filter;
	bool filtered;
};

/* clang-format off */
static const struct argp_option df_options[] = {
	{"format", CLI_FORMAT_KEY, "FORMAT", 0, "table, json, or a Go template as in Docker", 0},
	{"verbose", 'v', 0, 0, "Also list each image, Arrow, template and kernel", 0},
	{0},
};

static const struct argp_option prune_options[] = {
	{"all", 'a', 0, 0, "All images and templates that no Arrow uses, not only dangling images and templates unused for a day", 0},
	{"force", 'f', 0, 0, "Do not ask for confirmation", 0},
	{"volumes", OPT_VOLUMES, 0, 0, "Also volumes without a name that no Arrow uses", 0},
	{"filter", OPT_FILTER, "FILTER", 0, "Remove only what matches: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]", 0},
	{0},
};
/* clang-format on */

static error_t system_parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case CLI_FORMAT_KEY:
		in->format = value;
		return 0;
	case 'v':
		in->verbose = true;
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case 'f':
		in->force = true;
		return 0;
	case OPT_VOLUMES:
		in->volumes = true;
		return 0;
	case OPT_FILTER:
		in->filtered = true;
		cli_prune_filter_parse(&in->filter, value, state);
		return 0;
	case ARGP_KEY_ARG:
		cli_argument_error(state, "too many arguments: '%s'", value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp df_argp = {
	df_options, system_parse, NULL, "Show the disk space that Arrow uses.", NULL, NULL, NULL};
static const struct argp prune_argp = {prune_options, system_parse, NULL,
	"Remove unused data.\v"
	"Removes Arrows that are not running, networks without Arrows, images without a name that no Arrow uses, and templates that were not used for a day. "
	"Templates have no labels, so a filter for labels keeps them.",
	NULL, NULL, NULL};

/* ---- df ---- */

/* "11.63MB (70%)" */
static char *reclaimable_text(const struct arrow_usage *u)
{
	_cleanup_free_ char *size = human_size(u->reclaimable);

	if (!size || u->size == 0)
		return STEAL(size);
	return path_format("%s (%llu%%)", size, u->reclaimable * 100 / u->size);
}

static int show_kinds(
	const struct input *in, const struct arrow_usage *usage, struct arrow_error *error)
{
	static const struct cli_heading headings[] = {{"TotalCount", "TOTAL"}, {0}};
	json_t *rows = json_array();
	const json_t *one;
	size_t k;
	int r;

	for (int i = 0; i < ARROW_USAGE_KINDS; i++) {
		_cleanup_free_ char *size = human_size(usage[i].size);
		_cleanup_free_ char *reclaimable = reclaimable_text(&usage[i]);
		size_t active = 0;

		json_array_foreach (usage[i].rows, k, one)
			active += json_is_true(json_object_get(one, "active"));
		json_array_append_new(
			rows, json_pack("{s:s, s:o, s:o, s:s, s:s}", "Type", kinds[i], "TotalCount",
				      json_sprintf("%zu", json_array_size(usage[i].rows)), "Active",
				      json_sprintf("%zu", active), "Size", size, "Reclaimable",
				      reclaimable));
	}
	r = cli_format_rows(in->format,
		"table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
		headings, rows, error);
	json_decref(rows);
	return r;
}

/* Each thing of a kind. */
static int show_kind(int kind, const struct arrow_usage *u, struct arrow_error *error)
{
	static const struct cli_heading headings[] = {{"Active", "IN USE"}, {0}};
	json_t *rows = json_array();
	const json_t *one;
	size_t i;
	int r;

	printf("%s space usage:\n\n", kinds[kind]);
	json_array_foreach (u->rows, i, one) {
		const char *id = json_string_value(json_object_get(one, "id"));
		const char *created = json_string_value(json_object_get(one, "created"));
		_cleanup_free_ char *size = human_size(
			(unsigned long long)json_integer_value(json_object_get(one, "size")));
		_cleanup_free_ char *age = human_age(created, time(NULL));

		if (strncmp(id, "sha256:", 7) == 0)
			id += 7;
		json_array_append_new(
			rows, json_pack("{s:s%, s:O, s:s, s:s, s:s}", "ID", id,
				      strnlen(id, SHORT_ID), "Name", json_object_get(one, "name"),
				      "Created", age, "Size", size, "Active",
				      json_is_true(json_object_get(one, "active")) ? "yes" : "no"));
	}
	r = cli_format_rows(NULL, "table {{.ID}}\t{{.Name}}\t{{.Created}}\t{{.Size}}\t{{.Active}}",
		headings, rows, error);
	json_decref(rows);
	putchar('\n');
	return r;
}

static int system_show_usage(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	struct arrow_usage usage[ARROW_USAGE_KINDS];
	int r;

	if (in->verbose && in->format)
		return arrow_fail(error, EINVAL, "--verbose and --format cannot be combined");
	r = arrow_usage_look(paths, usage, error);
	if (r == 0 && !in->verbose)
		r = show_kinds(in, usage, error);
	for (int i = 0; r == 0 && in->verbose && i < ARROW_USAGE_KINDS; i++)
		r = show_kind(i, &usage[i], error);
	arrow_usage_release(usage);
	return r < 0 ? r : cli_flush();
}

/* ---- prune ---- */

struct pruned {
	const struct input *in;
	const struct arrow_paths *paths;
	unsigned long long bytes;
	bool any;
};

static void system_show_arrow(const char *id, void *arg)
{
	struct pruned *p = arg;

	if (!p->any)
		puts("Deleted Arrows:");
	p->any = true;
	puts(id);
}

static void system_show_volume(const char *name, void *arg)
{
	struct pruned *p = arg;

	if (!p->any)
		puts("Deleted Volumes:");
	p->any = true;
	puts(name);
}

static int prune_volumes(struct pruned *p, struct arrow_error *error)
{
	unsigned long long bytes = 0;
	int r;

	p->any = false;
	r = arrow_prune_volumes(p->paths, false, cli_prune_filter_passes, (void *)&p->in->filter,
		system_show_volume, p, &bytes, error);
	p->bytes += bytes;
	if (p->any)
		putchar('\n');
	return r;
}

static int prune_arrows(struct pruned *p, struct arrow_error *error)
{
	unsigned long long bytes = 0;
	int r;

	p->any = false;
	r = arrow_prune(p->paths, cli_prune_filter_passes, (void *)&p->in->filter,
		system_show_arrow, p, &bytes, error);
	p->bytes += bytes;
	if (p->any)
		putchar('\n');
	return r;
}

static int prune_templates(struct pruned *p, struct arrow_error *error)
{
	const struct cli_prune_filter *f = &p->in->filter;
	char oldest[TIME_TEXT];
	json_t *list = NULL;
	const json_t *o;
	size_t i;
	int r;

	if (f->labels.n)
		return 0;
	r = arrow_template_list(p->paths->data, &list, error);
	time_text(f->until.tv_sec ? f->until.tv_sec
				  : time(NULL) - (p->in->all ? -1 : ARROW_TEMPLATE_UNUSED_S),
		oldest);
	p->any = false;
	json_array_foreach (list, i, o) {
		const char *id = json_string_value(json_object_get(o, "id"));

		/* Times of this form sort as they read. */
		if (r < 0 || strcmp(json_string_value(json_object_get(o, "used")), oldest) >= 0)
			continue;
		r = arrow_template_remove(p->paths->data, id, error);
		if (r < 0)
			break;
		p->bytes += (unsigned long long)json_integer_value(json_object_get(o, "bytes"));
		if (!p->any)
			puts("Deleted Templates:");
		p->any = true;
		puts(id);
	}
	if (p->any)
		putchar('\n');
	json_decref(list);
	return r;
}

static int prune_images(struct pruned *p, struct arrow_error *error)
{
	struct arrow_strings log = {0};
	uint64_t bytes = 0;
	int r = arrow_images_prune(p->paths, p->in->all, cli_prune_filter_passes,
		(void *)&p->in->filter, &log, &bytes, error);

	p->bytes += bytes;
	if (log.n > 0)
		puts("Deleted Images:");
	for (size_t i = 0; i < log.n; i++)
		puts(log.v[i]);
	if (log.n > 0)
		putchar('\n');
	arrow_strings_release(&log);
	return r;
}

static int system_prune(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	const struct input *in = arg;
	struct pruned p = {.in = in, .paths = paths};
	_cleanup_free_ char *size = NULL;
	int r;

	if (!in->force) {
		printf("WARNING! This will remove:\n"
		       "  - all Arrows that are not running\n"
		       "  - all networks not used by at least one Arrow\n"
		       "  - all %s\n"
		       "  - all templates %s\n%s\n",
			in->all ? "images without at least one Arrow associated to them"
				: "dangling images",
			in->all ? "" : "that were not used for a day",
			in->volumes
				? "  - all volumes without a name not used by at least one Arrow\n"
				: "");
		if (!cli_confirm())
			return 0;
	}
	r = prune_arrows(&p, error);
	if (r == 0)
		r = cli_prune_networks(paths, &p.in->filter, error);
	if (r == 0)
		r = prune_images(&p, error);
	if (r == 0)
		r = prune_templates(&p, error);
	if (r == 0 && in->volumes)
		r = prune_volumes(&p, error);
	size = human_size(p.bytes);
	if (r == 0)
		printf("Total reclaimed space: %s\n", size ? size : "?");
	return r < 0 ? r : cli_flush();
}

static int system_run(const struct argp *argp, cli_work work, int argc, char **argv)
{
	struct input in = {0};
	int status;

	cli_parse(argp, argc, argv, 0, &in);
	status = cli_with_paths(work, &in);
	cli_prune_filter_release(&in.filter);
	return status;
}

int cmd_system_df(int argc, char **argv)
{
	return system_run(&df_argp, system_show_usage, argc, argv);
}

int cmd_system_prune(int argc, char **argv)
{
	return system_run(&prune_argp, system_prune, argc, argv);
}
