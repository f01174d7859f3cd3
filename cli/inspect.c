// SPDX-License-Identifier: Apache-2.0
/* arrow inspect: all that is known of Arrows and images. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/format.h"
#include "cli/output/print.h"
#include "package/images.h"
#include "core/instance/inspect.h"
#include "core/instance/instance.h"
#include "util/cleanup.h"

enum { OPT_TYPE = 256 };

static const struct argp_option options[] = {
	{"format", 'f', "FORMAT", 0, "json, or a Go template as in Docker", 0},
	{"type", OPT_TYPE, "arrow|image", 0, "Inspect only Arrows or only images (Arrows first)",
		0},
	{0},
};

struct input {
	struct cli_names names;
	const char *format;
	bool arrows, images;
};

static error_t inspect_parse(int key, char *value, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'f':
		in->format = value;
		return 0;
	case OPT_TYPE:
		in->images = strcmp(value, "image") == 0;
		in->arrows = strcmp(value, "arrow") == 0 || strcmp(value, "container") == 0;
		if (!in->images && !in->arrows)
			argp_error(state, "--type takes arrow or image, not '%s'", value);
		return 0;
	case ARGP_KEY_ARG:
		cli_take_names(&in->names, value, state);
		return 0;
	case ARGP_KEY_END:
		if (in->names.n == 0)
			cli_argument_error(state, "requires an Arrow or image, by name or id");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp inspect_argp = {options, inspect_parse, "ARROW|IMAGE...",
	"Show details of Arrows and images as JSON, in Docker's format.", NULL, NULL, NULL};

static int inspect_find(const struct input *in, const struct arrow_paths *paths, const char *name,
	json_t **object, struct arrow_error *error)
{
	char id[ARROW_ID_HEX];
	int r = -ENOENT;

	if (in->arrows) {
		r = arrow_instance_find(paths, name, id, error);
		if (r == 0)
			return arrow_inspect(paths, id, object, error);
	}
	if (r == -ENOENT && in->images) {
		arrow_error_clear(error);
		r = arrow_images_inspect(paths, name, object, error);
		if (r == -ENOENT && in->arrows) {
			arrow_error_clear(error);
			return arrow_fail_status(error, 1, ENOENT,
				"no such Arrow or image: '%s'; 'arrow ps -a' and 'arrow images' list them",
				name);
		}
	}
	return r;
}

int cmd_inspect(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {.arrows = true, .images = true};
	struct arrow_paths paths = {0};
	json_t *found = json_array();
	int status = 0, printed = 0;

	cli_parse(&inspect_argp, argc, argv, 0, &in);
	if (cli_paths_init(&paths, &error) < 0)
		return cli_error(&error);
	for (int i = 0; i < in.names.n; i++) {
		json_t *object = NULL;

		if (inspect_find(&in, &paths, in.names.v[i], &object, &error) == 0) {
			json_array_append_new(found, object);
		} else {
			(void)cli_error(&error);
			status = 1;
		}
	}
	/* What was found is shown, whatever was not. */
	if (!in.format)
		printed = cli_print_json(found);
	else if (cli_format_rows(in.format, in.format, NULL, found, &error) < 0)
		printed = cli_error(&error);
	else
		printed = cli_flush();
	json_decref(found);
	arrow_paths_release(&paths);
	return printed ? printed : status;
}
