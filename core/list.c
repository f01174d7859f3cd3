// SPDX-License-Identifier: Apache-2.0
#include "core/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/instance.h"
#include "core/spec_json.h"
#include "util/cleanup.h"

static json_t *strings_json(const struct arrow_strings *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, arrow_text_json(list->v[i]));
	return array;
}

static json_t *labels_json(const struct arrow_strings *labels)
{
	json_t *object = json_object();

	for (size_t i = 0; i < labels->n; i++) {
		_cleanup_free_ char *key = strdup(labels->v[i]);
		char *value = key ? strchr(key, '=') : NULL;

		if (value)
			*value++ = '\0';
		if (key)
			json_object_set_new(object, key, arrow_text_json(value ? value : ""));
	}
	return object;
}

static json_t *describe(const struct arrow_instance *i, const struct arrow_spec *spec)
{
	json_t *o = arrow_state_json(&i->state);
	json_t *more = json_pack("{s:s, s:s, s:s, s:o*, s:o*, s:o*, s:o*, s:I, s:i, s:b, s:o*}",
		"id", i->id, "name", i->name, "created", i->created, "program",
		arrow_text_json(spec->program), "rootfs", arrow_text_json(spec->rootfs), "args",
		strings_json(&spec->args), "labels", labels_json(&spec->labels), "memory",
		(json_int_t)spec->memory, "millicpus", (int)spec->millicpus, "auto_remove",
		spec->auto_remove, "spec", arrow_spec_to_json(spec));

	if (!o || !more || json_object_update(o, more) < 0) {
		json_decref(o);
		o = NULL;
	}
	json_decref(more);
	return o;
}

int arrow_describe(const struct arrow_paths *paths, const char *id, json_t **description,
	struct arrow_error *error)
{
	struct arrow_instance instance;
	struct arrow_spec spec;
	int r = arrow_instance_open(&instance, paths, id, &spec, error);

	if (r == 0) {
		*description = describe(&instance, &spec);
		if (!*description)
			r = arrow_fail(error, ENOMEM, "out of memory");
	}
	arrow_instance_release(&instance);
	arrow_spec_release(&spec);
	return r;
}

struct listing {
	const struct arrow_paths *paths;
	json_t *list;
	bool all;
};

static void add(const char *id, void *arg)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct listing *l = arg;
	json_t *o = NULL;
	bool wanted;
	const char *status;

	/* One without a whole config is just being made or removed. */
	if (arrow_describe(l->paths, id, &o, &error) < 0)
		return;
	status = json_string_value(json_object_get(o, "status"));
	wanted = strcmp(status, arrow_life_text(ARROW_LIFE_RUNNING)) == 0 ||
		 strcmp(status, arrow_life_text(ARROW_LIFE_PAUSED)) == 0 ||
		 strcmp(status, arrow_life_text(ARROW_LIFE_RESTARTING)) == 0;
	/* What is left of one that was to be removed with its end is gone already. */
	if (strcmp(status, arrow_life_text(ARROW_LIFE_EXITED)) == 0 &&
		json_is_true(json_object_get(o, "auto_remove")))
		wanted = false;
	else
		wanted |= l->all;
	if (!wanted || json_array_append(l->list, o) < 0)
		errno = 0;
	json_decref(o);
}

static const char *created(const json_t *o)
{
	return json_string_value(json_object_get(o, "created"));
}

static int newest_first(const void *a, const void *b)
{
	return strcmp(created(*(json_t *const *)b), created(*(json_t *const *)a));
}

/* A new array of the same objects, in order. */
static json_t *sorted(const json_t *list)
{
	size_t n = json_array_size(list);
	_cleanup_free_ json_t **rows = calloc(n + 1, sizeof(*rows));
	json_t *result = rows ? json_array() : NULL;

	for (size_t i = 0; result && i < n; i++)
		rows[i] = json_array_get(list, i);
	if (result)
		qsort(rows, n, sizeof(*rows), newest_first);
	for (size_t i = 0; result && i < n; i++)
		if (json_array_append(result, rows[i]) < 0)
			return NULL;
	return result;
}

int arrow_list(const struct arrow_paths *paths, bool all, json_t **list, struct arrow_error *error)
{
	struct listing l = {.paths = paths, .list = json_array(), .all = all};
	int r;

	if (!l.list)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = arrow_instances(paths, add, &l, error);
	*list = r < 0 ? NULL : sorted(l.list);
	json_decref(l.list);
	return r == 0 && !*list ? arrow_fail(error, ENOMEM, "out of memory") : r;
}
