// SPDX-License-Identifier: Apache-2.0
/* All Arrows of a data directory: made, found, named, removed. */
#include "core/instance/instance.h"

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
#include "core/instance/folders.h"
#include "core/instance/leftovers.h"
#include "core/instance/volumes.h"
#include "util/cleanup.h"
#include "util/hex.h"

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
static bool store_keeps_name(const struct folders *s, const char *id)
{
	_cleanup_free_ char *lock = path_format(FOLDERS_REMOVING "%s/lock", id);
	_cleanup_close_ int fd = -1;

	if (faccessat(s->arrows_fd, id, F_OK, 0) == 0)
		return true;
	fd = lock ? openat(s->arrows_fd, lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
	return fd >= 0 && instance_try_lock(fd) < 0;
}

/* Under the store's lock. */
static int store_claim_name(
	const struct folders *s, const char *id, const char *name, struct arrow_error *error)
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

/* Under the store's lock: folder, lock, name, config. */
static int store_create(struct arrow_instance *i, const struct folders *s,
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
		folders_remove_one(s, i->id);
	return r;
}

int arrow_instance_create(struct arrow_instance *i, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_folders_ struct folders store = FOLDERS_INIT;
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

	r = folders_lock(&store, paths, error);
	if (r < 0)
		goto fail;
	leftovers_clean(paths, &store);
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
	_cleanup_folders_ struct folders store = FOLDERS_INIT;
	struct search search = {.prefix = text, .id = id};
	int r;
	char target[ARROW_ID_HEX];
	ssize_t n;

	leftovers_sweep(paths);
	r = folders_open(&store, paths, error);
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
		(void)!folders_each_id(store.arrows_fd, store_match_prefix, &search);
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

static int store_write_config(
	const struct arrow_instance *i, const struct arrow_spec *spec, struct arrow_error *error)
{
	int r = instance_write_config(i, spec);

	return r < 0 ? arrow_fail(error, -r, "cannot write %s/config.json: %m", i->dir) : 0;
}

int arrow_instance_rename(struct arrow_instance *i, const struct arrow_paths *paths,
	const char *name, struct arrow_error *error)
{
	_cleanup_folders_ struct folders store = FOLDERS_INIT;
	struct arrow_instance now;
	struct arrow_spec spec;
	int r = folders_lock(&store, paths, error);

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
		r = now.name ? store_write_config(&now, &spec, error) : arrow_no_memory(error);
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
	_cleanup_folders_ struct folders store = FOLDERS_INIT;
	struct arrow_instance now;
	struct arrow_spec spec;
	int r = folders_lock(&store, paths, error);

	if (r < 0)
		return r;
	r = arrow_instance_open(&now, paths, id, &spec, error);
	if (r == 0)
		r = change(&spec, arg, error);
	if (r == 0)
		r = store_write_config(&now, &spec, error);
	if (r == 0)
		arrow_instance_sync(&now);
	arrow_instance_release(&now);
	arrow_spec_release(&spec);
	return r;
}

void arrow_instance_remove(struct arrow_instance *i, bool volumes)
{
	_cleanup_free_ char *aside = path_format("%.*s/" FOLDERS_REMOVING "%s",
		(int)(strlen(i->dir) - strlen(i->id) - 1), i->dir, i->id);
	_cleanup_close_ int names = open(i->names_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *name = STEAL(i->name);
	struct arrow_spec spec;
	bool renamed;

	arrow_spec_init(&spec);
	/* As it is named now. */
	if (instance_read_config(i, volumes ? &spec : NULL, &error) < 0)
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
	arrow_volumes_drop(i->data_dir, &spec, true);
	arrow_spec_release(&spec);
	arrow_instance_release(i);
}

int arrow_instance_discard(
	const struct arrow_paths *paths, const char *id, struct arrow_error *error)
{
	_cleanup_folders_ struct folders store = FOLDERS_INIT;
	_cleanup_free_ char *path = path_format("%s/lock", id);
	_cleanup_close_ int fd = -1;
	int r;

	if (!path)
		return arrow_no_memory(error);
	r = folders_lock(&store, paths, error);
	if (r < 0)
		return r;
	fd = openat(store.arrows_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && instance_try_lock(fd) < 0)
		return arrow_fail_status(error, 1, EBUSY, "Arrow %.12s is running", id);
	folders_remove_one(&store, id);
	return 0;
}

int arrow_instances(const struct arrow_paths *paths, void (*each)(const char *id, void *arg),
	void *arg, struct arrow_error *error)
{
	_cleanup_close_ int fd = -1;
	int r;

	leftovers_sweep(paths);
	fd = folders_open_dir(paths->data, "arrows", error);
	if (fd < 0)
		return fd;
	r = folders_each_id(fd, each, arg);
	return r < 0 ? arrow_fail(error, -r, "cannot list the Arrows in %s: %m", paths->data) : 0;
}
