// SPDX-License-Identifier: Apache-2.0
/* arrow kernel: builds, shows and removes the kernels that Arrows run on. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "kernel/build.h"
#include "util/cleanup.h"
#include "util/error.h"
#include "util/io.h"
#include "util/paths.h"

#define MIB (1024.0 * 1024.0)
#define BAR_WIDTH 24u
#define PLAIN_STEP 25u /* percent between two lines of a progress that goes to a file */

/* Options of all kernel commands; each takes those that its table has. */
struct kernel_args {
	const char *source;
	unsigned int jobs;
	bool json;
	bool verify;
	int status;   /* to exit with, where a command ends without an error */
	char **names; /* the words that are not options */
	int n_names;
};

enum { KEY_SOURCE = 256, KEY_VERIFY };

static error_t kernel_parse(int key, char *value, struct argp_state *state)
{
	struct kernel_args *args = state->input;
	char *end;
	unsigned long n;

	switch (key) {
	case 'j':
		n = strtoul(value, &end, 10);
		if (*end || end == value || *value == '-' || n < 1 || n > 1024)
			argp_error(
				state, "--jobs takes a number from 1 to 1024, not \"%s\"", value);
		args->jobs = (unsigned int)n;
		return 0;
	case KEY_SOURCE:
		args->source = value;
		return 0;
	case CLI_FORMAT_KEY:
		args->json = cli_format_is_json(value, state);
		return 0;
	case KEY_VERIFY:
		args->verify = true;
		return 0;
	case ARGP_KEY_ARGS:
		args->names = state->argv + state->next;
		args->n_names = state->argc - state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t kernel_parse_names(int key, char *value, struct argp_state *state)
{
	if (key == ARGP_KEY_NO_ARGS)
		cli_argument_error(
			state, "requires the name of a kernel; 'arrow kernel ls' lists them");
	return kernel_parse(key, value, state);
}

static error_t kernel_parse_no_names(int key, char *value, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		cli_argument_error(state, "takes no name; use 'arrow kernel inspect %s'", value);
	return key == ARGP_KEY_ARGS ? ARGP_ERR_UNKNOWN : kernel_parse(key, value, state);
}

typedef int (*kernel_work)(
	struct kernel_args *args, struct arrow_paths *paths, struct arrow_error *error);

/* How the progress is drawn. */
struct progress {
	bool terminal;
	unsigned int last; /* percent, or UINT_MAX before the first */
	char profile[64];  /* whose progress was drawn last */
};

static void clear_line(const struct progress *p)
{
	if (p->terminal)
		fputs("\r\033[K", stderr);
}

static void draw_bar(const struct arrow_kernel_progress *now)
{
	char bar[BAR_WIDTH + 1];

	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '#', BAR_WIDTH * now->percent / 100);
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r\033[Kkernel %s [%s] %3u%% %u:%02u %.30s", now->profile, bar,
		now->percent, now->seconds / 60, now->seconds % 60, now->doing);
}

static void kernel_draw(const struct arrow_kernel_progress *now, void *arg)
{
	struct progress *p = arg;
	bool begins = strcmp(p->profile, now->profile) != 0;

	if (p->terminal) {
		draw_bar(now);
	} else if (begins) {
		fprintf(stderr, "kernel %s: building, which takes a few minutes\n", now->profile);
	} else if (now->percent / PLAIN_STEP > p->last / PLAIN_STEP) {
		fprintf(stderr, "kernel %s: %u %% after %u s\n", now->profile, now->percent,
			now->seconds);
	}
	p->last = now->percent;
	if (begins)
		snprintf(p->profile, sizeof(p->profile), "%s", now->profile);
}

static void draw_waiting(void *arg)
{
	fputs("waiting for another build to end\n", stderr);
}

static volatile sig_atomic_t cancelled;

static void kernel_cancel(int sig)
{
	cancelled = sig;
}

static int kernel_build(
	struct kernel_args *args, struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_strv_ char **all = arrow_kernel_profiles();
	const char *const *names = (const char *const *)(args->n_names ? args->names : all);
	struct progress progress = {.terminal = isatty(STDERR_FILENO) == 1};
	struct arrow_kernel_build_options options = {
		.source = args->source,
		.path = cli_settings_variable("PATH"),
		.jobs = args->jobs,
		.progress = kernel_draw,
		.waiting = draw_waiting,
		.arg = &progress,
		.cancel = &cancelled,
	};
	_cleanup_free_ struct arrow_kernel_built *built = NULL;
	struct sigaction sa = {.sa_handler = kernel_cancel};
	size_t n = 0;
	int r;

	while (names && names[n])
		n++;
	built = calloc(n + 1, sizeof(*built));
	if (!built || !names)
		return arrow_fail(error, ENOMEM, "out of memory");
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);

	r = arrow_kernel_build(paths->data, names, &options, built, error);
	clear_line(&progress);
	for (size_t i = 0; r == 0 && i < n; i++) {
		printf("kernel %s: %s, %.12s, %.1f MiB", names[i],
			built[i].fresh ? "built" : "up to date", built[i].id,
			(double)built[i].size / MIB);
		if (built[i].fresh)
			printf(", in %u s", built[i].seconds);
		putchar('\n');
	}
	return r;
}

static const char *text_of(const json_t *kernel, const char *key)
{
	const char *text = json_string_value(json_object_get(kernel, key));

	return text ? text : "-";
}

static char *id_text(const json_t *kernel, const void *arg)
{
	return strndup(text_of(kernel, "id"), 12);
}

static char *size_text(const json_t *kernel, const void *arg)
{
	return human_binary_size(
		(unsigned long long)json_integer_value(json_object_get(kernel, "size")));
}

static int kernel_ls(struct kernel_args *args, struct arrow_paths *paths, struct arrow_error *error)
{
	static const struct cli_column columns[] = {{"PROFILE", "profile", NULL},
		{"ID", NULL, id_text}, {"VERSION", "version", NULL}, {"SIZE", NULL, size_text},
		{"BUILT", "created", NULL}, {"STATE", "state", NULL}, {0}};
	json_t *list;
	int r = arrow_kernel_list(paths->stores, args->verify, &list, error);

	if (r < 0)
		return r;
	args->status = args->json ? cli_print_json(list) : cli_print_table(list, columns, NULL);
	json_decref(list);
	return 0;
}

/* Whether a kernel of the list is meant by a profile's name or the beginning of an id. */
static bool is_meant(const json_t *kernel, const char *name)
{
	if (strcmp(text_of(kernel, "profile"), name) == 0)
		return strcmp(text_of(kernel, "state"), "current") == 0;
	return strlen(name) >= 8 && strncmp(text_of(kernel, "id"), name, strlen(name)) == 0;
}

static int kernel_inspect(
	struct kernel_args *args, struct arrow_paths *paths, struct arrow_error *error)
{
	json_t *list, *kernel, *found = json_array();
	int r = arrow_kernel_list(paths->stores, args->verify, &list, error);
	size_t at;

	if (r < 0) {
		json_decref(found);
		return r;
	}
	for (int i = 0; i < args->n_names && r == 0; i++) {
		size_t before = json_array_size(found);

		json_array_foreach (list, at, kernel) {
			if (is_meant(kernel, args->names[i]))
				json_array_append(found, kernel);
		}
		if (json_array_size(found) == before)
			r = arrow_fail(error, ENOENT,
				"no such kernel: %s; 'arrow kernel ls' lists them", args->names[i]);
	}
	if (r == 0)
		args->status = cli_print_json(found);
	json_decref(found);
	json_decref(list);
	return r;
}

static int kernel_rm(struct kernel_args *args, struct arrow_paths *paths, struct arrow_error *error)
{
	for (int i = 0; i < args->n_names; i++) {
		int r = arrow_kernel_remove(paths->data, args->names[i], error);

		if (r < 0)
			return r;
		printf("%s\n", args->names[i]);
	}
	return 0;
}

static const struct argp_option build_options[] = {
	{"jobs", 'j', "N", 0, "Number of parallel compilers (one per CPU)", 0},
	{"source", KEY_SOURCE, "FILE", 0,
		"Build from this archive (the newest /usr/src/linux-source-*.tar.xz)", 0},
	{0},
};

static const struct argp_option ls_options[] = {
	CLI_FORMAT_OPTION,
	{"verify", KEY_VERIFY, NULL, 0, "Compare each kernel to its digest", 0},
	{0},
};

static const struct argp_option inspect_options[] = {
	{"verify", KEY_VERIFY, NULL, 0, "Compare each kernel to its digest", 0},
	{"format", CLI_FORMAT_KEY, "json", OPTION_HIDDEN, NULL, 0},
	{0},
};

/* clang-format off */
static const struct argp build_argp = {build_options, kernel_parse, "[PROFILE...]",
	"Build the kernels of profiles, or of all profiles.\v"
	"A kernel that is there already, made from the same configuration, source and compiler, is not built again.",
	NULL, NULL, NULL};
static const struct argp ls_argp = {
	ls_options, kernel_parse_no_names, NULL, "List kernels.", NULL, NULL, NULL};
static const struct argp inspect_argp = {inspect_options, kernel_parse_names, "KERNEL...",
	"Show details of kernels, given by profile or id, as JSON.", NULL, NULL, NULL};
static const struct argp rm_argp = {
	NULL, kernel_parse_names, "KERNEL...", "Remove kernels, given by profile or id.", NULL, NULL, NULL};
/* clang-format on */

static int kernel_run(const struct argp *argp, kernel_work work, int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct kernel_args args = {0};
	struct arrow_paths paths;
	int r;

	cli_parse(argp, argc, argv, 0, &args);
	r = cli_paths_init(&paths, &error);
	if (r < 0)
		return cli_error(&error);
	r = work(&args, &paths, &error);
	arrow_paths_release(&paths);
	if (r == 0)
		return args.status;
	r = cli_error(&error);
	if (cancelled) {
		/* So that a shell sees what happened, and ends a script that called us. */
		signal(cancelled, SIG_DFL);
		raise(cancelled);
	}
	return r;
}

int cmd_kernel_build(int argc, char **argv)
{
	return kernel_run(&build_argp, kernel_build, argc, argv);
}

int cmd_kernel_ls(int argc, char **argv)
{
	return kernel_run(&ls_argp, kernel_ls, argc, argv);
}

int cmd_kernel_inspect(int argc, char **argv)
{
	return kernel_run(&inspect_argp, kernel_inspect, argc, argv);
}

int cmd_kernel_rm(int argc, char **argv)
{
	return kernel_run(&rm_argp, kernel_rm, argc, argv);
}
