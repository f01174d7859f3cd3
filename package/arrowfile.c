// SPDX-License-Identifier: Apache-2.0
/* The Arrowfile: a flat YAML document, read with libyaml; docs/build.md describes its keys. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "package/build.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

#define FILE_MAX (1u << 20) /* bytes */

/* One key, and where its text goes. */
struct reader {
	struct arrow_build *build;
	struct arrow_build fresh; /* what the file says, before it is merged */
	yaml_parser_t parser;
	const char *directory;
	struct arrow_error *error;
};

static int fail_at(struct reader *r, size_t line, const char *what)
{
	return arrow_fail(r->error, EINVAL, "line %zu: %s", line + 1, what);
}

static int arrowfile_next(struct reader *r, yaml_event_t *event)
{
	if (yaml_parser_parse(&r->parser, event))
		return 0;
	return arrow_fail(r->error, EINVAL, "line %zu: not valid YAML: %s",
		r->parser.problem_mark.line + 1,
		r->parser.problem ? r->parser.problem : "unreadable");
}

/* A path of the file is relative to where the file is; a name is looked for in PATH. */
static char *file_path(const struct reader *r, const char *text)
{
	return text[0] == '/' || !strchr(text, '/') ? strdup(text)
						    : path_format("%s/%s", r->directory, text);
}

static int set_once(struct reader *r, char **where, char *value)
{
	if (!value)
		return arrow_no_memory(r->error);
	free(*where);
	*where = value;
	return 0;
}

/* One value of a key. */
static int arrowfile_take_text(struct reader *r, const char *key, const char *value)
{
	struct arrow_build *b = &r->fresh;

	if (strcmp(key, "name") == 0)
		return arrow_strings_add(&b->names, value) < 0 ? arrow_no_memory(r->error) : 0;
	if (strcmp(key, "program") == 0 || strcmp(key, "directory") == 0) {
		if (b->source)
			return arrow_fail(
				r->error, EINVAL, "give either a program or a directory, not both");
		return set_once(r, &b->source,
			key[0] == 'd' && !strchr(value, '/')
				? path_format("%s/%s", r->directory, value)
				: file_path(r, value));
	}
	if (strcmp(key, "entrypoint") == 0)
		return arrow_build_words(&b->entrypoint, value, r->error);
	if (strcmp(key, "cmd") == 0)
		return arrow_build_words(&b->cmd, value, r->error);
	if (strcmp(key, "env") == 0)
		return arrow_build_env(b, value, r->error);
	if (strcmp(key, "ports") == 0)
		return arrow_build_port(b, value, r->error);
	if (strcmp(key, "volumes") == 0)
		return arrow_build_volume(b, value, r->error);
	if (strcmp(key, "labels") == 0)
		return arrow_build_label(b, value, r->error);
	if (strcmp(key, "workdir") == 0)
		return arrow_build_workdir(b, value, r->error);
	if (strcmp(key, "stop-signal") == 0)
		return arrow_build_signal(b, value, r->error);
	if (strcmp(key, "memory") == 0)
		return arrow_build_memory(b, value, r->error);
	if (strcmp(key, "cpus") == 0)
		return arrow_build_cpus(b, value, r->error);
	if (strcmp(key, "restart") == 0)
		return arrow_build_restart(b, value, r->error);
	if (strcmp(key, "with-kernel") == 0) {
		int truth = text_parse_bool(value);

		b->with_kernel = truth == 1;
		return truth < 0 ? arrow_fail(r->error, EINVAL, "with-kernel is true or false") : 0;
	}
	if (strcmp(key, "user") == 0)
		return set_once(r, &b->user, strdup(value));
	if (strcmp(key, "kernel") == 0)
		return set_once(r, &b->kernel, strdup(value));
	return arrow_fail(
		r->error, EINVAL, "there is no key '%.64s'; docs/build.md lists them", key);
}

static const char *arrowfile_scalar(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	return strlen(text) == event->data.scalar.length ? text : NULL;
}

static int take_scalar(struct reader *r, const char *key, const yaml_event_t *event)
{
	const char *text = arrowfile_scalar(event);
	int e;

	if (!text)
		return fail_at(r, event->start_mark.line, "there is a NUL byte");
	e = arrowfile_take_text(r, key, text);
	return e < 0 ? arrow_error_prefix(r->error, e, "line %zu", event->start_mark.line + 1) : 0;
}

/* "env:" and "labels:" may be written as NAME: VALUE, too. */
static int take_pair(struct reader *r, const char *key, const char *name)
{
	_cleanup_free_ char *pair = NULL;
	yaml_event_t event;
	size_t line;
	int e = arrowfile_next(r, &event);

	if (e < 0)
		return e;
	line = event.start_mark.line;
	if (event.type != YAML_SCALAR_EVENT || !arrowfile_scalar(&event))
		e = fail_at(r, line, "a name has one value");
	else if (!(pair = path_format("%s=%s", name, arrowfile_scalar(&event))))
		e = arrow_no_memory(r->error);
	yaml_event_delete(&event);
	if (e < 0)
		return e;
	e = arrowfile_take_text(r, key, pair);
	return e < 0 ? arrow_error_prefix(r->error, e, "line %zu", line + 1) : 0;
}

/* The items of a list, or of a map for what has pairs. */
static int take_items(struct reader *r, const char *key, yaml_event_type_t end)
{
	for (;;) {
		yaml_event_t event;
		bool done, pairs = end == YAML_MAPPING_END_EVENT;
		int e = arrowfile_next(r, &event);

		if (e < 0)
			return e;
		done = event.type == end;
		if (!done && event.type != YAML_SCALAR_EVENT)
			e = fail_at(r, event.start_mark.line, "a list is of plain values");
		else if (!done && pairs && !arrowfile_scalar(&event))
			e = fail_at(r, event.start_mark.line, "there is a NUL byte");
		else if (!done)
			e = pairs ? take_pair(r, key, arrowfile_scalar(&event))
				  : take_scalar(r, key, &event);
		yaml_event_delete(&event);
		if (e < 0 || done)
			return e;
	}
}

static bool has_pairs(const char *key)
{
	return strcmp(key, "env") == 0 || strcmp(key, "labels") == 0;
}

static bool is_list(const char *key)
{
	static const char *const lists[] = {
		"name", "entrypoint", "cmd", "env", "ports", "volumes", "labels"};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (strcmp(key, lists[i]) == 0)
			return true;
	return false;
}

static int take_key(struct reader *r, const char *key)
{
	yaml_event_t event;
	int e = arrowfile_next(r, &event);

	if (e < 0)
		return e;
	if (event.type == YAML_SCALAR_EVENT)
		e = take_scalar(r, key, &event);
	else if (event.type == YAML_SEQUENCE_START_EVENT && is_list(key))
		e = take_items(r, key, YAML_SEQUENCE_END_EVENT);
	else if (event.type == YAML_MAPPING_START_EVENT && has_pairs(key))
		e = take_items(r, key, YAML_MAPPING_END_EVENT);
	else
		e = fail_at(r, event.start_mark.line, "the value is of the wrong kind for its key");
	yaml_event_delete(&event);
	return e;
}

/* Takes an event that must come; aliases and anchors have no use here and are none of them. */
static int arrowfile_expect(struct reader *r, yaml_event_type_t type, const char *what)
{
	yaml_event_t event;
	int e = arrowfile_next(r, &event);

	if (e < 0)
		return e;
	if (event.type != type)
		e = fail_at(r, event.start_mark.line, what);
	yaml_event_delete(&event);
	return e;
}

static int read_document(struct reader *r)
{
	int e = arrowfile_expect(r, YAML_STREAM_START_EVENT, "it is no YAML");

	if (e == 0)
		e = arrowfile_expect(r, YAML_DOCUMENT_START_EVENT, "the file is empty");
	if (e == 0)
		e = arrowfile_expect(
			r, YAML_MAPPING_START_EVENT, "it must be of lines 'KEY: VALUE'");
	while (e == 0) {
		yaml_event_t event;
		bool done;

		e = arrowfile_next(r, &event);
		if (e < 0)
			return e;
		done = event.type == YAML_MAPPING_END_EVENT;
		if (!done && (event.type != YAML_SCALAR_EVENT || !arrowfile_scalar(&event)))
			e = fail_at(r, event.start_mark.line, "a key is a plain word");
		else if (!done)
			e = take_key(r, arrowfile_scalar(&event));
		yaml_event_delete(&event);
		if (done)
			break;
	}
	if (e == 0)
		e = arrowfile_expect(r, YAML_DOCUMENT_END_EVENT, "it must be one document");
	return e == 0 ? arrowfile_expect(r, YAML_STREAM_END_EVENT, "it must be one document") : e;
}

static void merge_text(char **to, char **from)
{
	if (!*to)
		*to = STEAL(*from);
}

static void merge_list(struct arrow_strings *to, struct arrow_strings *from)
{
	if (to->n > 0)
		return;
	arrow_strings_release(to);
	*to = *from;
	*from = (struct arrow_strings){0};
}

/* Options go before the file; what adds up on the command line adds to the file's. */
static int arrowfile_merge(
	struct arrow_build *b, struct arrow_build *fresh, struct arrow_error *error)
{
	struct arrow_strings *const more[][2] = {{&fresh->env, &b->env}, {&fresh->ports, &b->ports},
		{&fresh->volumes, &b->volumes}, {&fresh->labels, &b->labels}};

	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		for (size_t k = 0; k < more[i][1]->n; k++)
			if (arrow_strings_add(more[i][0], more[i][1]->v[k]) < 0)
				return arrow_no_memory(error);
		arrow_strings_release(more[i][1]);
		*more[i][1] = *more[i][0];
		*more[i][0] = (struct arrow_strings){0};
	}
	merge_list(&b->names, &fresh->names);
	merge_list(&b->entrypoint, &fresh->entrypoint);
	merge_list(&b->cmd, &fresh->cmd);
	merge_text(&b->source, &fresh->source);
	merge_text(&b->user, &fresh->user);
	merge_text(&b->workdir, &fresh->workdir);
	merge_text(&b->stop_signal, &fresh->stop_signal);
	merge_text(&b->kernel, &fresh->kernel);
	merge_text(&b->memory, &fresh->memory);
	merge_text(&b->cpus, &fresh->cpus);
	merge_text(&b->restart, &fresh->restart);
	b->with_kernel |= fresh->with_kernel;
	return 0;
}

int arrow_build_text(struct arrow_build *build, const char *text, size_t size,
	const char *directory, struct arrow_error *error)
{
	struct reader r = {.build = build, .directory = directory, .error = error};
	int e;

	if (!yaml_parser_initialize(&r.parser))
		return arrow_no_memory(error);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
	e = read_document(&r);
	if (e == 0)
		e = arrowfile_merge(build, &r.fresh, error);
	yaml_parser_delete(&r.parser);
	arrow_build_release(&r.fresh);
	return e;
}

int arrow_build_file(struct arrow_build *build, const char *path, struct arrow_error *error)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *directory =
		slash ? path_format("%.*s/.", (int)(slash - path), path) : strdup(".");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int e = read_file(AT_FDCWD, path, FILE_MAX, &text, &size);

	if (!directory)
		return arrow_no_memory(error);
	if (e < 0)
		return arrow_fail(error, -e, "cannot read %s: %m", path);
	e = arrow_build_text(build, text, size, directory, error);
	return e < 0 ? arrow_error_prefix(error, e, "%s", path) : 0;
}
