// SPDX-License-Identifier: Apache-2.0
#include "cli/input/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The entry that says whether an option takes a value: an alias is as the one before it. */
static const struct argp_option *option_resolve(const struct argp_option *o)
{
	while (o->flags & OPTION_ALIAS)
		o--;
	return o;
}

/* Whether its value is the next word, where none is attached. */
static bool option_takes_next(const struct argp_option *o)
{
	o = option_resolve(o);
	return o->arg && !(o->flags & OPTION_ARG_OPTIONAL);
}

static bool option_is_end(const struct argp_option *o)
{
	return !o->name && !o->key && !o->doc && !o->group;
}

/* The option of a name of so many bytes; exact: not one that only begins with it. */
static const struct argp_option *option_find(
	const struct argp_option *o, const char *name, size_t size, bool exact)
{
	for (; o && !option_is_end(o); o++)
		if (o->name && strncmp(o->name, name, size) == 0 &&
			(!exact || o->name[size] == '\0'))
			return o;
	return NULL;
}

static const struct argp_option *option_of_key(const struct argp_option *o, int key)
{
	for (; o && !option_is_end(o); o++)
		if (o->key == key)
			return o;
	return NULL;
}

/* Ends the command unless "--name" is an option that is written out. Returns whether its value is
 * the next word. */
static bool options_check_name(
	const struct argp *argp, const char *title, const char *name, size_t size)
{
	const struct argp_option *o = option_find(argp->options, name, size, true);

	if (o)
		return option_takes_next(o);
	if ((size == 4 && strncmp(name, "help", size) == 0) ||
		(size == 5 && strncmp(name, "usage", size) == 0))
		return false;
	o = option_find(argp->options, name, size, false);
	if (o && size > 0)
		fprintf(stderr, "%s: unknown option '--%.*s'; did you mean '--%s'?\n", title,
			(int)size, name, o->name);
	else
		fprintf(stderr, "%s: unknown option '--%.*s'; '%s --help' lists the options\n",
			title, (int)size, name, title);
	exit(ARROW_STATUS_ERROR);
}

/*
 * getopt_long(), which argp uses, takes the beginning of a name for the option, and has no switch
 * for that: '--pid host' would limit the number of processes. So names are checked before it.
 */
static void options_check(const struct argp *argp, int argc, char **argv, unsigned int flags)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *arg = argv[i];

		if (arg[0] != '-' || arg[1] == '\0') {
			if (flags & ARGP_IN_ORDER)
				return;
		} else if (arg[1] == '-') {
			size_t size = strcspn(arg + 2, "=");

			if (options_check_name(argp, argv[0], arg + 2, size) && !arg[2 + size])
				i++;
		} else {
			for (const char *c = arg + 1; *c; c++) {
				const struct argp_option *o = option_of_key(argp->options, *c);

				if (!o || !option_resolve(o)->arg)
					continue;
				i += c[1] == '\0' && option_takes_next(o);
				break;
			}
		}
	}
}

/* argp_parse() puts the command's argp below one of its own, together with --help. */
static const struct argp_option *argp_find_key(const struct argp *argp, int key)
{
	const struct argp_option *o = option_of_key(argp->options, key);

	for (const struct argp_child *c = argp->children; !o && c && c->argp; c++)
		o = argp_find_key(c->argp, key);
	return o;
}

void cli_name_option(const struct argp_state *state, int key, struct arrow_error *error)
{
	const struct argp_option *o = argp_find_key(state->root_argp, key);

	if (o && o->name && error->text && error->text[0] != '-')
		(void)arrow_error_prefix(error, 0, "--%s", o->name);
}

void cli_parse(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input)
{
	error_t r;

	argp_err_exit_status = ARROW_STATUS_ERROR;
	options_check(argp, argc, argv, flags);
	r = argp_parse(argp, argc, argv, flags, NULL, input);
	if (r) {
		fprintf(stderr, "arrow: %s\n", strerror(r));
		exit(ARROW_STATUS_ERROR);
	}
}

bool cli_format_is_json(const char *value, const struct argp_state *state)
{
	bool json = strcmp(value, "json") == 0;

	if (!json && strcmp(value, "table") != 0)
		argp_error(state, "--format takes table or json, not '%s'", value);
	return json;
}
