// SPDX-License-Identifier: Apache-2.0
#include "core/list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/instance.h"
#include "util/cleanup.h"
#include "util/io.h"

/* A state file holds the arguments and labels of an Arrow, and those fit into an exec. */
#define STATE_MAX (16u << 20)

static bool is_whole(const json_t *state)
{
	static const char *const strings[] = {"id", "name", "created", "status", "engine", "accel"};
	const json_t *args = json_object_get(state, "args"), *arg;
	size_t i;

	for (i = 0; i < sizeof(strings) / sizeof(*strings); i++)
		if (!json_is_string(json_object_get(state, strings[i])))
			return false;
	if (!json_is_array(args) || !json_is_object(json_object_get(state, "labels")))
		return false;
	json_array_foreach (args, i, arg) {
		if (!json_is_string(arg))
			return false;
	}
	return true;
}

static const char *created(const json_t *state)
{
	return json_string_value(json_object_get(state, "created"));
}

static void add(int arrows_fd, const char *id, bool dead, void *arg)
{
	_cleanup_free_ char *path = path_format("%s/state.json", id), *text = NULL;
	json_t *list = arg, *state;
	size_t at = 0;

	/* One that has no state file yet has not started, and one that has none any more has ended.
	 */
	if (dead || !path || read_file(arrows_fd, path, STATE_MAX, &text, NULL) < 0)
		return;
	state = json_loads(text, 0, NULL);
	if (is_whole(state)) {
		while (at < json_array_size(list) &&
			strcmp(created(json_array_get(list, at)), created(state)) > 0)
			at++;
		json_array_insert(list, at, state);
	}
	json_decref(state);
}

int arrow_list(const struct arrow_paths *paths, json_t **list, struct arrow_error *error)
{
	int r;

	*list = json_array();
	if (!*list)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = arrow_instances(paths, add, *list, error);
	if (r < 0)
		json_decref(STEAL(*list));
	return r;
}
