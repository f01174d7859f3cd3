// SPDX-License-Identifier: Apache-2.0
/* The folder of one Arrow: its config, its state, its lock. */
#include "core/instance/instance.h"
#include "core/limits/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/instance/event.h"
#include "core/instance/internal.h"
#include "core/spec/spec_json.h"
#include "util/cleanup.h"

#define CONFIG_MAX                                                                                 \
	(64u << 20)             /* a spec holds arguments and environment, which fit into an exec  \
				 */
#define LOCK_DEADLINE_MS 20000u /* for a lock that is on its way to be free */

int instance_no_memory(struct arrow_error *error)
{
	return arrow_fail(error, ENOMEM, "out of memory");
}

/*
 * The lock of one Arrow is of the open file: a child that was forked with it holds it, too, and
 * others can ask for it without taking it.
 */
int instance_try_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static bool is_locked(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Removes what there is of this boot, with the control groups that a killed keeper left. */
void instance_remove_run(int dir_fd, const char *path)
{
	_cleanup_free_ char *list = path_format("%s/cgroups", path);

	if (list)
		arrow_limits_clean(dir_fd, list);
	remove_tree(dir_fd, path);
}

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
	int r = read_file(i->dir_fd, "config.json", CONFIG_MAX, &text, NULL);

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
	r = i->name ? 0 : instance_no_memory(error);
	if (r == 0 && spec)
		r = arrow_spec_from_json(spec, json_object_get(o, "spec"), error);
	if (r == 0 && spec) {
		free(spec->name);
		spec->name = strdup(name);
		r = spec->name ? 0 : instance_no_memory(error);
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
	fd = openat(i->dir_fd, "config.next", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : write_full(fd, text, strlen(text));
	if (r == 0 && renameat(i->dir_fd, "config.next", i->dir_fd, "config.json") < 0)
		r = -errno;
	return r;
}

void arrow_instance_sync(const struct arrow_instance *i)
{
	static const char *const files[] = {"config.json", "state.json", "."};

	for (size_t n = 0; n < sizeof(files) / sizeof(*files); n++) {
		_cleanup_close_ int fd = openat(i->dir_fd, files[n], O_RDONLY | O_CLOEXEC);

		/* A disk that fails has told whoever wrote; there is nobody to tell here. */
		if (fd >= 0)
			(void)!fsync(fd);
	}
}

int instance_open_lock(struct arrow_instance *i, int flags)
{
	i->lock_fd = openat(i->dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return i->lock_fd < 0 ? -errno : instance_try_lock(i->lock_fd);
}

int arrow_instance_lock(struct arrow_instance *i)
{
	struct stat st;
	int r = instance_open_lock(i, 0);

	/* One that was removed while we waited for the file has lost its name. */
	if (r == 0 && (fstat(i->lock_fd, &st) < 0 || st.st_nlink == 0 || access(i->dir, F_OK) < 0))
		r = -ENOENT;
	if (r < 0) {
		close_keep_errno(steal_fd(&i->lock_fd));
		return r == -EAGAIN || r == -EACCES ? -EBUSY : r;
	}
	arrow_instance_refresh(i);
	return 0;
}

int arrow_instance_lock_wait(struct arrow_instance *i, struct arrow_error *error)
{
	uint64_t end = now_ms() + LOCK_DEADLINE_MS;
	int r;

	while ((r = arrow_instance_lock(i)) == -EBUSY && now_ms() < end) {
		/* With a state that says that it runs, it does. */
		arrow_instance_refresh(i);
		if (arrow_life_active(i->state.life))
			break;
		usleep(2000);
	}
	if (r == -EBUSY)
		return arrow_fail_status(error, 1, EBUSY, "Arrow %s is running", i->name);
	if (r == -ENOENT)
		return arrow_fail_status(error, 1, ENOENT, "no such Arrow: %s", i->id);
	return r < 0 ? arrow_fail(error, -r, "cannot lock %s: %m", i->dir) : 0;
}

bool arrow_instance_is_kept(const struct arrow_instance *i)
{
	_cleanup_close_ int fd = openat(i->dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && is_locked(fd);
}

void arrow_instance_refresh(struct arrow_instance *i)
{
	struct arrow_state *s = &i->state;
	/* Asked before the state is read: one that ends in between is no dead one. */
	bool kept = i->lock_fd < 0 && arrow_instance_is_kept(i), ours = i->lock_fd >= 0, lost;
	struct timespec now;

	arrow_state_release(s);
	if (arrow_state_read(i->dir_fd, s) < 0)
		s->life = ARROW_LIFE_DEAD;
	if (kept || !arrow_life_active(s->life))
		return;
	lost = access(i->run_dir, F_OK) < 0;
	if (!lost)
		snprintf(s->error, sizeof(s->error), "its keeper (process %d) was killed",
			s->keeper_pid);
	else
		snprintf(s->error, sizeof(s->error), "the host went down while it ran");
	s->life = ARROW_LIFE_EXITED;
	s->exit_code = ARROW_KILLED_STATUS;
	s->keeper_pid = s->vm_pid = 0;
	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(now, s->finished);
	if (ours) {
		(void)!arrow_state_write(i->dir_fd, s);
		arrow_instance_end(i);
		/* The list of its control groups went with the folder of this boot. */
		if (lost)
			arrow_limits_clean_lost(i->id);
		arrow_event_number(i, "die", "exitCode", s->exit_code);
	}
}

int arrow_instance_open(struct arrow_instance *i, const struct arrow_paths *paths, const char *id,
	struct arrow_spec *spec, struct arrow_error *error)
{
	int r;

	instance_clear(i);
	if (spec)
		arrow_spec_init(spec);
	snprintf(i->id, sizeof(i->id), "%s", id);
	r = instance_set_paths(i, paths);
	if (r < 0) {
		r = instance_no_memory(error);
		goto fail;
	}
	i->dir_fd = open(i->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (i->dir_fd < 0) {
		r = errno == ENOENT ? arrow_fail(error, ENOENT, "no such Arrow: %s", id)
				    : arrow_fail(error, errno, "cannot open %s: %m", i->dir);
		goto fail;
	}
	r = instance_read_config(i, spec, error);
	if (r < 0)
		goto fail;
	arrow_instance_refresh(i);
	return 0;
fail:
	arrow_instance_release(i);
	return r;
}

int arrow_instance_prepare(struct arrow_instance *i, struct arrow_error *error)
{
	int r = arrow_state_reserve(i->dir_fd);

	if (r < 0)
		return arrow_fail(error, -r, "cannot write the state directory %s: %m", i->dir);
	if (mkdir(i->run_dir, DIR_MODE) < 0 && errno != EEXIST)
		return arrow_fail(
			error, errno, "cannot make the state directory %s: %m", i->run_dir);
	return 0;
}

void arrow_instance_end(struct arrow_instance *i)
{
	instance_remove_run(AT_FDCWD, i->run_dir);
}

void arrow_instance_release(struct arrow_instance *i)
{
	free(i->name);
	free(i->dir);
	free(i->run_dir);
	free(i->names_dir);
	free(i->data_dir);
	arrow_state_release(&i->state);
	close_keep_errno(i->dir_fd);
	close_keep_errno(i->lock_fd);
	instance_clear(i);
}
