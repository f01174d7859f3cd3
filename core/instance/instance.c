// SPDX-License-Identifier: Apache-2.0
/* The folder of one Arrow: its config, its state, its lock. */
#include "core/instance/instance.h"
#include "core/limits/limits.h"
#include "core/limits/stray.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/instance/event.h"
#include "core/instance/config.h"
#include "util/cleanup.h"

#define LOCK_DEADLINE_MS 20000u /* for a lock that is on its way to be free */

void arrow_instance_remove_run(int dir_fd, const char *path)
{
	_cleanup_free_ char *list = path_format("%s/cgroups", path);
	_cleanup_free_ char *vm = path_format("%s/vm", path);

	if (vm)
		arrow_stray_kill(dir_fd, vm);
	if (list)
		arrow_limits_clean(dir_fd, list);
	remove_tree(dir_fd, path);
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

	return fd >= 0 && instance_is_locked(fd);
}

static void instance_read_state(struct arrow_instance *i)
{
	arrow_state_release(&i->state);
	if (arrow_state_read(i->dir_fd, &i->state) < 0)
		i->state.life = ARROW_LIFE_DEAD;
}

void arrow_instance_refresh(struct arrow_instance *i)
{
	struct arrow_state *s = &i->state;
	bool ours = i->lock_fd >= 0, lost;
	struct timespec now;

	instance_read_state(i);
	if (!arrow_life_active(s->life) || (!ours && arrow_instance_is_kept(i)))
		return;
	/* One that has ended in between is no dead one. */
	instance_read_state(i);
	if (!arrow_life_active(s->life))
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
		r = arrow_no_memory(error);
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
	if (mkdir(i->run_dir, INSTANCE_DIR_MODE) < 0 && errno != EEXIST)
		return arrow_fail(
			error, errno, "cannot create the state directory %s: %m", i->run_dir);
	return 0;
}

void arrow_instance_end(struct arrow_instance *i)
{
	arrow_instance_remove_run(AT_FDCWD, i->run_dir);
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
