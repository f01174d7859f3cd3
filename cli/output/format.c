// SPDX-License-Identifier: Apache-2.0
/*
 * Expands a template while it reads it. What is not to be shown (the other branch, the body of an
 * empty range) is read all the same, with `live` off, so its mistakes are found.
 */
#include "cli/output/format.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/format_value.h"
#include "util/cleanup.h"
#include "util/text.h"

#define DEPTH_MAX 64u
#define VARIABLES_MAX 16u
#define NAME_MAX_SIZE 64u

struct variable {
	char name[NAME_MAX_SIZE];
	const json_t *value; /* borrowed from the list that is gone through, or owned: */
	json_t *owned;
};

struct template
{
	const char *at;
	FILE *out;
	bool live, trim;
	unsigned int depth;
	const json_t *root;
	struct variable variables[VARIABLES_MAX];
	size_t n_variables;
	struct arrow_error *error;
};

/* How a body ended. */
enum stop { STOP_TEXT, STOP_END, STOP_ELSE };

static int template_fail(struct template *t, const char *what)
{
	return arrow_fail_status(
		t->error, CLI_FORMAT_STATUS, EINVAL, "--format: %s at '%.20s'", what, t->at);
}

static void template_skip_spaces(struct template *t)
{
	t->at += strspn(t->at, " \t\r\n");
}

/* Takes a word of punctuation, if it is next. */
static bool template_take(struct template *t, const char *word)
{
	template_skip_spaces(t);
	if (strncmp(t->at, word, strlen(word)) != 0)
		return false;
	t->at += strlen(word);
	return true;
}

/* Whether the action ends here. */
static bool template_at_end(struct template *t)
{
	template_skip_spaces(t);
	return strncmp(t->at, "}}", 2) == 0 || strncmp(t->at, "-}}", 3) == 0;
}

static int template_take_end(struct template *t)
{
	if (!template_at_end(t))
		return template_fail(t, "expected '}}'");
	t->trim = *t->at == '-';
	t->at += t->trim ? 3 : 2;
	return 0;
}

/* The length of the name that is next; 0 for none. */
static size_t name_size(const char *at)
{
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_')
		n++;
	return n < NAME_MAX_SIZE && !isdigit((unsigned char)*at) ? n : 0;
}

static size_t template_take_name(struct template *t, char name[NAME_MAX_SIZE])
{
	size_t n = name_size(t->at);

	memcpy(name, t->at, n);
	name[n] = '\0';
	t->at += n;
	return n;
}

static bool template_take_word(struct template *t, const char *word)
{
	template_skip_spaces(t);
	if (name_size(t->at) != strlen(word) || strncmp(t->at, word, strlen(word)) != 0)
		return false;
	t->at += strlen(word);
	return true;
}

static int template_read_pipeline(struct template *t, const json_t *dot, json_t **value);

/* ".A.B" behind a value, which is replaced. */
static int template_read_fields(struct template *t, json_t **value)
{
	char name[NAME_MAX_SIZE];

	while (*t->at == '.' && name_size(t->at + 1) > 0) {
		json_t *field;

		t->at++;
		template_take_name(t, name);
		if (!t->live)
			continue;
		field = json_object_get(*value, name);
		if (!field)
			return arrow_fail_status(
				t->error, 1, EINVAL, "--format: no such field: .%s", name);
		json_incref(field);
		json_decref(*value);
		*value = field;
	}
	return 0;
}

/* A quoted text, a raw one or a number. */
static int template_read_literal(struct template *t, json_t **value)
{
	const char *start = t->at, *end;
	char quote = *start;
	_cleanup_free_ char *text = NULL;
	json_error_t ignored;

	if (quote == '"' || quote == '`') {
		for (end = start + 1; *end && *end != quote; end++)
			if (*end == '\\' && quote == '"' && end[1])
				end++;
		if (*end == '\0')
			return template_fail(t, "unterminated string");
		t->at = end + 1;
		*value = quote == '`' ? json_stringn(start + 1, (size_t)(end - start) - 1)
				      : json_loadb(start, (size_t)(t->at - start), JSON_DECODE_ANY,
						&ignored);
	} else {
		end = start + strspn(start, "+-.0123456789eE");
		*value = json_loadb(start, (size_t)(end - start), JSON_DECODE_ANY, &ignored);
		if (*value)
			t->at = end;
	}
	return *value ? 0 : template_fail(t, "expected a value");
}

static int template_read_variable(struct template *t, json_t **value)
{
	char name[NAME_MAX_SIZE];

	t->at++;
	if (template_take_name(t, name) == 0) {
		*value = json_incref((json_t *)t->root);
		return 0;
	}
	for (size_t i = t->n_variables; i-- > 0;) {
		if (strcmp(t->variables[i].name, name) == 0) {
			*value = json_incref((json_t *)t->variables[i].value);
			return 0;
		}
	}
	return arrow_fail_status(
		t->error, CLI_FORMAT_STATUS, EINVAL, "--format: no such variable: $%s", name);
}

static int template_read_operand(struct template *t, const json_t *dot, json_t **value)
{
	int r = 0;

	*value = NULL;
	if (template_take(t, "(")) {
		if (t->depth++ == DEPTH_MAX)
			return template_fail(t, "nested too deeply");
		r = template_read_pipeline(t, dot, value);
		t->depth--;
		if (r == 0 && !template_take(t, ")"))
			r = template_fail(t, "expected ')'");
	} else if (*t->at == '$') {
		r = template_read_variable(t, value);
	} else if (*t->at == '.' && !isdigit((unsigned char)t->at[1])) {
		t->at += name_size(t->at + 1) == 0; /* only the dot */
		*value = json_incref((json_t *)dot);
	} else if (template_take_word(t, "true")) {
		*value = json_true();
	} else if (template_take_word(t, "false")) {
		*value = json_false();
	} else if (template_take_word(t, "nil")) {
		*value = json_null();
	} else {
		r = template_read_literal(t, value);
	}
	return r < 0 ? r : template_read_fields(t, value);
}

/* A function with its arguments; what was piped into it is the last. */
static int template_call_function(
	struct template *t, const json_t *dot, json_t *piped, json_t **value)
{
	char name[NAME_MAX_SIZE];
	json_t *args[FORMAT_ARGS_MAX];
	size_t n = 0;
	int r = 0;

	template_take_name(t, name);
	while (r == 0 && !template_at_end(t) && *t->at != '|' && *t->at != ')') {
		if (n + 1 == FORMAT_ARGS_MAX)
			r = template_fail(t, "too many arguments");
		else
			r = template_read_operand(t, dot, &args[n]);
		n += r == 0;
	}
	if (piped)
		args[n++] = json_incref(piped);
	if (r == 0 && t->live)
		r = format_call(value, name, args, n, t->error);
	else if (r == 0)
		*value = json_null();
	while (n > 0)
		json_decref(args[--n]);
	return r;
}

static bool template_at_function(struct template *t)
{
	static const char *const constants[] = {"true", "false", "nil"};
	size_t n = name_size(t->at);

	for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++)
		if (strlen(constants[i]) == n && strncmp(t->at, constants[i], n) == 0)
			return false;
	return n > 0;
}

/* A field with an argument, as {{.Label "key"}}: what an object has by that key, or "". */
static int template_call_method(struct template *t, const json_t *dot, json_t **value)
{
	json_auto_t *key = NULL;
	const char *text;
	json_t *found;
	int r;

	template_skip_spaces(t);
	if (template_at_end(t) || *t->at == '|' || *t->at == ')')
		return 0;
	r = template_read_operand(t, dot, &key);
	if (r < 0 || !t->live)
		return r;
	text = json_string_value(key);
	if (!text || !json_is_object(*value))
		return template_fail(t, "only functions and .Label take arguments");
	found = json_object_get(*value, text);
	found = found ? json_incref(found) : json_string("");
	json_decref(*value);
	*value = found;
	return 0;
}

static int template_read_pipeline(struct template *t, const json_t *dot, json_t **value)
{
	json_auto_t *piped = NULL;
	int r;

	for (;;) {
		json_t *next = NULL;

		template_skip_spaces(t);
		if (template_at_function(t))
			r = template_call_function(t, dot, piped, &next);
		else if (piped)
			r = template_fail(t, "only a function can follow '|'");
		else
			r = template_read_operand(t, dot, &next);
		if (r == 0)
			r = template_call_method(t, dot, &next);
		if (r < 0) {
			json_decref(next);
			return r;
		}
		json_decref(piped);
		piped = next;
		if (!template_take(t, "|"))
			break;
	}
	*value = piped;
	piped = NULL;
	return 0;
}

static int template_expand_body(struct template *t, const json_t *dot, enum stop *stop);

/* A body that is shown or only read. */
static int template_expand_branch(
	struct template *t, bool shown, const json_t *dot, enum stop *stop)
{
	bool live = t->live;
	int r;

	if (t->depth++ == DEPTH_MAX)
		return template_fail(t, "nested too deeply");
	t->live = live && shown;
	r = template_expand_body(t, dot, stop);
	t->live = live;
	t->depth--;
	if (r == 0 && *stop == STOP_TEXT)
		r = template_fail(t, "missing {{end}}");
	return r;
}

/* if and with, up to the {{end}}; with makes what it tested the dot. */
static int template_expand_if(struct template *t, const json_t *dot, bool with)
{
	bool done = false, live = t->live;
	enum stop stop;
	int r;

	for (;;) {
		json_auto_t *value = NULL;
		bool yes;

		t->live = live && !done;
		r = template_read_pipeline(t, dot, &value);
		t->live = live;
		if (r == 0)
			r = template_take_end(t);
		if (r < 0)
			return r;
		yes = !done && format_truth(value);
		r = template_expand_branch(t, yes, with ? value : dot, &stop);
		if (r < 0 || stop == STOP_END)
			return r;
		done |= yes;
		if (template_take_word(t, "if"))
			continue;
		r = template_take_end(t);
		if (r == 0)
			r = template_expand_branch(t, !done, dot, &stop);
		if (r == 0 && stop == STOP_ELSE)
			r = template_fail(t, "second {{else}}");
		return r;
	}
}

/* Sets a variable of the range; an empty name is none. */
static int template_set_variable(
	struct template *t, const char *name, const json_t *value, json_t *owned)
{
	struct variable *v = &t->variables[t->n_variables];

	if (*name == '\0') {
		json_decref(owned);
		return 0;
	}
	if (t->n_variables == VARIABLES_MAX || !text_copy(v->name, sizeof(v->name), name)) {
		json_decref(owned);
		return template_fail(t, "too many variables");
	}
	v->value = owned ? owned : value;
	v->owned = owned;
	t->n_variables++;
	return 0;
}

static int template_expand_round(struct template *t, const char names[2][NAME_MAX_SIZE],
	json_t *key, const json_t *value, bool shown, enum stop *stop)
{
	size_t before = t->n_variables;
	int r = template_set_variable(t, names[0], NULL, key);

	if (r == 0)
		r = template_set_variable(t, names[1], value, NULL);
	if (r == 0)
		r = template_expand_branch(t, shown, value, stop);
	while (t->n_variables > before)
		json_decref(t->variables[--t->n_variables].owned);
	return r;
}

/* "$value := " or "$key, $value := " of a range. */
static int template_read_range_variables(struct template *t, char names[2][NAME_MAX_SIZE])
{
	const char *start = t->at;

	names[0][0] = names[1][0] = '\0';
	if (!template_take(t, "$"))
		return 0;
	template_take_name(t, names[1]);
	if (template_take(t, ",")) {
		memcpy(names[0], names[1], NAME_MAX_SIZE);
		if (!template_take(t, "$") || template_take_name(t, names[1]) == 0)
			return template_fail(t, "expected a variable");
	}
	if (template_take(t, ":="))
		return 0;
	/* It was the value to go through. */
	t->at = start;
	names[0][0] = names[1][0] = '\0';
	return 0;
}

static int template_expand_range(struct template *t, const json_t *dot)
{
	json_auto_t *list = NULL;
	char names[2][NAME_MAX_SIZE];
	const char *start, *key;
	enum stop stop = STOP_TEXT;
	bool any = false, trim;
	json_t *one;
	size_t i;
	int r = template_read_range_variables(t, names);

	if (r == 0)
		r = template_read_pipeline(t, dot, &list);
	if (r == 0)
		r = template_take_end(t);
	if (r < 0)
		return r;
	start = t->at;
	trim = t->trim;
	if (t->live && list && !json_is_array(list) && !json_is_object(list) && !json_is_null(list))
		return arrow_fail_status(
			t->error, 1, EINVAL, "--format: range requires a list or a map");
	if (t->live && json_is_array(list)) {
		json_array_foreach (list, i, one) {
			t->at = start;
			t->trim = trim;
			any = true;
			r = template_expand_round(
				t, names, json_integer((json_int_t)i), one, true, &stop);
			if (r < 0)
				return r;
		}
	} else if (t->live && json_is_object(list)) {
		json_object_foreach (list, key, one) {
			t->at = start;
			t->trim = trim;
			any = true;
			r = template_expand_round(t, names, json_string(key), one, true, &stop);
			if (r < 0)
				return r;
		}
	}
	if (!any) {
		json_auto_t *nothing = json_null();

		r = template_expand_round(t, names, json_null(), nothing, false, &stop);
		if (r < 0)
			return r;
	}
	if (stop == STOP_END)
		return 0;
	r = template_take_end(t);
	if (r == 0)
		r = template_expand_branch(t, !any, dot, &stop);
	if (r == 0 && stop == STOP_ELSE)
		r = template_fail(t, "second {{else}}");
	return r;
}

/* What stands between {{ and }}. */
static int template_expand_action(struct template *t, const json_t *dot, enum stop *stop)
{
	json_auto_t *value = NULL;
	const char *end;
	int r;

	template_skip_spaces(t);
	if (template_take(t, "/*")) {
		end = strstr(t->at, "*/");
		t->at = end ? end + 2 : t->at + strlen(t->at);
		return template_take_end(t);
	}
	if (template_take_word(t, "if"))
		return template_expand_if(t, dot, false);
	if (template_take_word(t, "with"))
		return template_expand_if(t, dot, true);
	if (template_take_word(t, "range"))
		return template_expand_range(t, dot);
	if (template_take_word(t, "end")) {
		*stop = STOP_END;
		return template_take_end(t);
	}
	if (template_take_word(t, "else")) { /* its end, or "if", is left to the block */
		*stop = STOP_ELSE;
		return 0;
	}
	r = template_read_pipeline(t, dot, &value);
	if (r == 0)
		r = template_take_end(t);
	if (r == 0 && t->live)
		format_write(t->out, value);
	return r;
}

/* Text and actions up to the end, an {{end}} or an {{else}}. */
static int template_expand_body(struct template *t, const json_t *dot, enum stop *stop)
{
	int r = 0;

	*stop = STOP_TEXT;
	while (r == 0 && *stop == STOP_TEXT && *t->at) {
		const char *open;
		size_t size;

		if (t->trim)
			template_skip_spaces(t);
		t->trim = false;
		open = strstr(t->at, "{{");
		size = open ? (size_t)(open - t->at) : strlen(t->at);
		if (open && open[2] == '-' && isspace((unsigned char)open[3]))
			while (size > 0 && isspace((unsigned char)t->at[size - 1]))
				size--;
		if (t->live)
			fwrite(t->at, 1, size, t->out);
		if (!open) {
			t->at += size;
			break;
		}
		t->at = open + (open[2] == '-' && isspace((unsigned char)open[3]) ? 3 : 2);
		r = template_expand_action(t, dot, stop);
	}
	return r;
}

int cli_format_one(FILE *out, const char *template, const json_t *value, struct arrow_error *error)
{
	struct template t = {
		.at = template, .out = out, .live = true, .root = value, .error = error};
	enum stop stop;
	int r = template_expand_body(&t, value, &stop);

	if (r == 0 && stop != STOP_TEXT)
		r = arrow_fail_status(error, CLI_FORMAT_STATUS, EINVAL,
			"--format: {{%s}} without a block", stop == STOP_END ? "end" : "else");
	return r;
}
