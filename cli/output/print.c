// SPDX-License-Identifier: Apache-2.0
#include "cli/output/print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/text.h"

int cli_error_of_program(struct arrow_error *error)
{
	int status = error->status;

	fprintf(stderr, "arrow: %s\n", error->text ? error->text : "unknown error");
	arrow_error_clear(error);
	return status;
}

int cli_error(struct arrow_error *error)
{
	int status = cli_error_of_program(error);

	return status >= ARROW_STATUS_ERROR ? CLI_FAILED : status;
}

int cli_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "arrow: cannot write the output: %s\n", strerror(errno));
	return CLI_FAILED;
}

/* Whether a text of JSON has a control character that JSON leaves as it is: one of C1. */
static bool has_control(const char *text)
{
	for (const char *at = text; (at = strchr(at, 0xc2)); at++)
		if ((unsigned char)at[1] < 0xa0)
			return true;
	return false;
}

char *cli_json_text(const json_t *json, size_t flags)
{
	char *text = json ? json_dumps(json, flags) : NULL;

	if (!text || !isatty(STDOUT_FILENO) || !has_control(text))
		return text;
	free(text);
	return json_dumps(json, flags | JSON_ENSURE_ASCII);
}

int cli_print_json(const json_t *json)
{
	_cleanup_free_ char *text = cli_json_text(json, JSON_INDENT(2));

	if (!text) {
		fputs("arrow: cannot print JSON: out of memory\n", stderr);
		return CLI_FAILED;
	}
	puts(text);
	return cli_flush();
}

json_t *cli_clean_json(const json_t *json, bool lines)
{
	_cleanup_free_ char *text = NULL;
	json_t *copy, *value;
	const char *key;
	size_t i;

	if (json_is_string(json)) {
		text = strdup(json_string_value(json));
		return text ? json_string(lines ? text_clean_lines(text) : text_clean(text)) : NULL;
	}
	if (json_is_array(json)) {
		copy = json_array();
		json_array_foreach ((json_t *)(uintptr_t)json, i, value)
			if (json_array_append_new(copy, cli_clean_json(value, lines)) < 0)
				break;
		if (json_array_size(copy) == json_array_size(json))
			return copy;
		json_decref(copy);
		return NULL;
	}
	if (!json)
		return json_object();
	if (!json_is_object(json))
		return json_copy((json_t *)(uintptr_t)json);
	copy = json_object();
	json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
		_cleanup_free_ char *clean = strdup(key);

		text_clean(clean);
		if (!clean || json_object_set_new(copy, clean, cli_clean_json(value, lines)) < 0) {
			json_decref(copy);
			return NULL;
		}
	}
	return copy;
}

char *cli_join(json_t *object, bool values)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f;
	const char *key, *gap = "";
	const json_t *value;

	/* A stream in memory takes 8 KiB, which makes up much of a list of many. */
	if (json_object_size(object) == 0)
		return strdup("");
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	json_object_foreach (object, key, value) {
		fprintf(f, "%s%s", gap, key);
		if (values)
			fprintf(f, "=%s", json_string_value(value));
		gap = ",";
	}
	fclose(f);
	return text;
}
