// SPDX-License-Identifier: Apache-2.0
/* The parts of an image to build, each from its text. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/spec/parse.h"
#include "package/build.h"
#include "util/cleanup.h"
#include "util/io.h"

void arrow_build_release(struct arrow_build *b)
{
	free(b->source);
	arrow_strings_release(&b->names);
	arrow_strings_release(&b->entrypoint);
	arrow_strings_release(&b->cmd);
	arrow_strings_release(&b->env);
	arrow_strings_release(&b->ports);
	arrow_strings_release(&b->volumes);
	arrow_strings_release(&b->labels);
	free(b->user);
	free(b->workdir);
	free(b->stop_signal);
	free(b->kernel);
	free(b->message);
	free(b->memory);
	free(b->cpus);
	free(b->restart);
	*b = (struct arrow_build){0};
}

static int build_add_text(struct arrow_strings *list, const char *text, struct arrow_error *error)
{
	return arrow_strings_add(list, text) < 0 ? arrow_no_memory(error) : 0;
}

static int build_set_text(char **where, const char *text, struct arrow_error *error)
{
	free(*where);
	*where = strdup(text);
	return *where ? 0 : arrow_no_memory(error);
}

int arrow_build_words(struct arrow_strings *words, const char *text, struct arrow_error *error)
{
	json_t *list, *word;
	size_t i;
	int e = 0;

	if (text[0] != '[')
		return build_add_text(words, text, error);
	list = json_loads(text, 0, NULL);
	if (!json_is_array(list))
		e = arrow_fail(error, EINVAL, "'%.64s' is not a JSON list of words", text);
	json_array_foreach (list, i, word) {
		if (e == 0)
			e = json_is_string(word)
				    ? build_add_text(words, json_string_value(word), error)
				    : arrow_fail(error, EINVAL,
					      "'%.64s' is not a JSON list of words", text);
	}
	json_decref(list);
	return e;
}

int arrow_build_env(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	if (text[0] == '=' || !strchr(text, '='))
		return arrow_fail(error, EINVAL, "invalid variable '%.64s': give NAME=VALUE", text);
	return build_add_text(&b->env, text, error);
}

int arrow_build_port(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *port = NULL;
	const char *protocol;
	unsigned long n;
	char *end;

	n = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
	protocol = n && *end == '/' ? end + 1 : "tcp";
	if (n < 1 || n > 65535 || (*end && *end != '/') ||
		(strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0 &&
			strcmp(protocol, "sctp") != 0))
		return arrow_fail(
			error, EINVAL, "invalid port '%.64s': give one as 80 or 53/udp", text);
	port = path_format("%lu/%s", n, protocol);
	return port ? build_add_text(&b->ports, port, error) : arrow_no_memory(error);
}

int arrow_build_volume(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	if (text[0] != '/' || !text[1])
		return arrow_fail(error, EINVAL,
			"the volume '%.64s' is not an absolute path of the image", text);
	return build_add_text(&b->volumes, text, error);
}

int arrow_build_label(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	if (text[0] == '=' || !*text)
		return arrow_fail(error, EINVAL, "invalid label '%.64s': give KEY=VALUE", text);
	return build_add_text(&b->labels, text, error);
}

int arrow_build_workdir(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	if (text[0] != '/')
		return arrow_fail(error, EINVAL,
			"the working directory '%.64s' is not an absolute path", text);
	return build_set_text(&b->workdir, text, error);
}

int arrow_build_signal(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	uint32_t number;
	int e = arrow_parse_signal(text, &number, error);

	return e < 0 ? e : build_set_text(&b->stop_signal, text, error);
}

int arrow_build_memory(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	uint64_t ignored;
	int e = arrow_parse_size(text, &ignored, error);

	return e < 0 ? e : build_set_text(&b->memory, text, error);
}

int arrow_build_cpus(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	struct arrow_spec ignored = {0};
	int e = arrow_parse_cpus(&ignored, text, error);

	return e < 0 ? e : build_set_text(&b->cpus, text, error);
}

int arrow_build_restart(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	struct arrow_spec ignored = {0};
	int e = arrow_parse_restart(&ignored, text, error);

	return e < 0 ? e : build_set_text(&b->restart, text, error);
}

/* CMD and ENTRYPOINT: JSON, or a line for the shell. */
static int change_words(struct arrow_strings *words, const char *text, struct arrow_error *error)
{
	int e;

	arrow_strings_release(words);
	if (text[0] == '[')
		return arrow_build_words(words, text, error);
	e = build_add_text(words, "/bin/sh", error);
	if (e == 0)
		e = build_add_text(words, "-c", error);
	return e == 0 ? build_add_text(words, text, error) : e;
}

int arrow_build_change(struct arrow_build *b, const char *text, struct arrow_error *error)
{
	size_t n = strcspn(text, " \t");
	const char *rest = text + n + strspn(text + n, " \t");
	struct arrow_strings volumes = {0};
	int e = 0;

#define IS(word) (n == strlen(word) && strncasecmp(text, word, n) == 0)
	if (!*rest)
		return arrow_fail(error, EINVAL,
			"invalid change '%.64s': give an instruction and its value, as in 'CMD [\"/bin/sh\"]'",
			text);
	if (IS("CMD"))
		return change_words(&b->cmd, rest, error);
	if (IS("ENTRYPOINT"))
		return change_words(&b->entrypoint, rest, error);
	if (IS("ENV"))
		return arrow_build_env(b, rest, error);
	if (IS("EXPOSE"))
		return arrow_build_port(b, rest, error);
	if (IS("LABEL"))
		return arrow_build_label(b, rest, error);
	if (IS("USER"))
		return build_set_text(&b->user, rest, error);
	if (IS("WORKDIR"))
		return arrow_build_workdir(b, rest, error);
	if (IS("STOPSIGNAL"))
		return arrow_build_signal(b, rest, error);
	if (IS("VOLUME")) {
		e = arrow_build_words(&volumes, rest, error);
		for (size_t i = 0; e == 0 && i < volumes.n; i++)
			e = arrow_build_volume(b, volumes.v[i], error);
		arrow_strings_release(&volumes);
		return e;
	}
#undef IS
	return arrow_fail(error, EINVAL,
		"unknown instruction '%.64s'; there are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR",
		text);
}
