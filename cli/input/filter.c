// SPDX-License-Identifier: Apache-2.0
#include "cli/input/filter.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "cli/output/print.h"
#include "util/cleanup.h"

const struct cli_filter *cli_filter_find(const struct cli_filter *filters, const char *text)
{
	size_t size = strcspn(text, "=");

	for (const struct cli_filter *f = filters; f->key; f++)
		if (strlen(f->key) == size && strncmp(f->key, text, size) == 0)
			return text[size] && (text[size + 1] || f->empty) ? f : NULL;
	return NULL;
}

void cli_filter_refuse(const struct argp_state *state, const char *text)
{
	if (!strchr(text, '='))
		argp_failure(state, ARROW_STATUS_ERROR, 0,
			"--filter: invalid filter '%s': give KEY=VALUE; '%s --help' lists the keys",
			text, state->name);
	argp_failure(state, CLI_FAILED, 0,
		"--filter: invalid filter '%s': '%s --help' lists the keys and their values", text,
		state->name);
}

bool cli_filter_passes(const struct cli_filter *filters, const struct arrow_strings *given,
	const json_t *object, const void *arg)
{
	for (size_t i = 0; i < given->n; i++) {
		const struct cli_filter *f = cli_filter_find(filters, given->v[i]);
		bool any = false;

		for (size_t k = f->all ? i : 0; !any && k < (f->all ? i + 1 : given->n); k++)
			any = cli_filter_find(filters, given->v[k]) == f &&
			      f->matches(arg, object, strchr(given->v[k], '=') + 1);
		if (!any)
			return false;
	}
	return true;
}

bool cli_matches(const char *text, const char *expression)
{
	regex_t compiled;
	bool yes;

	if (regcomp(&compiled, expression, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	yes = regexec(&compiled, text, 0, NULL, 0) == 0;
	regfree(&compiled);
	return yes;
}

bool cli_has_label(const json_t *labels, const char *label)
{
	size_t size = strcspn(label, "=");
	_cleanup_free_ char *key = strndup(label, size);
	const char *value = key ? json_string_value(json_object_get(labels, key)) : NULL;

	return value && (label[size] == '\0' || strcmp(value, label + size + 1) == 0);
}
