// SPDX-License-Identifier: Apache-2.0
#include "core/upkeep/prune.h"

#include "core/instance/instance.h"
#include "core/instance/list.h"
#include "core/upkeep/usage.h"

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
			arrow_instance_remove(&i);
			each(id, arg);
		} else {
			arrow_instance_release(&i);
		}
	}
	json_decref(list);
	return r;
}
