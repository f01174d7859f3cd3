// SPDX-License-Identifier: Apache-2.0
#include "core/upkeep/prune.h"

#include <errno.h>
#include <fcntl.h>

#include "core/instance/instance.h"
#include "core/instance/list.h"
#include "core/instance/volumes.h"
#include "core/upkeep/usage.h"
#include "util/cleanup.h"
#include "util/event.h"
#include "volume/volume.h"

int arrow_prune(const struct arrow_paths *paths, bool (*wanted)(const json_t *row, void *arg),
	void *wanted_arg, void (*each)(const char *id, void *arg), void *arg,
	unsigned long long *bytes, struct arrow_error *error)
{
	json_t *list = NULL;
	const json_t *o;
	size_t n;
	int r = arrow_list(paths, true, &list, error);

	*bytes = 0;
	json_array_foreach (list, n, o) {
		_cleanup_error_ struct arrow_error gone = ARROW_ERROR_INIT;
		const char *id = json_string_value(json_object_get(o, "id"));
		struct arrow_instance i;

		if (!wanted(o, wanted_arg) || arrow_instance_open(&i, paths, id, NULL, &gone) < 0)
			continue;
		/* One that runs, or that another command has in hand, is left alone. */
		if (!arrow_life_active(i.state.life) && arrow_instance_lock(&i) == 0) {
			*bytes += arrow_disk_bytes(i.dir_fd, ".");
			arrow_instance_remove(&i, false);
			each(id, arg);
		} else {
			arrow_instance_release(&i);
		}
	}
	json_decref(list);
	return r;
}

struct unused {
	bool all;
	bool (*wanted)(const json_t *row, void *arg);
	void *arg;
	const json_t *users;
	struct arrow_strings names;
};

static int prune_find_volume(const struct volume *v, void *arg, struct arrow_error *error)
{
	struct unused *u = arg;
	json_t *row = json_pack("{s:s, s:O}", "created", v->created, "labels", v->labels);
	int r = 0;

	if ((u->all || volume_is_anonymous(v)) && !json_object_get(u->users, v->name) &&
		u->wanted(row, u->arg))
		r = arrow_strings_add(&u->names, v->name);
	json_decref(row);
	return r < 0 ? arrow_fail(error, -r, "out of memory") : 0;
}

int arrow_prune_volumes(const struct arrow_paths *paths, bool all,
	bool (*wanted)(const json_t *row, void *arg), void *wanted_arg,
	void (*each)(const char *name, void *arg), void *arg, unsigned long long *bytes,
	struct arrow_error *error)
{
	struct unused unused = {.all = all, .wanted = wanted, .arg = wanted_arg};
	json_t *users = NULL;
	int r = arrow_volume_users(paths->data, &users, error);

	*bytes = 0;
	unused.users = users;
	if (r == 0)
		r = volume_list(paths->data, prune_find_volume, &unused, error);
	for (size_t i = 0; r == 0 && i < unused.names.n; i++) {
		_cleanup_error_ struct arrow_error taken = ARROW_ERROR_INIT;
		const char *name = unused.names.v[i];
		_cleanup_free_ char *dir = path_format("%s/volumes/%s", paths->data, name);
		unsigned long long size = dir ? arrow_disk_bytes(AT_FDCWD, dir) : 0;

		/* One that an Arrow has come to meanwhile stays. */
		if (arrow_volume_remove(paths->data, name, &taken) < 0)
			continue;
		*bytes += size;
		each(name, arg);
	}
	if (r == 0)
		event_write(paths->data, "volume", "prune", "",
			json_pack("{s:o}", "reclaimed", json_sprintf("%llu", *bytes)));
	arrow_strings_release(&unused.names);
	json_decref(users);
	return r;
}
