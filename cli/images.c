// SPDX-License-Identifier: Apache-2.0
/* arrow images, rmi, tag and history; arrow image inspect and prune. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/filter.h"
#include "cli/input/options.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/prune.h"
#include "core/instance/log_reader.h"
#include "package/images.h"
#include "package/remove.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

#define SHORT_ID 12

enum { OPT_NO_TRUNC = 256, OPT_DIGESTS, OPT_NO_PRUNE, OPT_FILTER };

struct input {
	struct arrow_strings names, filters;
	const char *format;
	bool quiet, all, force, no_trunc, digests, exact;
	struct cli_prune_filter prune;
};

/* dangling= of prune is what -a says otherwise; the rest is as of all that prunes. */
static void images_parse_prune(struct input *in, const char *filter, const struct argp_state *state)
{
	int dangling = strncmp(filter, "dangling=", 9) == 0 ? text_parse_bool(filter + 9) : -EINVAL;

	if (dangling >= 0)
		in->all = dangling == 0;
	else
		cli_prune_filter_parse(&in->prune, filter, state);
}

static error_t images_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'q':
		in->quiet = true;
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case 'H':
		in->exact = text_parse_bool(arg) == 0;
		if (text_parse_bool(arg) < 0)
			argp_error(state, "--human takes true or false, not '%s'", arg);
		return 0;
	case 'f':
		/* A filter of a list takes a value, the force of a removal none. */
		if (arg && *arg && !strchr(arg, '='))
			cli_filter_refuse(state, arg);
		if (arg && *arg && arrow_strings_add(&in->filters, arg) < 0)
			return ENOMEM;
		in->force = true;
		return 0;
	case OPT_NO_TRUNC:
		in->no_trunc = true;
		return 0;
	case OPT_DIGESTS:
		in->digests = true;
		return 0;
	case OPT_NO_PRUNE:
		return 0;
	case OPT_FILTER:
		images_parse_prune(in, arg, state);
		return 0;
	case CLI_FORMAT_KEY:
		in->format = arg;
		return 0;
	case ARGP_KEY_ARG:
		return arrow_strings_add(&in->names, arg) < 0 ? ENOMEM : 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Here -f is the format. */
static error_t images_parse_inspect(int key, char *arg, struct argp_state *state)
{
	return images_parse(key == 'f' ? CLI_FORMAT_KEY : key, arg, state);
}

/* As docker shows an id: 12 digits, or all of it with its algorithm. */
static char *images_get_id(const json_t *image, bool whole)
{
	const char *id = json_text(image, "id");

	if (whole || strncmp(id, "sha256:", 7) != 0)
		return strdup(id);
	return path_format("%.*s", SHORT_ID, id + 7);
}

static char *images_get_age(const json_t *image)
{
	_cleanup_free_ char *age = human_age(json_text(image, "created"), time(NULL));

	return age && strcmp(age, "N/A") != 0 ? path_format("%s ago", age) : STEAL(age);
}

static char *images_get_size(const json_t *image)
{
	return human_size((unsigned long long)json_integer_value(json_object_get(image, "size")));
}

static bool images_filter_dangling(const void *arg, const json_t *image, const char *value)
{
	return (*json_text(image, "name") == '\0') == (text_parse_bool(value) == 1);
}

static bool images_filter_reference(const void *arg, const json_t *image, const char *value)
{
	const char *repository = json_text(image, "repository");
	_cleanup_free_ char *tagged = path_format("%s:%s", repository, json_text(image, "tag"));

	return tagged && (fnmatch(value, tagged, FNM_PATHNAME) == 0 ||
				 fnmatch(value, repository, FNM_PATHNAME) == 0);
}

static bool images_filter_label(const void *arg, const json_t *image, const char *value)
{
	return cli_has_label(json_object_get(image, "labels"), value);
}

/* The values of before= and since= are times by now. */
static bool images_filter_before(const void *arg, const json_t *image, const char *value)
{
	return strcmp(json_text(image, "created"), value) < 0;
}

static bool images_filter_since(const void *arg, const json_t *image, const char *value)
{
	return strcmp(json_text(image, "created"), value) > 0;
}

/* The value is in seconds since 1970 by now. */
static bool images_filter_until(const void *arg, const json_t *image, const char *value)
{
	struct timespec created, until = {.tv_sec = atoll(value)};

	return time_parse(json_text(image, "created"), &created) == 0 &&
	       created.tv_sec < until.tv_sec;
}

static const struct cli_filter filters[] = {
	{"before", images_filter_before, false},
	{"dangling", images_filter_dangling, false},
	{"label", images_filter_label, true},
	{"reference", images_filter_reference, false},
	{"since", images_filter_since, false},
	{"until", images_filter_until, false},
	{0},
};

/* The time that a filter speaks of, as its function takes it; NULL for another filter. */
static int images_date_filter(const struct arrow_paths *paths, const struct cli_filter *f,
	const char *value, char **dated, struct arrow_error *error)
{
	json_t *image = NULL;
	struct timespec until;
	int r;

	*dated = NULL;
	if (f->matches == images_filter_until) {
		r = log_parse_time(value, &until, error);
		if (r < 0)
			return r;
		*dated = path_format("%s=%lld", f->key, (long long)until.tv_sec);
	} else if (f->matches == images_filter_before || f->matches == images_filter_since) {
		r = arrow_images_inspect(paths, value, &image, error);
		if (r < 0)
			return r;
		*dated = path_format("%s=%s", f->key, json_text(image, "Created"));
		json_decref(image);
	} else {
		return 0;
	}
	return *dated ? 0 : arrow_fail(error, ENOMEM, "out of memory");
}

/* Checks the filters, and makes what before=, since= and until= say into times. */
static int images_date_filters(
	const struct arrow_paths *paths, struct input *in, struct arrow_error *error)
{
	for (size_t i = 0; i < in->filters.n; i++) {
		const char *value = strchr(in->filters.v[i], '=');
		const struct cli_filter *f = cli_filter_find(filters, in->filters.v[i]);
		char *dated;
		int e;

		if (!f || (f->matches == images_filter_dangling && text_parse_bool(value + 1) < 0))
			return arrow_fail_status(error, 1, EINVAL,
				"--filter: invalid filter '%s': 'arrow images --help' lists the keys and their values",
				in->filters.v[i]);
		e = images_date_filter(paths, f, value + 1, &dated, error);
		if (e < 0)
			return e;
		if (!dated)
			continue;
		free(in->filters.v[i]);
		in->filters.v[i] = dated;
	}
	return 0;
}

/* Whether it is the one that the command line names, if it names one. */
static bool images_is_named(const struct input *in, const json_t *image)
{
	const char *repository = json_text(image, "repository");
	_cleanup_free_ char *tagged = path_format("%s:%s", repository, json_text(image, "tag"));

	return in->names.n == 0 || strcmp(in->names.v[0], repository) == 0 ||
	       (tagged && strcmp(in->names.v[0], tagged) == 0);
}

/* What Docker's templates name. How many Arrows use it would take a look at all of them. */
static json_t *images_make_row(const struct input *in, const json_t *image)
{
	_cleanup_free_ char *id = images_get_id(image, in->no_trunc),
			    *size = images_get_size(image);
	_cleanup_free_ char *ago = images_get_age(image),
			    *at = human_time(json_text(image, "created"));
	const char *digest = *json_text(image, "name") ? json_text(image, "digest") : "<none>";

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id,
		"Repository", json_text(image, "repository"), "Tag", json_text(image, "tag"),
		"Digest", digest, "CreatedSince", ago, "CreatedAt", at, "Size", size, "VirtualSize",
		size, "SharedSize", "N/A", "UniqueSize", "N/A", "Containers", "N/A");
}

static json_t *images_make_step(const struct input *in, const json_t *step)
{
	_cleanup_free_ char *id = images_get_id(step, in->no_trunc);
	_cleanup_free_ char *size =
		in->exact ? path_format("%" JSON_INTEGER_FORMAT,
				    json_integer_value(json_object_get(step, "size")))
			  : images_get_size(step);
	_cleanup_free_ char *ago = images_get_age(step);
	const char *by = json_text(step, "created_by");
	bool cut = !in->no_trunc && strlen(by) > 45;
	_cleanup_free_ char *made =
		text_clean(cut ? path_format("%.*s…", (int)human_bytes(by, 44), by) : strdup(by));

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id, "CreatedSince", ago,
		"CreatedAt", json_text(step, "created"), "CreatedBy", made, "Size", size, "Comment",
		json_text(step, "comment"));
}

static int images_list(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	static const struct cli_heading headings[] = {
		{"ID", "IMAGE ID"}, {"CreatedSince", "CREATED"}, {0}};
	struct input *in = arg;
	json_t *images = NULL, *rows, *image;
	size_t i;
	int e;

	if (in->names.n > 1)
		return arrow_fail(error, EINVAL, "takes one repository at most");
	e = images_date_filters(paths, in, error);
	if (e == 0)
		e = arrow_images_list(paths, &images, error);
	if (e < 0)
		return e;
	rows = json_array();
	json_array_foreach (images, i, image)
		if (images_is_named(in, image) &&
			cli_filter_passes(filters, &in->filters, image, in))
			json_array_append_new(rows, images_make_row(in, image));
	e = cli_format_rows(in->quiet && !in->format ? "{{.ID}}" : in->format,
		in->digests ? "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t"
			      "{{.CreatedSince}}\t{{.Size}}"
			    : "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t"
			      "{{.Size}}",
		headings, rows, error);
	json_decref(rows);
	json_decref(images);
	return e < 0 ? e : cli_flush();
}

static int images_show_history(
	const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	static const struct cli_heading headings[] = {
		{"ID", "IMAGE"}, {"CreatedSince", "CREATED"}, {0}};
	struct input *in = arg;
	json_t *steps = NULL, *rows, *step;
	size_t i;
	int e;

	if (in->names.n != 1)
		return arrow_fail(error, EINVAL, "requires one image");
	e = arrow_images_history(paths, in->names.v[0], &steps, error);
	if (e < 0)
		return e;
	rows = json_array();
	json_array_foreach (steps, i, step)
		json_array_append_new(rows, images_make_step(in, step));
	e = cli_format_rows(in->quiet && !in->format ? "{{.ID}}" : in->format,
		in->exact
			? "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
			: "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
		headings, rows, error);
	json_decref(rows);
	json_decref(steps);
	return e < 0 ? e : cli_flush();
}

static int images_inspect(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	json_t *all = json_array(), *one;
	int e = 0, status;

	if (in->names.n == 0)
		e = arrow_fail(error, EINVAL, "requires the images to inspect");
	for (size_t i = 0; e == 0 && i < in->names.n; i++) {
		e = arrow_images_inspect(paths, in->names.v[i], &one, error);
		if (e == 0)
			json_array_append_new(all, one);
	}
	/* What was found is shown, as docker does. */
	if (e == 0 || json_array_size(all) > 0) {
		status = in->format ? cli_format_rows(in->format, in->format, NULL, all,
					      e < 0 ? &ignored : error)
				    : cli_print_json(all);
		e = e < 0 ? e : status;
	}
	json_decref(all);
	return e;
}

static void images_print_log(const struct arrow_strings *log)
{
	for (size_t i = 0; i < log->n; i++)
		puts(log->v[i]);
}

/* Every image is tried; the exit status tells of the first that could not be removed. */
static int images_remove(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	int status = 0;

	if (in->names.n == 0)
		return arrow_fail(error, EINVAL, "requires the images to remove");
	for (size_t i = 0; i < in->names.n; i++) {
		_cleanup_error_ struct arrow_error one = ARROW_ERROR_INIT;
		struct arrow_strings log = {0};

		if (arrow_images_remove(paths, in->names.v[i], in->force, &log, &one) < 0) {
			fprintf(stderr, "arrow: %s\n", one.text);
			status = 1;
		}
		images_print_log(&log);
		arrow_strings_release(&log);
	}
	return cli_flush() ? CLI_FAILED : status;
}

static int images_tag(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	if (in->names.n != 2)
		return arrow_fail(error, EINVAL, "requires an image and its new name");
	return arrow_images_tag(paths, in->names.v[0], in->names.v[1], error);
}

static int images_prune(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	_cleanup_free_ char *size = NULL;
	struct arrow_strings log = {0};
	uint64_t bytes = 0;
	int e;

	if (in->names.n)
		return arrow_fail(error, EINVAL, "too many arguments: prune takes no names");
	if (!in->force) {
		printf("WARNING! This will remove all %s.\n",
			in->all ? "images that no Arrow uses" : "dangling images");
		if (!cli_confirm())
			return 0;
	}
	e = arrow_images_prune(
		paths, in->all, cli_prune_filter_passes, &in->prune, &log, &bytes, error);
	if (e == 0) {
		size = human_size(bytes);
		if (log.n > 0)
			puts("Deleted Images:");
		images_print_log(&log);
		printf("%sTotal reclaimed space: %s\n", log.n ? "\n" : "", size ? size : "?");
		e = cli_flush();
	}
	arrow_strings_release(&log);
	return e;
}

static int images_run(const struct argp *argp, cli_work work, int argc, char **argv)
{
	struct input in = {0};
	int status;

	cli_parse(argp, argc, argv, 0, &in);
	status = cli_with_paths(work, &in);
	arrow_strings_release(&in.names);
	arrow_strings_release(&in.filters);
	cli_prune_filter_release(&in.prune);
	return status;
}

/* clang-format off */
#define NO_TRUNC_OPTION {"no-trunc", OPT_NO_TRUNC, 0, 0, "Do not truncate ids and texts", 0}

#define FORMAT_OPTION {"format", CLI_FORMAT_KEY, "FORMAT", 0, "table, json, or a Go template as in Docker", 0}

static const struct argp_option list_options[] = {
	{"quiet", 'q', 0, 0, "Show only ids", 0},
	{"all", 'a', 0, 0, "Accepted for compatibility with Docker; always on", 0},
	{"filter", 'f', "KEY=VALUE", 0, "Show only images that match: before=IMAGE, dangling=BOOL, label=KEY[=VALUE], reference=PATTERN, since=IMAGE, until=TIME", 0},
	{"digests", OPT_DIGESTS, 0, 0, "Show digests", 0},
	NO_TRUNC_OPTION, FORMAT_OPTION, {0},
};

static const struct argp_option history_options[] = {
	{"human", 'H', "true|false", OPTION_ARG_OPTIONAL, "Show sizes with units, and the age of each step (true)", 0},
	{"quiet", 'q', 0, 0, "Show only ids", 0},
	NO_TRUNC_OPTION, FORMAT_OPTION, {0},
};

static const struct argp_option remove_options[] = {
	{"force", 'f', 0, 0, "Remove images that have several names or that an Arrow uses, too", 0},
	{"no-prune", OPT_NO_PRUNE, 0, 0, "Accepted for compatibility with Docker; has no effect", 0},
	{0},
};

static const struct argp_option prune_options[] = {
	{"all", 'a', 0, 0, "Remove all images that no Arrow uses, and root images of programs and directories", 0},
	{"force", 'f', 0, 0, "Do not ask for confirmation", 0},
	{"filter", OPT_FILTER, "FILTER", 0, "Remove only what matches: dangling=BOOL, until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]", 0},
	{0},
};

static const struct argp_option inspect_options[] = {
	{"format", CLI_FORMAT_KEY, "FORMAT", 0, "json, or a Go template as in Docker", 0},
	{NULL, 'f', 0, OPTION_ALIAS, NULL, 0},
	{0},
};

static const struct argp_option no_options[] = {{0}};
/* clang-format on */

static const struct argp images_argp = {list_options, images_parse, "[REPOSITORY[:TAG]]",
	"List the images in the store.\v"
	"SIZE is the size of the layers as stored, which may be compressed.",
	NULL, NULL, NULL};
static const struct argp history_argp = {history_options, images_parse, "IMAGE",
	"Show how an image was made, step by step.", NULL, NULL, NULL};
static const struct argp rmi_argp = {remove_options, images_parse, "IMAGE...",
	"Remove images, by name or id.\v"
	"An image with several names loses only the given one. Data that no other image needs is removed with it.",
	NULL, NULL, NULL};
static const struct argp tag_argp = {no_options, images_parse, "IMAGE NAME[:TAG]",
	"Give an image another name.", NULL, NULL, NULL};
static const struct argp image_inspect_argp = {inspect_options, images_parse_inspect, "IMAGE...",
	"Show images as JSON, in Docker's format.", NULL, NULL, NULL};
static const struct argp prune_argp = {prune_options, images_parse, NULL,
	"Remove images without a name, and all data in the store that no image needs.", NULL, NULL,
	NULL};

int cmd_images(int argc, char **argv)
{
	return images_run(&images_argp, images_list, argc, argv);
}

int cmd_history(int argc, char **argv)
{
	return images_run(&history_argp, images_show_history, argc, argv);
}

int cmd_rmi(int argc, char **argv)
{
	return images_run(&rmi_argp, images_remove, argc, argv);
}

int cmd_tag(int argc, char **argv)
{
	return images_run(&tag_argp, images_tag, argc, argv);
}

int cmd_image_inspect(int argc, char **argv)
{
	return images_run(&image_inspect_argp, images_inspect, argc, argv);
}

int cmd_image_prune(int argc, char **argv)
{
	return images_run(&prune_argp, images_prune, argc, argv);
}
