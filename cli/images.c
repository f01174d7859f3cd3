// SPDX-License-Identifier: Apache-2.0
/* arrow images, rmi, tag, history, and the same below arrow image. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/each.h"
#include "cli/human.h"
#include "cli/table.h"
#include "core/images.h"
#include "util/cleanup.h"
#include "util/io.h"

#define SHORT_ID 12

enum { OPT_NO_TRUNC = 256, OPT_DIGESTS, OPT_NO_PRUNE };

struct input {
	struct arrow_strings names, filters;
	bool quiet, all, force, no_trunc, digests, json, ids;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'q':
		in->quiet = true;
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case 'f':
		/* A filter of a list takes a value, the force of a removal none. */
		if (arg && arrow_strings_add(&in->filters, arg) < 0)
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
	case CLI_FORMAT_KEY:
		in->json = cli_format_is_json(arg, state);
		return 0;
	case ARGP_KEY_ARG:
		return arrow_strings_add(&in->names, arg) < 0 ? ENOMEM : 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

/* As docker shows an id: 12 digits, or all of it with its algorithm. */
static char *id_of(const json_t *row, bool whole)
{
	const char *id = text_of(row, "id");

	if (whole || strncmp(id, "sha256:", 7) != 0)
		return strdup(id);
	return path_format("%.*s", SHORT_ID, id + 7);
}

static char *id_text(const json_t *row, const void *arg)
{
	return id_of(row, ((const struct input *)arg)->no_trunc);
}

static char *age_text(const json_t *row, const void *arg)
{
	_cleanup_free_ char *age = human_age(text_of(row, "created"), time(NULL));

	return age && strcmp(age, "N/A") != 0 ? path_format("%s ago", age) : STEAL(age);
}

static char *size_text(const json_t *row, const void *arg)
{
	return human_size((unsigned long long)json_integer_value(json_object_get(row, "size")));
}

static char *digest_text(const json_t *row, const void *arg)
{
	const char *name = text_of(row, "name");

	return strdup(*name ? text_of(row, "digest") : "<none>");
}

/* One line of history: what made it, cut as docker cuts it. */
static char *created_by_text(const json_t *row, const void *arg)
{
	const char *by = text_of(row, "created_by");
	bool cut = !((const struct input *)arg)->no_trunc && strlen(by) > 45;

	return cut ? path_format("%.44s…", by) : strdup(by);
}

static bool is_true(const char *text)
{
	return strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
}

/* Whether a row passes "key=value". Fails for a key that is unknown. */
static int passes(const json_t *row, const char *filter, bool *yes, struct arrow_error *error)
{
	const char *value = strchr(filter, '=');
	const char *name = text_of(row, "name"), *label, *equal;
	_cleanup_free_ char *key = NULL, *tagged = NULL;

	if (!value)
		return arrow_fail(error, EINVAL, "a filter is KEY=VALUE, not '%s'", filter);
	if (strncmp(filter, "dangling=", 9) == 0) {
		*yes = (*name == '\0') == is_true(value + 1);
		return 0;
	}
	if (strncmp(filter, "reference=", 10) == 0) {
		tagged = path_format("%s:%s", text_of(row, "repository"), text_of(row, "tag"));
		*yes = tagged &&
		       (fnmatch(value + 1, tagged, FNM_PATHNAME) == 0 ||
			       fnmatch(value + 1, text_of(row, "repository"), FNM_PATHNAME) == 0);
		return 0;
	}
	if (strncmp(filter, "label=", 6) == 0) {
		equal = strchr(value + 1, '=');
		key = strndup(value + 1, equal ? (size_t)(equal - value - 1) : strlen(value + 1));
		label = key ? json_string_value(
				      json_object_get(json_object_get(row, "labels"), key))
			    : NULL;
		*yes = label && (!equal || strcmp(label, equal + 1) == 0);
		return 0;
	}
	return arrow_fail(error, EINVAL,
		"there is no filter '%s'; there are dangling, label and reference", filter);
}

/* Takes away what the filters and a name on the command line do not let through. */
static int filter_rows(const struct input *in, json_t *rows, struct arrow_error *error)
{
	for (size_t i = json_array_size(rows); i-- > 0;) {
		const json_t *row = json_array_get(rows, i);
		bool yes = true;

		for (size_t k = 0; yes && k < in->filters.n; k++) {
			int e = passes(row, in->filters.v[k], &yes, error);

			if (e < 0)
				return e;
		}
		if (yes && in->names.n == 1) {
			_cleanup_free_ char *tagged = path_format(
				"%s:%s", text_of(row, "repository"), text_of(row, "tag"));

			yes = strcmp(in->names.v[0], text_of(row, "repository")) == 0 ||
			      (tagged && strcmp(in->names.v[0], tagged) == 0);
		}
		if (!yes)
			json_array_remove(rows, i);
	}
	return 0;
}

static int list(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	static const struct cli_column plain[] = {{"REPOSITORY", "repository", NULL},
		{"TAG", "tag", NULL}, {"IMAGE ID", NULL, id_text}, {"CREATED", NULL, age_text},
		{"SIZE", NULL, size_text}, {0}};
	static const struct cli_column digests[] = {{"REPOSITORY", "repository", NULL},
		{"TAG", "tag", NULL}, {"DIGEST", NULL, digest_text}, {"IMAGE ID", NULL, id_text},
		{"CREATED", NULL, age_text}, {"SIZE", NULL, size_text}, {0}};
	static const struct cli_column quiet[] = {{NULL, NULL, id_text}, {0}};
	json_t *rows;
	int e;

	if (in->names.n > 1)
		return arrow_fail(error, EINVAL, "name one repository, or none");
	e = arrow_images_list(paths, &rows, error);
	if (e < 0)
		return e;
	e = filter_rows(in, rows, error);
	if (e == 0 && in->json)
		e = cli_print_json(rows);
	else if (e == 0)
		e = cli_print_table(rows, in->quiet ? quiet : in->digests ? digests : plain, in);
	json_decref(rows);
	return e;
}

static int history(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	static const struct cli_column columns[] = {{"IMAGE", NULL, id_text},
		{"CREATED", NULL, age_text}, {"CREATED BY", NULL, created_by_text},
		{"SIZE", NULL, size_text}, {"COMMENT", "comment", NULL}, {0}};
	static const struct cli_column quiet[] = {{NULL, NULL, id_text}, {0}};
	json_t *rows;
	int e;

	if (in->names.n != 1)
		return arrow_fail(error, EINVAL, "name one image");
	e = arrow_images_history(paths, in->names.v[0], &rows, error);
	if (e < 0)
		return e;
	e = in->json ? cli_print_json(rows)
		     : cli_print_table(rows, in->quiet ? quiet : columns, in);
	json_decref(rows);
	return e;
}

static int inspect(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	json_t *all = json_array(), *one;
	int e = 0, status;

	if (in->names.n == 0)
		e = arrow_fail(error, EINVAL, "name the images to inspect");
	for (size_t i = 0; e == 0 && i < in->names.n; i++) {
		e = arrow_images_inspect(paths, in->names.v[i], &one, error);
		if (e == 0)
			json_array_append_new(all, one);
	}
	/* What was found is shown, as docker does. */
	if (e == 0 || json_array_size(all) > 0) {
		status = cli_print_json(all);
		e = e < 0 ? e : status;
	}
	json_decref(all);
	return e;
}

static void print_log(const struct arrow_strings *log)
{
	for (size_t i = 0; i < log->n; i++)
		puts(log->v[i]);
}

/* Every image is tried; the exit status tells of the first that could not be removed. */
static int remove_images(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	int status = 0;

	if (in->names.n == 0)
		return arrow_fail(error, EINVAL, "name the images to remove");
	for (size_t i = 0; i < in->names.n; i++) {
		_cleanup_error_ struct arrow_error one = ARROW_ERROR_INIT;
		struct arrow_strings log = {0};

		if (arrow_images_remove(paths, in->names.v[i], in->force, &log, &one) < 0) {
			fprintf(stderr, "arrow: %s\n", one.text);
			status = 1;
		}
		print_log(&log);
		arrow_strings_release(&log);
	}
	return cli_flush() ? ARROW_STATUS_ERROR : status;
}

static int tag(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	if (in->names.n != 2)
		return arrow_fail(error, EINVAL, "name an image, and its new name");
	return arrow_images_tag(paths, in->names.v[0], in->names.v[1], error);
}

static int prune(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	_cleanup_free_ char *size = NULL;
	struct arrow_strings log = {0};
	uint64_t bytes = 0;
	int e = in->names.n ? arrow_fail(error, EINVAL, "prune takes no names")
			    : arrow_images_prune(paths, in->all, &log, &bytes, error);

	if (e == 0) {
		size = human_size(bytes);
		if (log.n > 0)
			puts("Deleted Images:");
		print_log(&log);
		printf("%sTotal reclaimed space: %s\n", log.n ? "\n" : "", size ? size : "?");
		e = cli_flush();
	}
	arrow_strings_release(&log);
	return e;
}

static int run(const struct argp *argp, cli_work work, int argc, char **argv)
{
	struct input in = {0};
	int status;

	cli_parse(argp, argc, argv, 0, &in);
	status = cli_with_paths(work, &in);
	arrow_strings_release(&in.names);
	arrow_strings_release(&in.filters);
	return status;
}

/* clang-format off */
#define NO_TRUNC_OPTION {"no-trunc", OPT_NO_TRUNC, 0, 0, "Show ids and texts whole", 0}

static const struct argp_option list_options[] = {
	{"quiet", 'q', 0, 0, "Show ids only", 0},
	{"all", 'a', 0, 0, "Accepted for Docker's sake; always so", 0},
	{"filter", 'f', "KEY=VALUE", 0, "Show only: dangling=BOOL, reference=PATTERN, label=KEY[=VALUE]", 0},
	{"digests", OPT_DIGESTS, 0, 0, "Show digests", 0},
	NO_TRUNC_OPTION, CLI_FORMAT_OPTION, {0},
};

static const struct argp_option history_options[] = {
	{"quiet", 'q', 0, 0, "Show ids only", 0},
	NO_TRUNC_OPTION, CLI_FORMAT_OPTION, {0},
};

static const struct argp_option remove_options[] = {
	{"force", 'f', 0, 0, "Also with several names, or used by an Arrow", 0},
	{"no-prune", OPT_NO_PRUNE, 0, 0, "Accepted for Docker's sake", 0},
	{0},
};

static const struct argp_option prune_options[] = {
	{"all", 'a', 0, 0, "Also images that no Arrow uses, and root images of programs and directories", 0},
	{"force", 'f', 0, 0, "Accepted for Docker's sake; nothing is asked", 0},
	{0},
};

static const struct argp_option no_options[] = {{0}};
/* clang-format on */

const struct argp images_argp = {list_options, parse, "[REPOSITORY[:TAG]]",
	"List the images in the store.\v"
	"SIZE is that of the layers as they lie in the store, which may be packed.",
	NULL, NULL, NULL};
const struct argp history_argp = {
	history_options, parse, "IMAGE", "Show the steps that made an image.", NULL, NULL, NULL};
const struct argp rmi_argp = {remove_options, parse, "IMAGE...",
	"Remove images, by name or id.\v"
	"Of several names only the one that is given goes. What no image needs any more goes, too.",
	NULL, NULL, NULL};
const struct argp tag_argp = {
	no_options, parse, "IMAGE NAME[:TAG]", "Give an image another name.", NULL, NULL, NULL};
static const struct argp image_inspect_argp = {
	no_options, parse, "IMAGE...", "Show images as JSON, as docker does.", NULL, NULL, NULL};
static const struct argp prune_argp = {prune_options, parse, NULL,
	"Remove images without a name, and everything in the store that no image reaches.", NULL,
	NULL, NULL};

int cmd_images(int argc, char **argv)
{
	return run(&images_argp, list, argc, argv);
}

int cmd_history(int argc, char **argv)
{
	return run(&history_argp, history, argc, argv);
}

int cmd_rmi(int argc, char **argv)
{
	return run(&rmi_argp, remove_images, argc, argv);
}

int cmd_tag(int argc, char **argv)
{
	return run(&tag_argp, tag, argc, argv);
}

static int cmd_image_inspect(int argc, char **argv)
{
	return run(&image_inspect_argp, inspect, argc, argv);
}

static int cmd_prune(int argc, char **argv)
{
	return run(&prune_argp, prune, argc, argv);
}

static const struct command subcommands[] = {
	{"ls", cmd_images, "list the images in the store", NULL},
	{"rm", cmd_rmi, "remove images", NULL},
	{"inspect", cmd_image_inspect, "show images as JSON", NULL},
	{"history", cmd_history, "show the steps that made an image", NULL},
	{"prune", cmd_prune, "remove what no name and no image leads to", NULL},
	{"tag", cmd_tag, "give an image another name", NULL},
	{"build", cmd_build, "make an image of a program or directory", NULL},
	{"import", cmd_import, "make an image of a root file system or archive", NULL},
	{"export", cmd_export, "write an image as a layout, an archive or a folder", NULL},
	{"load", cmd_load, "read images from an archive", NULL},
	{"save", cmd_save, "write images to an archive", NULL},
	{"pull", cmd_registry, "download an image from a registry", NULL},
	{"push", cmd_registry, "upload an image to a registry", NULL},
	{"sign", cmd_sign, "sign an image with a key", NULL},
	{"verify", cmd_verify, "tell whether a key has signed an image", NULL},
	{NULL, NULL, NULL, NULL},
};

int cmd_image(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";
	char title[64];

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "-?") == 0) {
		fputs("Usage: arrow image COMMAND [OPTION...]\nManage images.\n\nCommands:\n",
			stdout);
		for (const struct command *c = subcommands; c->name; c++)
			printf("  %-12s %s\n", c->name, c->summary);
		fputs("\n'arrow image COMMAND --help' lists the options of a command.\n", stdout);
		return cli_flush();
	}
	for (const struct command *c = subcommands; c->name; c++) {
		if (strcmp(c->name, name) != 0)
			continue;
		/* The registry's commands are named by argv[0] alone. */
		snprintf(title, sizeof(title), "arrow %s%s",
			c->main == cmd_registry ? "" : "image ", name);
		argv[1] = title;
		return c->main(argc - 1, argv + 1);
	}
	fprintf(stderr, "arrow: no such command: image %s; 'arrow image --help' lists them\n",
		name);
	return ARROW_STATUS_ERROR;
}
