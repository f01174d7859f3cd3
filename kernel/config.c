// SPDX-License-Identifier: Apache-2.0
#include "kernel/config.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"

/* Counts among what a kernel is made from: raise it when the way of building changes the result. */
#define RECIPE "1"

#define PROFILE_SUFFIX ".profile"

static const char *find_text(const struct kernel_config_file *files, const char *stem,
	size_t stem_size, const char *suffix)
{
	for (; files->name; files++)
		if (strncmp(files->name, stem, stem_size) == 0 &&
			strcmp(files->name + stem_size, suffix) == 0)
			return files->text;
	return NULL;
}

/* Takes the next line of *text. Returns false at the end. */
static bool next_line(const char **text, const char **line, size_t *size)
{
	if (!**text)
		return false;
	*line = *text;
	*size = strcspn(*text, "\n");
	*text += *size + ((*text)[*size] == '\n');
	return true;
}

/* The NAME of a CONFIG_NAME=VALUE line, or 0 for a line that is none. */
static size_t option_size(const char *line, size_t size)
{
	const char *equals = memchr(line, '=', size);

	return strncmp(line, "CONFIG_", 7) == 0 && equals ? (size_t)(equals - line) : 0;
}

/* The line that sets an option in a text; NULL if there is none. */
static const char *find_option(
	const char *text, const char *option, size_t option_len, size_t *size)
{
	const char *line;
	size_t n;

	while (next_line(&text, &line, &n))
		if (option_size(line, n) == option_len && strncmp(line, option, option_len) == 0) {
			*size = n;
			return line;
		}
	return NULL;
}

/* Refuses a line that is neither a comment nor an option, and an option set in two ways. */
static int check_fragment(const char *fragment, const char *config, struct arrow_error *error)
{
	const char *line, *earlier;
	size_t size, n, len;

	while (next_line(&fragment, &line, &size)) {
		if (size == 0 || *line == '#')
			continue;
		len = option_size(line, size);
		if (len == 0)
			return arrow_fail(
				error, EINVAL, "\"%.*s\" sets no option", (int)size, line);
		earlier = find_option(config, line, len, &n);
		if (earlier && (n != size || memcmp(earlier, line, n) != 0))
			return arrow_fail(error, EINVAL, "%.*s and %.*s contradict each other",
				(int)n, earlier, (int)size, line);
	}
	return 0;
}

static int add_fragments(struct kernel_profile *p, const char *list, size_t size,
	const struct kernel_config_file *files, struct arrow_error *error)
{
	const char *end = list + size;

	while (list < end) {
		size_t n = strcspn(list, " \n");
		const char *text = n ? find_text(files, list, n, ".config") : NULL;
		char *joined;
		int r;

		if (n == 0) {
			list++;
			continue;
		}
		if (!text)
			return arrow_fail(
				error, EINVAL, "there is no fragment \"%.*s\"", (int)n, list);
		r = check_fragment(text, p->config, error);
		if (r < 0)
			return arrow_error_prefix(error, r, "fragment %.*s", (int)n, list);
		joined = path_format("%s%s", p->config, text);
		if (!joined)
			return arrow_no_memory(error);
		free(p->config);
		p->config = joined;
		list += n;
	}
	return 0;
}

static int parse_number(
	unsigned int *number, const char *value, size_t size, struct arrow_error *error)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || end != value + size || n == 0 || n > 100000)
		return arrow_fail(error, EINVAL, "\"%.*s\" is not a number from 1 to 100000",
			(int)size, value);
	*number = (unsigned int)n;
	return 0;
}

static int set_text(char **field, const char *value, size_t size, struct arrow_error *error)
{
	free(*field);
	*field = strndup(value, size);
	return *field ? 0 : arrow_no_memory(error);
}

static int parse_line(struct kernel_profile *p, const char *line, size_t size,
	const struct kernel_config_file *files, struct arrow_error *error)
{
	size_t key = strcspn(line, " \n");
	const char *value = line + key + (line[key] == ' ');
	size_t n = (size_t)(line + size - value);

	if (key == 7 && strncmp(line, "summary", key) == 0)
		return set_text(&p->summary, value, n, error);
	if (key == 6 && strncmp(line, "append", key) == 0)
		return set_text(&p->append, value, n, error);
	if (key == 9 && strncmp(line, "vcpus-max", key) == 0)
		return parse_number(&p->vcpus_max, value, n, error);
	if (key == 7 && strncmp(line, "objects", key) == 0)
		return parse_number(&p->objects, value, n, error);
	if (key == 9 && strncmp(line, "fragments", key) == 0)
		return add_fragments(p, value, n, files, error);
	return arrow_fail(error, EINVAL, "\"%.*s\" is unknown", (int)size, line);
}

int kernel_profile_parse(struct kernel_profile *p, const char *name, const char *text,
	const struct kernel_config_file *files, struct arrow_error *error)
{
	const char *line;
	size_t size;
	int r = 0;

	*p = (struct kernel_profile){
		.name = strdup(name),
		.summary = strdup(""),
		.append = strdup(""),
		.config = strdup(""),
	};
	if (!p->name || !p->summary || !p->append || !p->config)
		r = arrow_no_memory(error);
	while (r == 0 && next_line(&text, &line, &size))
		if (size > 0 && *line != '#')
			r = parse_line(p, line, size, files, error);
	if (r == 0 && (!*p->config || p->vcpus_max == 0 || p->objects == 0))
		r = arrow_fail(error, EINVAL, "fragments, vcpus-max or objects is missing");
	if (r < 0)
		r = arrow_error_prefix(error, r, "kernel profile %s", name);
	else if ((r = digest_data(p->config, strlen(p->config), p->config_hash)) < 0)
		r = arrow_fail(error, -r, "cannot hash a configuration: %m");
	if (r < 0)
		kernel_profile_release(p);
	return r;
}

char **kernel_profile_names(void)
{
	const size_t suffix = strlen(PROFILE_SUFFIX);
	const struct kernel_config_file *f;
	_cleanup_strv_ char **names = NULL;
	size_t n = 0;

	for (f = kernel_config_files; f->name; f++)
		n++;
	names = calloc(n + 1, sizeof(*names));
	n = 0;
	for (f = kernel_config_files; names && f->name; f++) {
		size_t size = strlen(f->name);

		if (size <= suffix || strcmp(f->name + size - suffix, PROFILE_SUFFIX) != 0)
			continue;
		names[n] = strndup(f->name, size - suffix);
		if (!names[n++])
			return NULL;
	}
	return STEAL(names);
}

int kernel_profile_load(struct kernel_profile *profile, const char *name, struct arrow_error *error)
{
	const char *text = find_text(kernel_config_files, name, strlen(name), PROFILE_SUFFIX);
	_cleanup_strv_ char **names = NULL;
	_cleanup_free_ char *list = strdup("");

	memset(profile, 0, sizeof(*profile));
	if (text)
		return kernel_profile_parse(profile, name, text, kernel_config_files, error);

	names = kernel_profile_names();
	for (size_t i = 0; names && list && names[i]; i++) {
		char *longer = path_format("%s%s%s", list, i ? ", " : "", names[i]);

		free(list);
		list = longer;
	}
	return arrow_fail(error, ENOENT, "there is no kernel profile \"%s\"; there are: %s", name,
		list ? list : "?");
}

void kernel_profile_release(struct kernel_profile *profile)
{
	free(profile->name);
	free(profile->summary);
	free(profile->append);
	free(profile->config);
	memset(profile, 0, sizeof(*profile));
}

int kernel_config_verify(const char *wanted, const char *dotconfig, struct arrow_error *error)
{
	const char *line, *got;
	size_t size, n = 0, len;

	while (next_line(&wanted, &line, &size)) {
		bool off;

		len = option_size(line, size);
		if (size == 0 || *line == '#' || len == 0)
			continue;
		off = size == len + 2 && line[len + 1] == 'n';
		got = find_option(dotconfig, line, len, &n);
		if (off ? got != NULL : !got || n != size || memcmp(got, line, n) != 0)
			return arrow_fail(error, EINVAL,
				"the kernel cannot be configured with %.*s: it came out %.*s; an option that it depends on is missing or forces it",
				(int)size, line, got ? (int)n : 7, got ? got : "not set");
	}
	return 0;
}

int kernel_id(const char *config_hash, const struct kernel_inputs *inputs, char id[DIGEST_HEX])
{
	_cleanup_free_ char *all = path_format("recipe %s\nconfig %s\nsource %s\ncompiler %s\n"
					       "binutils %s\n",
		RECIPE, config_hash, inputs->source_hash, inputs->compiler, inputs->binutils);

	return all ? digest_data(all, strlen(all), id) : -ENOMEM;
}
