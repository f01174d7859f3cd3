// SPDX-License-Identifier: Apache-2.0
#include "cli/output/print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

int cli_error(struct arrow_error *error)
{
	int status = error->status;

	fprintf(stderr, "arrow: %s\n", error->text ? error->text : "unknown error");
	arrow_error_clear(error);
	return status;
}

int cli_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "arrow: cannot write the output: %s\n", strerror(errno));
	return ARROW_STATUS_ERROR;
}

int cli_print_json(const json_t *json)
{
	if (!json || json_dumpf(json, stdout, JSON_INDENT(2)) < 0) {
		fputs("arrow: cannot print JSON: out of memory\n", stderr);
		return ARROW_STATUS_ERROR;
	}
	putchar('\n');
	return cli_flush();
}

char *cli_printable(char *text)
{
	for (char *c = text; c && *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return text;
}

char *cli_join(json_t *object, bool values)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	const char *key, *gap = "";
	const json_t *value;

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

json_t *cli_printable_values(json_t *object)
{
	json_t *shown = json_object(), *value;
	const char *key;

	json_object_foreach (object, key, value) {
		_cleanup_free_ char *text = cli_printable(strdup(json_string_value(value)));

		if (text)
			json_object_set_new(shown, key, json_string(text));
	}
	return shown;
}
