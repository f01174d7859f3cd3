// SPDX-License-Identifier: Apache-2.0
#include "cli/input/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/print.h"
#include "util/cleanup.h"
#include "util/text.h"

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

/* The option "--name", or NULL for argp's own; what is none ends the command. */
static const struct argp_option *options_require(
	const struct argp *argp, const char *title, const char *name, size_t size)
{
	const struct argp_option *o = option_find(argp->options, name, size, true);

	if (o || (size == 4 && strncmp(name, "help", size) == 0) ||
		(size == 5 && strncmp(name, "usage", size) == 0))
		return o;
	o = option_find(argp->options, name, size, false);
	if (o && size > 0)
		fprintf(stderr, "%s: unknown option '--%.*s'; did you mean '--%s'?\n", title,
			(int)size, name, o->name);
	else
		fprintf(stderr, "%s: unknown option '--%.*s'; '%s --help' lists the options\n",
			title, (int)size, name, title);
	exit(ARROW_STATUS_ERROR);
}

/* The words of a command line, as they are gone through. */
struct option_words {
	const struct argp *argp;
	char **v;
	const struct argp_option **flags; /* for each word: the option without a value that it is */
	int n, at;
};

/* "--name", "--name=value": steps over its value. --flag=true and =false become what argp knows. */
static void options_check_long(struct option_words *w)
{
	char *name = w->v[w->at] + 2;
	size_t size = strcspn(name, "=");
	const struct argp_option *o = options_require(w->argp, w->v[0], name, size);
	int yes;

	if (!o || option_resolve(o)->arg) {
		w->at += o && option_takes_next(o) && !name[size];
		return;
	}
	w->flags[w->at] = o;
	if (!name[size])
		return;
	yes = text_parse_bool(name + size + 1);
	if (yes < 0) {
		fprintf(stderr, "%s: --%.*s takes true or false, not '%s'\n", w->v[0], (int)size,
			name, name + size + 1);
		exit(ARROW_STATUS_ERROR);
	}
	name[size] = '\0';
	/* The last one counts. */
	for (int i = 1; !yes && i <= w->at; i++)
		if (w->flags[i] == o)
			w->v[i] = NULL;
}

/* "-it", "-m1g", "-m 1g" */
static void options_check_short(struct option_words *w)
{
	for (const char *c = w->v[w->at] + 1; *c; c++) {
		const struct argp_option *o = option_of_key(w->argp->options, *c);

		if (o && option_resolve(o)->arg) {
			w->at += c[1] == '\0' && option_takes_next(o);
			return;
		}
	}
}

/*
 * getopt_long(), which argp uses, takes the beginning of a name for the option, and has no switch
 * for that: '--pid host' would limit the number of processes. So names are checked before it.
 * Returns how many words there are now.
 */
static int options_check(const struct argp *argp, int argc, char **argv, unsigned int flags)
{
	struct option_words w = {.argp = argp, .v = argv, .n = argc, .at = 1};
	int kept = 1;

	w.flags = calloc((size_t)argc + 1, sizeof(const struct argp_option *));
	if (!w.flags) {
		fprintf(stderr, "%s: out of memory\n", argv[0]);
		exit(ARROW_STATUS_ERROR);
	}
	for (; w.at < w.n && strcmp(argv[w.at], "--") != 0; w.at++) {
		const char *arg = argv[w.at];

		if (arg[0] != '-' || arg[1] == '\0') {
			if (flags & ARGP_IN_ORDER)
				break;
		} else if (arg[1] == '-') {
			options_check_long(&w);
		} else {
			options_check_short(&w);
		}
	}
	free(w.flags);
	for (int i = 1; i < argc; i++)
		if (argv[i])
			argv[kept++] = argv[i];
	argv[kept] = NULL;
	return kept;
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

void cli_argument_error(const struct argp_state *state, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	argp_err_exit_status = CLI_FAILED;
	argp_error(state, "%s", text ? text : "out of memory");
}

void cli_parse(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input)
{
	error_t r;

	argp_err_exit_status = ARROW_STATUS_ERROR;
	argc = options_check(argp, argc, argv, flags);
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
