// SPDX-License-Identifier: Apache-2.0
#include "util/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

/* The run directory may be in /tmp, where anybody could have made it before us. */
static int check_owner(const char *dir, struct arrow_error *error)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		return arrow_fail(error, errno, "cannot use the state directory %s: %m", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return arrow_fail(error, EPERM,
			"cannot use the state directory %s: it must be a directory of yours that nobody else can write; set ARROW_RUN_DIR to another",
			dir);
	return 0;
}

int arrow_paths_init(
	struct arrow_paths *paths, const char *data, const char *run, struct arrow_error *error)
{
	int r;

	memset(paths, 0, sizeof(*paths));
	paths->data = strdup(data);
	paths->run = strdup(run);
	if (!paths->data || !paths->run) {
		r = arrow_no_memory(error);
		goto fail;
	}

	r = mkdir_all(paths->data, 0755);
	if (r < 0) {
		r = arrow_fail(error, -r, "cannot make the data directory %s: %m", paths->data);
		goto fail;
	}
	r = mkdir_all(paths->run, 0700);
	if (r < 0) {
		r = arrow_fail(error, -r, "cannot make the state directory %s: %m", paths->run);
		goto fail;
	}
	r = check_owner(paths->run, error);
	if (r < 0)
		goto fail;

	paths->stores[0] = paths->data;
	if (strcmp(paths->data, ARROW_SYSTEM_DATA) != 0)
		paths->stores[1] = ARROW_SYSTEM_DATA;
	return 0;
fail:
	arrow_paths_release(paths);
	return r;
}

char *arrow_paths_find(const char *data, const char *name)
{
	const char *const stores[] = {data, ARROW_SYSTEM_DATA};

	for (size_t i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
		_cleanup_free_ char *path =
			stores[i] ? path_format("%s/%s", stores[i], name) : NULL;

		if (path && access(path, F_OK) == 0)
			return STEAL(path);
	}
	return NULL;
}

void arrow_paths_release(struct arrow_paths *paths)
{
	free(paths->data);
	free(paths->run);
	free(paths->settings);
	memset(paths, 0, sizeof(*paths));
}
