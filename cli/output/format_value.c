// SPDX-License-Identifier: Apache-2.0
#include "cli/output/format_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/format.h"
#include "util/cleanup.h"

void format_write(FILE *out, const json_t *value)
{
	const char *key, *gap = "";
	json_t *one;
	size_t i;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		fwrite(json_string_value(value), 1, json_string_length(value), out);
		break;
	case JSON_INTEGER:
		fprintf(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		fprintf(out, "%g", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		fputs(json_is_true(value) ? "true" : "false", out);
		break;
	case JSON_ARRAY:
		fputc('[', out);
		json_array_foreach (value, i, one) {
			fputs(gap, out);
			format_write(out, one);
			gap = " ";
		}
		fputc(']', out);
		break;
	case JSON_OBJECT:
		fputs("map[", out);
		json_object_foreach ((json_t *)value, key, one) {
			fprintf(out, "%s%s:", gap, key);
			format_write(out, one);
			gap = " ";
		}
		fputc(']', out);
		break;
	case JSON_NULL:
		fputs("<nil>", out);
		break;
	}
}

bool format_truth(const json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return json_string_length(value) > 0;
	case JSON_INTEGER:
		return json_integer_value(value) != 0;
	case JSON_REAL:
		return json_real_value(value) < 0 || json_real_value(value) > 0;
	case JSON_ARRAY:
		return json_array_size(value) > 0;
	case JSON_OBJECT:
		return json_object_size(value) > 0;
	case JSON_TRUE:
		return true;
	case JSON_FALSE:
	case JSON_NULL:
		break;
	}
	return false;
}

/* What a function works with. A text that it makes is written to `out`. */
struct call {
	const char *name;
	json_t *const *args;
	size_t n;
	FILE *out;
	json_t *result; /* in place of the text */
	struct arrow_error *error;
};

static int call_fail(struct call *c, const char *expected)
{
	return arrow_fail_status(c->error, 1, EINVAL, "--format: %s takes %s", c->name, expected);
}

static int call_json(struct call *c)
{
	_cleanup_free_ char *text =
		c->n == 1 ? json_dumps(c->args[0], JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (!text)
		return call_fail(c, "one value");
	fputs(text, c->out);
	return 0;
}

static int call_join(struct call *c)
{
	json_t *one;
	size_t i;

	if (c->n != 2 || !json_is_string(c->args[1]) ||
		(!json_is_array(c->args[0]) && !json_is_null(c->args[0])))
		return call_fail(c, "a list and a string");
	json_array_foreach (c->args[0], i, one) {
		if (i > 0)
			format_write(c->out, c->args[1]);
		format_write(c->out, one);
	}
	return 0;
}

static int call_split(struct call *c)
{
	const char *text, *gap, *end;

	if (c->n != 2 || !json_is_string(c->args[0]) || !json_is_string(c->args[1]) ||
		json_string_length(c->args[1]) == 0)
		return call_fail(c, "two strings");
	text = json_string_value(c->args[0]);
	gap = json_string_value(c->args[1]);
	c->result = json_array();
	while (c->result && (end = strstr(text, gap))) {
		json_array_append_new(c->result, json_stringn(text, (size_t)(end - text)));
		text = end + strlen(gap);
	}
	json_array_append_new(c->result, json_string(text));
	return 0;
}

static int call_len(struct call *c)
{
	const json_t *v = c->n == 1 ? c->args[0] : NULL;

	if (json_is_string(v))
		c->result = json_integer((json_int_t)json_string_length(v));
	else if (json_is_array(v) || json_is_object(v))
		c->result = json_integer(json_is_array(v) ? (json_int_t)json_array_size(v)
							  : (json_int_t)json_object_size(v));
	else if (json_is_null(v)) /* Go's nil list or map */
		c->result = json_integer(0);
	else
		return call_fail(c, "a list, a map or a string");
	return 0;
}

/* index VALUE KEY...: a key that a map does not have gives "", as labels and environments need. */
static int call_index(struct call *c)
{
	json_t *v = c->n > 0 ? c->args[0] : NULL;

	if (c->n < 2)
		return call_fail(c, "a list or a map, and an index or keys");
	for (size_t i = 1; i < c->n; i++) {
		const json_t *key = c->args[i];

		if (json_is_array(v) && json_is_integer(key)) {
			json_int_t at = json_integer_value(key);

			if (at < 0 || (size_t)at >= json_array_size(v))
				return arrow_fail_status(c->error, 1, EINVAL,
					"--format: index %lld is out of range of a list of %zu",
					(long long)at, json_array_size(v));
			v = json_array_get(v, (size_t)at);
		} else if (json_is_string(key) && (json_is_object(v) || json_is_null(v))) {
			v = json_object_get(v, json_string_value(key));
			if (!v) {
				c->result = json_string("");
				return 0;
			}
		} else {
			return call_fail(c, "a list and a number, or a map and a string");
		}
	}
	c->result = json_incref(v);
	return 0;
}

static int call_case(struct call *c)
{
	bool up = c->name[0] == 'u', first = true;
	const char *text = c->n == 1 ? json_string_value(c->args[0]) : NULL;

	if (!text)
		return call_fail(c, "one string");
	for (; *text; text++) {
		if (c->name[0] == 't') /* title: the first letter of each word */
			up = first || text[-1] == ' ';
		fputc(up                    ? toupper((unsigned char)*text)
			: c->name[0] == 't' ? *text
					    : tolower((unsigned char)*text),
			c->out);
		first = false;
	}
	return 0;
}

static int call_truncate(struct call *c)
{
	json_int_t size = c->n == 2 ? json_integer_value(c->args[1]) : -1;

	if (c->n != 2 || !json_is_string(c->args[0]) || !json_is_integer(c->args[1]) || size < 0)
		return call_fail(c, "a string and a length");
	fprintf(c->out, "%.*s", size > 65536 ? 65536 : (int)size, json_string_value(c->args[0]));
	return 0;
}

/* print puts spaces between two values that are no texts, println between all. */
static int call_print(struct call *c)
{
	bool line = strcmp(c->name, "println") == 0;

	for (size_t i = 0; i < c->n; i++) {
		if (i > 0 &&
			(line || (!json_is_string(c->args[i]) && !json_is_string(c->args[i - 1]))))
			fputc(' ', c->out);
		format_write(c->out, c->args[i]);
	}
	if (line)
		fputc('\n', c->out);
	return 0;
}

/* One directive of printf: "%" FLAGS WIDTH VERB, with its width bounded. */
static int call_print_directive(struct call *c, const char *spec, size_t size, const json_t *value)
{
	char verb = spec[size - 1];
	_cleanup_free_ char *text = NULL;
	int width = 0;
	size_t text_size = 0, pad;
	bool left = false;
	FILE *f;

	for (size_t i = 1; i + 1 < size; i++) {
		left |= spec[i] == '-';
		if (isdigit((unsigned char)spec[i]))
			width = width * 10 + spec[i] - '0';
	}
	if (width > 1000 || !strchr("svdqtx", verb))
		return call_fail(c, "%s, %v, %d, %q, %t and %x, no wider than 1000");
	f = open_memstream(&text, &text_size);
	if (!f)
		return arrow_fail(c->error, ENOMEM, "out of memory");
	if (verb == 'q')
		json_dumpf(value, f, JSON_COMPACT | JSON_ENCODE_ANY);
	else if (verb == 'x' && json_is_integer(value))
		fprintf(f, "%llx", (unsigned long long)json_integer_value(value));
	else
		format_write(f, value);
	fclose(f);
	pad = (size_t)width > text_size ? (size_t)width - text_size : 0;
	fprintf(c->out, "%*s%s%*s", left ? 0 : (int)pad, "", text, left ? (int)pad : 0, "");
	return 0;
}

static int call_printf(struct call *c)
{
	const char *text = c->n > 0 ? json_string_value(c->args[0]) : NULL;
	size_t next = 1;
	int r;

	if (!text)
		return call_fail(c, "a string and values");
	while (*text) {
		size_t size;

		if (*text != '%') {
			fputc(*text++, c->out);
			continue;
		}
		size = 1 + strspn(text + 1, "-0123456789") + 1;
		if (text[size - 1] == '\0')
			return call_fail(c, "complete directives");
		if (text[1] == '%') {
			fputc('%', c->out);
		} else if (next >= c->n) {
			return call_fail(c, "a value for each directive");
		} else {
			r = call_print_directive(c, text, size, c->args[next++]);
			if (r < 0)
				return r;
		}
		text += size;
	}
	return 0;
}

static int call_logic(struct call *c)
{
	bool is_or = c->name[0] == 'o';

	if (c->n == 0)
		return call_fail(c, "values");
	if (strcmp(c->name, "not") == 0) {
		c->result = json_boolean(!format_truth(c->args[0]));
		return 0;
	}
	for (size_t i = 0; i < c->n; i++) {
		c->result = c->args[i];
		if (format_truth(c->args[i]) == is_or)
			break;
	}
	json_incref(c->result);
	return 0;
}

/* -1, 0 or 1 as a is less than, equal to or more than b; 2 where they cannot be compared. */
static int compare_values(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b)) {
		double x = json_number_value(a), y = json_number_value(b);

		return (x > y) - (x < y);
	}
	if (json_is_string(a) && json_is_string(b)) {
		int r = strcmp(json_string_value(a), json_string_value(b));

		return (r > 0) - (r < 0);
	}
	return json_equal(a, b) ? 0 : 2;
}

static int call_compare(struct call *c)
{
	int order;
	bool yes;

	if (c->n < 2)
		return call_fail(c, "two values");
	order = compare_values(c->args[0], c->args[1]);
	if (strcmp(c->name, "eq") == 0) {
		yes = false;
		for (size_t i = 1; i < c->n; i++)
			yes |= compare_values(c->args[0], c->args[i]) == 0;
	} else if (strcmp(c->name, "ne") == 0) {
		yes = order != 0;
	} else if (order == 2) {
		return call_fail(c, "two numbers or two strings");
	} else {
		yes = (c->name[0] == 'l' && order < 0) || (c->name[0] == 'g' && order > 0) ||
		      (c->name[1] == 'e' && order == 0);
	}
	c->result = json_boolean(yes);
	return 0;
}

static const struct {
	const char *name;
	int (*call)(struct call *);
} functions[] = {
	{"json", call_json},
	{"join", call_join},
	{"split", call_split},
	{"len", call_len},
	{"index", call_index},
	{"upper", call_case},
	{"lower", call_case},
	{"title", call_case},
	{"truncate", call_truncate},
	{"print", call_print},
	{"println", call_print},
	{"printf", call_printf},
	{"and", call_logic},
	{"or", call_logic},
	{"not", call_logic},
	{"eq", call_compare},
	{"ne", call_compare},
	{"lt", call_compare},
	{"le", call_compare},
	{"gt", call_compare},
	{"ge", call_compare},
};

int format_call(
	json_t **result, const char *name, json_t *const *args, size_t n, struct arrow_error *error)
{
	struct call c = {.name = name, .args = args, .n = n, .error = error};
	_cleanup_free_ char *text = NULL;
	size_t size = 0, i = 0;
	int r;

	while (i < sizeof(functions) / sizeof(*functions) && strcmp(functions[i].name, name) != 0)
		i++;
	if (i == sizeof(functions) / sizeof(*functions))
		return arrow_fail_status(
			error, CLI_FORMAT_STATUS, ENOENT, "--format: no such function: '%s'", name);
	c.out = open_memstream(&text, &size);
	if (!c.out)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = functions[i].call(&c);
	fclose(c.out);
	*result = r < 0 ? NULL : c.result ? c.result : json_stringn(text, size);
	if (r < 0) {
		json_decref(c.result);
		return r;
	}
	return *result ? 0
		       : arrow_fail(error, EINVAL, "--format: %s: the result is not valid UTF-8",
				 name);
}
