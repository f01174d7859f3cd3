// SPDX-License-Identifier: Apache-2.0
#include "core/instance/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/instance/instance.h"
#include "core/spec/spec_json.h"
#include "util/cleanup.h"

static json_t *list_describe(const struct arrow_instance *i, const struct arrow_spec *spec)
{
	json_t *o = arrow_state_json(&i->state);
	json_t *more = json_pack("{s:s, s:s, s:s, s:o*, s:o*, s:o*, s:o*, s:I, s:i, s:b, s:o*}",
		"id", i->id, "name", i->name, "created", i->created, "program",
		arrow_text_json(spec->source.program), "rootfs",
		arrow_text_json(spec->source.rootfs), "args", arrow_texts_json(&spec->process.args),
		"labels", arrow_pairs_json(&spec->labels), "memory",
		(json_int_t)spec->limits.memory, "millicpus", (int)spec->limits.millicpus,
		"auto_remove", spec->life.auto_remove, "spec", arrow_spec_to_json(spec));

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
		*description = list_describe(&instance, &spec);
		if (!*description)
			r = arrow_no_memory(error);
	}
	arrow_instance_release(&instance);
	arrow_spec_release(&spec);
	return r;
}

struct listing {
	const struct arrow_paths *paths;
	json_t *(*describe)(const struct arrow_instance *, const struct arrow_spec *);
	json_t *list;
	bool all;
};

static bool list_runs(const struct arrow_paths *paths, const char *id)
{
	_cleanup_free_ char *dir = path_format("%s/arrows/%s", paths->data, id);

	return dir && arrow_life_active(arrow_state_read_life(dir));
}

static void list_add(const char *id, void *arg)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct listing *l = arg;
	struct arrow_instance instance;
	struct arrow_spec spec;
	enum arrow_life life;
	bool wanted;

	/* Most of many do not run: of these nothing else is read. */
	if (!l->all && !list_runs(l->paths, id))
		return;
	/* One without a whole config is just being made or removed. */
	wanted = arrow_instance_open(&instance, l->paths, id, &spec, &error) == 0;
	life = instance.state.life;
	/* What is left of one that was to be removed with its end is gone already. */
	if (life == ARROW_LIFE_EXITED && spec.life.auto_remove)
		wanted = false;
	if (wanted && (l->all || arrow_life_active(life)) &&
		json_array_append_new(l->list, l->describe(&instance, &spec)) < 0)
		errno = 0;
	arrow_instance_release(&instance);
	arrow_spec_release(&spec);
}

static int list_compare_created(const void *a, const void *b, void *key)
{
	const json_t *first = *(json_t *const *)a, *second = *(json_t *const *)b;

	return strcmp(json_string_value(json_object_get(second, key)),
		json_string_value(json_object_get(first, key)));
}

/* A new array of the same objects, in order. */
static json_t *list_sort(const json_t *list, const char *created)
{
	size_t n = json_array_size(list);
	_cleanup_free_ json_t **rows = calloc(n + 1, sizeof(json_t *));
	json_t *result = rows ? json_array() : NULL;

	for (size_t i = 0; result && i < n; i++)
		rows[i] = json_array_get(list, i);
	if (result)
		qsort_r(rows, n, sizeof(json_t *), list_compare_created, (char *)created);
	for (size_t i = 0; result && i < n; i++)
		if (json_array_append(result, rows[i]) < 0)
			return NULL;
	return result;
}

int arrow_list_as(const struct arrow_paths *paths, bool all,
	json_t *(*describe)(const struct arrow_instance *, const struct arrow_spec *),
	const char *created, json_t **list, struct arrow_error *error)
{
	struct listing l = {.paths = paths, .describe = describe, .list = json_array(), .all = all};
	int r;

	if (!l.list)
		return arrow_no_memory(error);
	r = arrow_instances(paths, list_add, &l, error);
	*list = r < 0 ? NULL : list_sort(l.list, created);
	json_decref(l.list);
	return r == 0 && !*list ? arrow_no_memory(error) : r;
}

int arrow_list(const struct arrow_paths *paths, bool all, json_t **list, struct arrow_error *error)
{
	return arrow_list_as(paths, all, list_describe, "created", list, error);
}
