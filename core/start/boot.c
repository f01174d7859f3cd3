// SPDX-License-Identifier: Apache-2.0
#include "core/start/boot.h"

#include <signal.h>
#include <string.h>

#include "core/client/manage.h"
#include "core/instance/instance.h"
#include "core/instance/list.h"
#include "core/start/start.h"

int arrow_restart(const struct arrow_paths *paths, const char *name, uint32_t signal,
	uint32_t seconds, struct arrow_error *error)
{
	const struct arrow_attach how = {0};
	int r = arrow_restart_kept(paths, name, signal, seconds, error), status;

	return r == 1 ? arrow_start(paths, name, &how, &status, error) : r;
}

static bool boot_is_wanted(const json_t *o)
{
	const char *status = json_string_value(json_object_get(o, "status"));
	json_int_t policy =
		json_integer_value(json_object_get(json_object_get(o, "spec"), "restart"));
	bool by_hand = json_is_true(json_object_get(o, "manual_stop"));

	if (strcmp(status, arrow_life_text(ARROW_LIFE_EXITED)) != 0)
		return false;
	return policy == ARROW_RESTART_ALWAYS ||
	       (policy == ARROW_RESTART_UNLESS_STOPPED && !by_hand) ||
	       (policy == ARROW_RESTART_ON_FAILURE && !by_hand &&
		       json_integer_value(json_object_get(o, "exit_code")) == ARROW_KILLED_STATUS);
}

int arrow_boot_start(const struct arrow_paths *paths,
	void (*each)(const char *name, const struct arrow_error *failure, void *arg), void *arg,
	struct arrow_error *error)
{
	const struct arrow_attach how = {0};
	json_t *list = NULL;
	int r = arrow_list(paths, true, &list, error), status;

	/* The oldest first: what others need was likely made before them. */
	for (size_t n = json_array_size(list); n-- > 0;) {
		_cleanup_error_ struct arrow_error failure = ARROW_ERROR_INIT;
		const json_t *o = json_array_get(list, n);

		if (!boot_is_wanted(o))
			continue;
		(void)!arrow_start(paths, json_string_value(json_object_get(o, "id")), &how,
			&status, &failure);
		each(json_string_value(json_object_get(o, "name")), failure.text ? &failure : NULL,
			arg);
	}
	json_decref(list);
	return r;
}

int arrow_boot_stop(const struct arrow_paths *paths, struct arrow_error *error)
{
	json_t *list = NULL;
	const json_t *o;
	size_t n;
	int r = arrow_list(paths, false, &list, error);

	/* SIGTERM to a keeper is a stop that nobody did by hand. */
	json_array_foreach (list, n, o) {
		json_int_t pid = json_integer_value(json_object_get(o, "keeper_pid"));

		if (pid > 1)
			kill((pid_t)pid, SIGTERM);
	}
	json_array_foreach (list, n, o) {
		_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
		int status;

		(void)!arrow_wait(
			paths, json_string_value(json_object_get(o, "id")), &status, &ignored);
	}
	json_decref(list);
	return r;
}
