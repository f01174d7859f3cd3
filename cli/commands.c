// SPDX-License-Identifier: Apache-2.0
/* The commands by name, their groups, and `arrow help`. */
#include "cli/commands.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/print.h"
#include "util/cleanup.h"

struct command {
	const char *name;
	const char *summary;               /* one line for the help of its group */
	int (*run)(int argc, char **argv); /* NULL for a group */
	const struct command *commands;    /* of a group */
};

#define COMMAND(name, function, summary) {#name, summary, cmd_##function, NULL},
#define GROUP(name, NAME, summary) {#name, summary, NULL, name##_commands},
#define GROUP_LIST(name, NAME, summary)                                                            \
	static const struct command name##_commands[] = {CLI_##NAME##_COMMANDS(COMMAND) END};
#define NO_COMMAND(name, function, summary)
#define END                                                                                        \
	{                                                                                          \
		NULL, NULL, NULL, NULL                                                             \
	}

/* clang-format off */
CLI_COMMANDS(NO_COMMAND, GROUP_LIST)
static const struct command all_commands[] = {CLI_COMMANDS(COMMAND, GROUP) END};
/* clang-format on */

static const struct command arrow = {
	"arrow", "run each Linux program as its own microVM", NULL, all_commands};

static void print_help(FILE *f, const struct command *group, const char *title)
{
	fprintf(f, "Usage: %s COMMAND [OPTION...]\n%c%s.\n\nCommands:\n", title,
		toupper((unsigned char)group->summary[0]), group->summary + 1);
	for (const struct command *c = group->commands; c->name; c++)
		fprintf(f, "  %-12s %s\n", c->name, c->summary);
	if (group == &arrow)
		fputs("  help         show this page, or 'arrow help COMMAND'\n\n"
		      "  --version    print the version of Arrow\n",
			f);
	if (group->commands == container_commands)
		fputs("\nAll other commands work here too, such as 'arrow container run' for 'arrow run'.\n",
			f);
	fprintf(f, "\n'%s COMMAND --help' lists the options of a command.\n", title);
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "-?") == 0;
}

static const struct command *find_command(const struct command *group, const char *name)
{
	/* As Docker, whose lists have both names. */
	if (group != &arrow && strcmp(name, "list") == 0)
		name = "ls";
	for (const struct command *c = group->commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	/* A group there is no command of an Arrow. */
	if (group->commands == container_commands)
		for (const struct command *c = all_commands; c->name; c++)
			if (c->run && strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

/* Runs argv[0] of a group. title: the group's, "arrow" or "arrow kernel". */
static int run_of_group(const struct command *group, const char *title, int argc, char **argv)
{
	const struct command *c = find_command(group, argv[0]);
	char whole[64];

	if (!c) {
		/* "image" of "arrow image" */
		fprintf(stderr, "arrow: no such command:%s %s; '%s --help' lists them\n",
			title + strlen(arrow.name), argv[0], title);
		/* As Docker: an option that it does not know. */
		return argv[0][0] == '-' ? ARROW_STATUS_ERROR : CLI_FAILED;
	}
	/* argp's messages and usage begin with argv[0]. */
	snprintf(whole, sizeof(whole), "%.32s %.24s", title, c->name);
	argv[0] = whole;
	if (c->run)
		return c->run(argc, argv);
	/* As Docker: no wrong use, but not what a script reads. */
	if (argc < 2) {
		print_help(stderr, c, whole);
		return 0;
	}
	if (is_help(argv[1])) {
		print_help(stdout, c, whole);
		return cli_flush();
	}
	return run_of_group(c, whole, argc - 1, argv + 1);
}

/* arrow help [COMMAND...]: what `arrow COMMAND... --help` prints. */
static int run_help(int argc, char **argv)
{
	_cleanup_free_ char **words = calloc((size_t)argc + 2, sizeof(*words));

	if (argc == 0) {
		print_help(stdout, &arrow, "arrow");
		return cli_flush();
	}
	if (!words) {
		fputs("arrow: out of memory\n", stderr);
		return CLI_FAILED;
	}
	memcpy(words, argv, (size_t)argc * sizeof(*words));
	words[argc] = (char *)"--help";
	return run_of_group(&arrow, "arrow", argc + 1, words);
}

int cli_run_command(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr, &arrow, "arrow");
		return 0;
	}
	if (is_help(argv[1]))
		return run_help(0, NULL);
	if (strcmp(argv[1], "help") == 0)
		return run_help(argc - 2, argv + 2);
	if (strcmp(argv[1], "--version") == 0)
		argv[1] = (char *)"version";
	return run_of_group(&arrow, "arrow", argc - 1, argv + 1);
}
