// SPDX-License-Identifier: Apache-2.0
#include "core/instance/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/instance/config.h"
#include "core/instance/event.h"
#include "core/instance/volumes.h"

struct cleaning {
	const struct arrow_paths *paths;
	const struct folders *folders;
	bool remove;
	unsigned int found;
};

/* What a killed keeper, or a host that went down, left of one. */
static void leftovers_settle(
	const struct cleaning *c, struct arrow_instance *i, const struct arrow_spec *spec)
{
	_cleanup_free_ char *name = strdup(i->name);

	if (arrow_instance_lock(i) < 0)
		return;
	if (!spec->life.auto_remove) {
		arrow_instance_end(i);
		return;
	}
	arrow_event(i, "destroy", NULL);
	folders_remove_one(c->folders, i->id);
	if (name)
		unlinkat(c->folders->names_fd, name, 0);
	/* Whoever starts to use volumes may wait for the lock of the folders. */
	arrow_volumes_drop(c->paths->data, spec, false);
}

/* Under the store's lock: one that has nothing of this boot, but may have run in the last one. */
static void leftovers_clean_lost(const char *id, void *arg)
{
	struct cleaning *c = arg;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_instance i;
	struct arrow_spec spec;

	if (arrow_instance_open(&i, c->paths, id, &spec, &error) == 0 &&
		i.state.life == ARROW_LIFE_EXITED && !arrow_instance_is_kept(&i))
		leftovers_settle(c, &i, &spec);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
}

/* Under the store's lock, once a boot: those of which there is no folder in RUN any more. */
static void leftovers_clean_after_boot(struct cleaning *c)
{
	_cleanup_free_ char *mark = path_format("%s/settled", c->paths->run);
	_cleanup_close_ int fd = -1;

	if (!mark || access(mark, F_OK) == 0)
		return;
	if (folders_each_id(c->folders->arrows_fd, leftovers_clean_lost, c) == 0)
		fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Whether the keeper of one lives. Nothing of it is read: most of them do. */
static bool leftovers_has_keeper(int arrows_fd, const char *id)
{
	_cleanup_free_ char *lock = path_format("%s/lock", id);
	_cleanup_close_ int fd =
		lock ? openat(arrows_fd, lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;

	return fd >= 0 && instance_is_locked(fd);
}

/* Under the store's lock: one that has, or had, something of this boot. */
static void leftovers_clean_one(const char *id, void *arg)
{
	struct cleaning *c = arg;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_instance i;
	struct arrow_spec spec;

	if (leftovers_has_keeper(c->folders->arrows_fd, id))
		return;
	if (arrow_instance_open(&i, c->paths, id, &spec, &error) < 0) {
		/* Its folder is gone already, or its config is damaged. Under the lock none is half
		 * made. */
		c->found++;
		if (c->remove)
			arrow_instance_remove_run(c->folders->run_fd, id);
		arrow_spec_release(&spec);
		return;
	}
	c->found++;
	if (c->remove)
		leftovers_settle(c, &i, &spec);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
}

/* Under the store's lock: folders half made or half removed, and names of nobody. */
static void leftovers_clean_rest(const struct folders *s)
{
	int fd = openat(s->arrows_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int names = openat(s->names_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *name_dir = names >= 0 ? fdopendir(names) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *config = path_format("%s/config.json", entry->d_name);

		if (strncmp(entry->d_name, FOLDERS_REMOVING, strlen(FOLDERS_REMOVING)) == 0)
			remove_tree(s->arrows_fd, entry->d_name);
		else if (strlen(entry->d_name) == ARROW_ID_HEX - 1 && config &&
			 faccessat(s->arrows_fd, config, F_OK, 0) < 0 && errno == ENOENT)
			folders_remove_one(s, entry->d_name);
	}
	while (name_dir && (entry = readdir(name_dir))) {
		char id[ARROW_ID_HEX];
		ssize_t n = readlinkat(s->names_fd, entry->d_name, id, sizeof(id) - 1);

		if (n < 0)
			continue;
		id[n] = '\0';
		if (faccessat(s->arrows_fd, id, F_OK, 0) < 0 && errno == ENOENT)
			unlinkat(s->names_fd, entry->d_name, 0);
	}
}

void leftovers_clean(const struct arrow_paths *paths, const struct folders *folders)
{
	struct cleaning c = {.paths = paths, .folders = folders, .remove = true};

	(void)!folders_each_id(folders->run_fd, leftovers_clean_one, &c);
	leftovers_clean_after_boot(&c);
}

struct sweep {
	int arrows_fd;
	bool found;
};

static void leftovers_look(const char *id, void *arg)
{
	struct sweep *s = arg;

	s->found |= !leftovers_has_keeper(s->arrows_fd, id);
}

static int leftovers_open_dir(const char *parent)
{
	_cleanup_free_ char *path = path_format("%s/arrows", parent);

	return path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

void leftovers_sweep(const struct arrow_paths *paths)
{
	_cleanup_folders_ struct folders folders = FOLDERS_INIT;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int run = leftovers_open_dir(paths->run);
	_cleanup_close_ int arrows = leftovers_open_dir(paths->data);
	struct sweep s = {.arrows_fd = arrows};

	/* Whoever finds one under the lock still asks for its own lock. */
	if (run < 0 || arrows < 0 || folders_each_id(run, leftovers_look, &s) < 0 || !s.found)
		return;
	if (folders_lock(&folders, paths, &error) == 0)
		leftovers_clean(paths, &folders);
}

int arrow_cleanup(const struct arrow_paths *paths, bool remove, unsigned int *found,
	struct arrow_error *error)
{
	_cleanup_folders_ struct folders folders = FOLDERS_INIT;
	struct cleaning c = {.paths = paths, .folders = &folders, .remove = remove};
	int r = folders_lock(&folders, paths, error);

	if (r < 0)
		return r;
	r = folders_each_id(folders.run_fd, leftovers_clean_one, &c);
	if (r < 0)
		return arrow_fail(error, -r, "cannot list the Arrows in %s: %m", paths->run);
	if (remove) {
		leftovers_clean_after_boot(&c);
		leftovers_clean_rest(&folders);
	}
	*found = c.found;
	return 0;
}
