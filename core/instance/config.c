// SPDX-License-Identifier: Apache-2.0
#include "core/instance/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/spec/spec_json.h"
#include "util/cleanup.h"
#include "util/io.h"

void instance_clear(struct arrow_instance *i)
{
	memset(i, 0, sizeof(*i));
	i->dir_fd = i->lock_fd = -1;
}

int instance_set_paths(struct arrow_instance *i, const struct arrow_paths *paths)
{
	i->dir = path_format("%s/arrows/%s", paths->data, i->id);
	i->run_dir = path_format("%s/arrows/%s", paths->run, i->id);
	i->names_dir = path_format("%s/names", paths->data);
	i->data_dir = strdup(paths->data);
	return i->dir && i->run_dir && i->names_dir && i->data_dir ? 0 : -ENOMEM;
}

int instance_read_config(
	struct arrow_instance *i, struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	const char *name, *created;
	json_t *o;
	int r = read_file(i->dir_fd, "config.json", INSTANCE_CONFIG_MAX, &text, NULL);

	if (r < 0)
		return arrow_fail(error, -r, "cannot read %s/config.json: %m", i->dir);
	o = json_loads(text, 0, NULL);
	name = json_string_value(json_object_get(o, "name"));
	created = json_string_value(json_object_get(o, "created"));
	if (!name || !created) {
		json_decref(o);
		return arrow_fail(error, EINVAL,
			"%s/config.json is damaged; 'arrow rm -f %.12s' removes the Arrow", i->dir,
			i->id);
	}
	i->name = strdup(name);
	snprintf(i->created, sizeof(i->created), "%s", created);
	r = i->name ? 0 : arrow_no_memory(error);
	if (r == 0 && spec)
		r = arrow_spec_from_json(spec, json_object_get(o, "spec"), error);
	if (r == 0 && spec) {
		free(spec->name);
		spec->name = strdup(name);
		r = spec->name ? 0 : arrow_no_memory(error);
	}
	json_decref(o);
	return r;
}

int instance_write_config(const struct arrow_instance *i, const struct arrow_spec *spec)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:o*}", "id", i->id, "name", i->name, "created",
		i->created, "spec", arrow_spec_to_json(spec));
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	_cleanup_close_ int fd = -1;
	int r;

	json_decref(o);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > INSTANCE_CONFIG_MAX)
		return -EFBIG; /* else nobody could read it */
	fd = openat(i->dir_fd, "config.next", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : write_full(fd, text, strlen(text));
	if (r == 0 && renameat(i->dir_fd, "config.next", i->dir_fd, "config.json") < 0)
		r = -errno;
	/* On a full disk the part that was written is in the way of others. */
	if (r < 0)
		(void)!unlinkat(i->dir_fd, "config.next", 0);
	return r;
}

int instance_try_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

bool instance_is_locked(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int instance_open_lock(struct arrow_instance *i, int flags)
{
	i->lock_fd = openat(i->dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return i->lock_fd < 0 ? -errno : instance_try_lock(i->lock_fd);
}
