// SPDX-License-Identifier: Apache-2.0
/* All Arrows of a data directory: made, found, named, removed, and what killed ones left. */
#include "core/instance/instance.h"
#include "core/limits/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/instance/event.h"
#include "core/instance/config.h"
#include "util/cleanup.h"
#include "util/hex.h"

#define LOCK_DEADLINE_MS 20000u /* for the lock of the store, which is held for moments */
#define REMOVING ".removing-"   /* in front of the id of a folder that is on its way out */

/* What orders those who make, rename and remove. */
struct store {
	int arrows_fd, names_fd, run_fd, lock_fd;
};

#define STORE_INIT                                                                                 \
	{                                                                                          \
		-1, -1, -1, -1                                                                     \
	}

static void store_release(struct store *s)
{
	close_keep_errno(s->arrows_fd);
	close_keep_errno(s->names_fd);
	close_keep_errno(s->run_fd);
	close_keep_errno(s->lock_fd); /* gives the lock back */
}

#define _cleanup_store_ __attribute__((cleanup(store_release)))

/* Opens (and makes) a directory. */
static int store_open_dir(const char *parent, const char *name, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/%s", parent, name);
	int fd;

	if (!path)
		return arrow_no_memory(error);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		if (mkdir(path, INSTANCE_DIR_MODE) < 0 && errno != EEXIST)
			return arrow_fail(
				error, errno, "cannot create the state directory %s: %m", path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0)
		return arrow_fail(error, errno, "cannot open the state directory %s: %m", path);
	return fd;
}

static int store_open(struct store *s, const struct arrow_paths *paths, struct arrow_error *error)
{
	s->arrows_fd = store_open_dir(paths->data, "arrows", error);
	if (s->arrows_fd < 0)
		return s->arrows_fd;
	s->names_fd = store_open_dir(paths->data, "names", error);
	if (s->names_fd < 0)
		return s->names_fd;
	s->run_fd = store_open_dir(paths->run, "arrows", error);
	return s->run_fd < 0 ? s->run_fd : 0;
}

/* Waits for the lock of the store. Holders only ever keep it for a moment. */
static int store_lock(struct store *s, const struct arrow_paths *paths, struct arrow_error *error)
{
	uint64_t end = now_ms() + LOCK_DEADLINE_MS;
	int r = store_open(s, paths, error);

	if (r < 0)
		return r;
	s->lock_fd = openat(s->arrows_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return arrow_fail(
			error, errno, "cannot use the data directory %s: %m", paths->data);
	while ((r = flock(s->lock_fd, LOCK_EX | LOCK_NB)) < 0 && now_ms() < end &&
		(errno == EINTR || errno == EWOULDBLOCK))
		usleep(500);
	if (r < 0)
		return arrow_fail(error, errno,
			"cannot lock %s/arrows/.lock: %m; a stopped command may hold it",
			paths->data);
	return 0;
}

static int store_each_id(int dir_fd, void (*each)(const char *id, void *arg), void *arg)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		int err = errno;

		close_keep_errno(fd);
		return -err;
	}
	while ((entry = readdir(dir)))
		if (strlen(entry->d_name) == ARROW_ID_HEX - 1)
			each(entry->d_name, arg);
	return 0;
}

int arrow_id_make(char id[ARROW_ID_HEX])
{
	return hex_random(id, (ARROW_ID_HEX - 1) / 2);
}

/* A name that nobody chose: two words, as Docker's users know it. */
static char *store_make_name(const char *id)
{
	static const char *const first[] = {"brisk", "calm", "clever", "deft", "eager", "fleet",
		"keen", "light", "lucid", "nimble", "quick", "quiet", "sharp", "sleek", "steady",
		"swift"};
	static const char *const second[] = {"bow", "dart", "falcon", "feather", "fletcher",
		"flight", "hawk", "heron", "kestrel", "longbow", "nock", "quiver", "shaft",
		"swallow", "target", "yew"};
	unsigned int bits = 0;

	sscanf(id, "%8x", &bits);
	return path_format(
		"%s_%s_%04x", first[bits & 15], second[(bits >> 4) & 15], (bits >> 8) & 0xffff);
}

/* Whether an Arrow has its name, or is about to give it back itself. */
static bool store_keeps_name(const struct store *s, const char *id)
{
	_cleanup_free_ char *lock = path_format(REMOVING "%s/lock", id);
	_cleanup_close_ int fd = -1;

	if (faccessat(s->arrows_fd, id, F_OK, 0) == 0)
		return true;
	fd = lock ? openat(s->arrows_fd, lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
	return fd >= 0 && instance_try_lock(fd) < 0;
}

/* Under the store's lock. */
static int store_claim_name(
	const struct store *s, const char *id, const char *name, struct arrow_error *error)
{
	char other[ARROW_ID_HEX] = "";
	ssize_t n;

	for (int i = 0; i < 2; i++) {
		if (symlinkat(id, s->names_fd, name) == 0)
			return 0;
		if (errno != EEXIST)
			return arrow_fail(error, errno, "cannot use the name %s: %m", name);
		n = readlinkat(s->names_fd, name, other, sizeof(other) - 1);
		other[n > 0 ? n : 0] = '\0';
		if (store_keeps_name(s, other))
			break;
		unlinkat(s->names_fd, name, 0); /* its Arrow is gone */
	}
	return arrow_fail(error, EEXIST,
		"the name '%s' is in use by Arrow %.12s; choose another name, or remove that one",
		name, other);
}

/* Under the store's lock: removes the folder of an Arrow, in a way that nobody sees half of it. */
static void store_remove_folder(const struct store *s, const char *id)
{
	_cleanup_free_ char *aside = path_format(REMOVING "%s", id);

	if (aside && renameat(s->arrows_fd, id, s->arrows_fd, aside) == 0)
		remove_tree(s->arrows_fd, aside);
	arrow_instance_remove_run(s->run_fd, id);
}

/* Under the store's lock: folder, lock, name, config. */
static int store_create(struct arrow_instance *i, const struct store *s,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	int r;

	if (mkdirat(s->arrows_fd, i->id, INSTANCE_DIR_MODE) < 0)
		return arrow_fail(error, errno, "cannot create the state directory %s: %m", i->dir);
	i->dir_fd = openat(s->arrows_fd, i->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = i->dir_fd < 0 ? -errno : instance_open_lock(i, O_CREAT | O_EXCL);
	if (r == 0)
		r = arrow_state_reserve(i->dir_fd);
	if (r == 0)
		r = instance_write_config(i, spec);
	r = r < 0 ? arrow_fail(error, -r, "cannot write the state directory %s: %m", i->dir)
		  : store_claim_name(s, i->id, i->name, error);
	if (r < 0)
		store_remove_folder(s, i->id);
	return r;
}

struct cleaning {
	const struct arrow_paths *paths;
	const struct store *store;
	bool remove;
	unsigned int found;
};

/* What a killed keeper, or a host that went down, left of one. */
static void store_settle(const struct cleaning *c, struct arrow_instance *i, bool auto_remove)
{
	_cleanup_free_ char *name = strdup(i->name);

	if (arrow_instance_lock(i) < 0)
		return;
	if (!auto_remove) {
		arrow_instance_end(i);
		return;
	}
	arrow_event(i, "destroy", NULL);
	store_remove_folder(c->store, i->id);
	if (name)
		unlinkat(c->store->names_fd, name, 0);
}

/* Under the store's lock: one that has nothing of this boot, but may have run in the last one. */
static void store_clean_lost(const char *id, void *arg)
{
	struct cleaning *c = arg;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_instance i;
	struct arrow_spec spec;

	if (arrow_instance_open(&i, c->paths, id, &spec, &error) == 0 &&
		i.state.life == ARROW_LIFE_EXITED && !arrow_instance_is_kept(&i))
		store_settle(c, &i, spec.life.auto_remove);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
}

/* Under the store's lock, once a boot: those of which there is no folder in RUN any more. */
static void store_clean_after_boot(struct cleaning *c)
{
	_cleanup_free_ char *mark = path_format("%s/settled", c->paths->run);
	_cleanup_close_ int fd = -1;

	if (!mark || access(mark, F_OK) == 0)
		return;
	if (store_each_id(c->store->arrows_fd, store_clean_lost, c) == 0)
		fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Whether the keeper of one lives. Nothing of it is read: most of them do. */
static bool store_has_keeper(const struct store *s, const char *id)
{
	_cleanup_free_ char *lock = path_format("%s/lock", id);
	_cleanup_close_ int fd =
		lock ? openat(s->arrows_fd, lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;

	return fd >= 0 && instance_is_locked(fd);
}

/* Under the store's lock: one that has, or had, something of this boot. */
static void store_clean_one(const char *id, void *arg)
{
	struct cleaning *c = arg;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_instance i;
	struct arrow_spec spec;
	bool gone;

	if (store_has_keeper(c->store, id))
		return;
	if (arrow_instance_open(&i, c->paths, id, &spec, &error) < 0) {
		/* Without a config it was half made, or its folder is gone already. */
		gone = faccessat(c->store->arrows_fd, id, F_OK, 0) < 0;
		if (gone && ++c->found && c->remove)
			arrow_instance_remove_run(c->store->run_fd, id);
		arrow_spec_release(&spec);
		return;
	}
	c->found++;
	if (c->remove)
		store_settle(c, &i, spec.life.auto_remove);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
}

/* Under the store's lock: folders half made or half removed, and names of nobody. */
static void store_clean_rest(const struct store *s)
{
	int fd = openat(s->arrows_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int names = openat(s->names_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *name_dir = names >= 0 ? fdopendir(names) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *config = path_format("%s/config.json", entry->d_name);

		if (strncmp(entry->d_name, REMOVING, strlen(REMOVING)) == 0)
			remove_tree(s->arrows_fd, entry->d_name);
		else if (strlen(entry->d_name) == ARROW_ID_HEX - 1 && config &&
			 faccessat(s->arrows_fd, config, F_OK, 0) < 0 && errno == ENOENT)
			store_remove_folder(s, entry->d_name);
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

int arrow_instance_create(struct arrow_instance *i, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_store_ struct store store = STORE_INIT;
	struct cleaning cleaning = {.paths = paths, .store = &store, .remove = true};
	struct timespec now;
	int r;

	instance_clear(i);
	r = arrow_id_make(i->id);
	if (r < 0)
		return arrow_fail(error, -r, "cannot create an id: %m");
	i->name = spec->name ? strdup(spec->name) : store_make_name(i->id);
	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(now, i->created);
	if (!i->name || instance_set_paths(i, paths) < 0) {
		r = arrow_no_memory(error);
		goto fail;
	}

	r = store_lock(&store, paths, error);
	if (r < 0)
		goto fail;
	/* What cannot be looked at now stays for the next one. */
	(void)store_each_id(store.run_fd, store_clean_one, &cleaning);
	store_clean_after_boot(&cleaning);
	r = store_create(i, &store, spec, error);
	if (r < 0)
		goto fail;
	return 0;
fail:
	arrow_instance_release(i);
	return r;
}

struct search {
	const char *prefix;
	char *id;
	unsigned int found;
};

static void store_match_prefix(const char *id, void *arg)
{
	struct search *s = arg;

	if (strncmp(id, s->prefix, strlen(s->prefix)) == 0 && s->found++ == 0)
		memcpy(s->id, id, ARROW_ID_HEX);
}

int arrow_instance_find(const struct arrow_paths *paths, const char *text, char id[ARROW_ID_HEX],
	struct arrow_error *error)
{
	_cleanup_store_ struct store store = STORE_INIT;
	struct search search = {.prefix = text, .id = id};
	int r = store_open(&store, paths, error);
	char target[ARROW_ID_HEX];
	ssize_t n;

	if (r < 0)
		return r;
	/* A name or an id has no slash: nothing outside is looked at. */
	if (*text && !strchr(text, '/') && text[0] != '.') {
		n = readlinkat(store.names_fd, text, target, sizeof(target));
		if (n == ARROW_ID_HEX - 1) {
			target[n] = '\0';
			if (faccessat(store.arrows_fd, target, F_OK, 0) == 0) {
				memcpy(id, target, sizeof(target));
				return 0;
			}
		}
		(void)store_each_id(store.arrows_fd, store_match_prefix, &search);
	}
	if (search.found > 1)
		return arrow_fail(error, EEXIST,
			"several Arrows have an id that begins with %s; give more digits", text);
	if (search.found == 0)
		return arrow_fail_status(
			error, 1, ENOENT, "no such Arrow: %s; 'arrow ps -a' lists them", text);
	return 0;
}

/* Whether a name is this Arrow's. */
static bool store_owns_name(const struct arrow_instance *i, int names_fd, const char *name)
{
	char id[ARROW_ID_HEX] = "";

	return readlinkat(names_fd, name, id, sizeof(id) - 1) > 0 && strcmp(id, i->id) == 0;
}

int arrow_instance_rename(struct arrow_instance *i, const struct arrow_paths *paths,
	const char *name, struct arrow_error *error)
{
	_cleanup_store_ struct store store = STORE_INIT;
	struct arrow_instance now;
	struct arrow_spec spec;
	int r = store_lock(&store, paths, error);

	if (r < 0)
		return r;
	/* As it is now: somebody else may have renamed or changed it. */
	r = arrow_instance_open(&now, paths, i->id, &spec, error);
	if (r == 0 && strcmp(now.name, name) == 0)
		r = arrow_fail_status(error, 1, EEXIST, "it is already named '%s'", name);
	if (r == 0)
		r = store_claim_name(&store, i->id, name, error);
	if (r == 0) {
		_cleanup_free_ char *old = now.name;

		now.name = strdup(name);
		r = now.name ? instance_write_config(&now, &spec) : -ENOMEM;
		if (r < 0)
			r = arrow_fail(error, -r, "cannot write %s/config.json: %m", now.dir);
		/* Whichever name lost is given back. */
		if (store_owns_name(&now, store.names_fd, r < 0 ? name : old))
			unlinkat(store.names_fd, r < 0 ? name : old, 0);
		if (r == 0)
			arrow_event(&now, "rename", json_pack("{s:s+}", "oldName", "/", old));
	}
	arrow_instance_release(&now);
	arrow_spec_release(&spec);
	return r;
}

int arrow_instance_change(const struct arrow_paths *paths, const char *id,
	int (*change)(struct arrow_spec *spec, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error)
{
	_cleanup_store_ struct store store = STORE_INIT;
	struct arrow_instance now;
	struct arrow_spec spec;
	int r = store_lock(&store, paths, error);

	if (r < 0)
		return r;
	r = arrow_instance_open(&now, paths, id, &spec, error);
	if (r == 0)
		r = change(&spec, arg, error);
	if (r == 0) {
		r = instance_write_config(&now, &spec);
		if (r < 0)
			r = arrow_fail(error, -r, "cannot write %s/config.json: %m", now.dir);
		else
			arrow_instance_sync(&now);
	}
	arrow_instance_release(&now);
	arrow_spec_release(&spec);
	return r;
}

void arrow_instance_remove(struct arrow_instance *i)
{
	_cleanup_free_ char *aside = path_format(
		"%.*s/" REMOVING "%s", (int)(strlen(i->dir) - strlen(i->id) - 1), i->dir, i->id);
	_cleanup_close_ int names = open(i->names_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *name = STEAL(i->name);
	bool renamed;

	/* As it is named now. */
	if (instance_read_config(i, NULL, &error) < 0)
		i->name = STEAL(name);
	arrow_instance_remove_run(AT_FDCWD, i->run_dir);
	/*
	 * Renamed first: nobody sees half of it. The name goes after that, so that no Arrow is
	 * without one, and before the folder, which keeps it from being taken meanwhile.
	 */
	renamed = aside && rename(i->dir, aside) == 0;
	if ((renamed || errno == ENOENT) && names >= 0 && i->name &&
		store_owns_name(i, names, i->name))
		unlinkat(names, i->name, 0);
	if (renamed) {
		arrow_event(i, "destroy", NULL);
		remove_tree(AT_FDCWD, aside);
	}
	arrow_instance_release(i);
}

int arrow_instance_discard(
	const struct arrow_paths *paths, const char *id, struct arrow_error *error)
{
	_cleanup_store_ struct store store = STORE_INIT;
	_cleanup_free_ char *path = path_format("%s/lock", id);
	_cleanup_close_ int fd = -1;
	int r;

	if (!path)
		return arrow_no_memory(error);
	r = store_lock(&store, paths, error);
	if (r < 0)
		return r;
	fd = openat(store.arrows_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && instance_try_lock(fd) < 0)
		return arrow_fail_status(error, 1, EBUSY, "Arrow %.12s is running", id);
	store_remove_folder(&store, id);
	return 0;
}

int arrow_instances(const struct arrow_paths *paths, void (*each)(const char *id, void *arg),
	void *arg, struct arrow_error *error)
{
	_cleanup_close_ int fd = store_open_dir(paths->data, "arrows", error);
	int r;

	if (fd < 0)
		return fd;
	r = store_each_id(fd, each, arg);
	return r < 0 ? arrow_fail(error, -r, "cannot list the Arrows in %s: %m", paths->data) : 0;
}

int arrow_cleanup(const struct arrow_paths *paths, bool remove, unsigned int *found,
	struct arrow_error *error)
{
	_cleanup_store_ struct store store = STORE_INIT;
	struct cleaning c = {.paths = paths, .store = &store, .remove = remove};
	int r = store_lock(&store, paths, error);

	if (r < 0)
		return r;
	r = store_each_id(store.run_fd, store_clean_one, &c);
	if (r < 0)
		return arrow_fail(error, -r, "cannot list the Arrows in %s: %m", paths->run);
	if (remove) {
		store_clean_after_boot(&c);
		store_clean_rest(&store);
	}
	*found = c.found;
	return 0;
}
