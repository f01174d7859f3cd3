// SPDX-License-Identifier: Apache-2.0
#include "core/instance/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/instance/config.h"
#include "core/instance/folders.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "volume/volume.h"

struct users {
	int arrows_fd;
	json_t *found;
	char damaged[ARROW_ID_HEX]; /* the id of an Arrow that does not say what it uses, or "" */
};

static void volumes_add_user(json_t *found, const char *name, const char *id)
{
	json_t *ids = json_object_get(found, name);

	if (!ids) {
		ids = json_array();
		json_object_set_new(found, name, ids);
	}
	json_array_append_new(ids, json_string(id));
}

static void volumes_look(const char *id, void *arg)
{
	struct users *u = arg;
	_cleanup_free_ char *path = path_format("%s/config.json", id), *text = NULL;
	const json_t *one;
	json_t *o;
	size_t i;
	int r = path ? read_file(u->arrows_fd, path, INSTANCE_CONFIG_MAX, &text, NULL) : -ENOMEM;

	if (r == -ENOENT) /* half made or half removed */
		return;
	o = r == 0 ? json_loads(text, 0, NULL) : NULL;
	if (!o)
		snprintf(u->damaged, sizeof(u->damaged), "%s", id);
	json_array_foreach (json_object_get(json_object_get(o, "spec"), "volumes"), i, one)
		if (*json_text(one, "name"))
			volumes_add_user(u->found, json_text(one, "name"), id);
	json_decref(o);
}

int arrow_volume_users(const char *data, json_t **users, struct arrow_error *error)
{
	_cleanup_close_ int fd = folders_open_dir(data, "arrows", error);
	struct users u = {.arrows_fd = fd, .found = json_object()};
	int r = fd < 0 ? fd : folders_each_id(fd, volumes_look, &u);

	if (r == 0 && u.damaged[0])
		r = arrow_fail(error, EBADMSG,
			"cannot find out which volumes are in use: the Arrow %.12s is damaged; 'arrow rm -f %.12s' removes it",
			u.damaged, u.damaged);
	if (r < 0) {
		json_decref(u.found);
		return error->text
			       ? r
			       : arrow_fail(error, -r, "cannot read the Arrows in %s: %m", data);
	}
	*users = u.found;
	return 0;
}

int arrow_volume_remove(const char *data, const char *name, struct arrow_error *error)
{
	_cleanup_close_ int lock = volume_lock(data, true, true, error);
	const json_t *ids;
	json_t *users = NULL;
	int r = lock < 0 ? lock : arrow_volume_users(data, &users, error);

	ids = json_object_get(users, name);
	if (r == 0 && ids)
		r = arrow_fail_status(error, 1, EBUSY,
			"the volume %s is in use by Arrow %.12s%s; remove that first", name,
			json_string_value(json_array_get(ids, 0)),
			json_array_size(ids) > 1 ? " and others" : "");
	if (r == 0)
		r = volume_remove(data, name, error);
	json_decref(users);
	return r;
}

void arrow_volumes_drop(const char *data, const struct arrow_spec *spec, bool wait)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_close_ int lock = -1;
	json_t *users = NULL;
	bool any = false;

	for (size_t i = 0; i < spec->files.n_volumes; i++)
		any |= spec->files.volumes[i].anonymous;
	if (!any)
		return;
	lock = volume_lock(data, true, wait, &ignored);
	if (lock >= 0 && arrow_volume_users(data, &users, &ignored) == 0)
		for (size_t i = 0; i < spec->files.n_volumes; i++) {
			const struct arrow_volume *v = &spec->files.volumes[i];

			if (v->anonymous && v->name && !json_object_get(users, v->name))
				(void)!volume_remove(data, v->name, &ignored);
		}
	json_decref(users);
}
