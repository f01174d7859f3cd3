// SPDX-License-Identifier: Apache-2.0
#include "core/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define STATE_DIR_MODE 0700

/* Takes RUN/lock; closing the descriptor gives it back. Holders only ever keep it for a moment. */
static int lock_run_dir(const char *run, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/lock", run);
	_cleanup_close_ int fd = -1;
	int r;

	if (!path)
		return arrow_fail(error, ENOMEM, "out of memory");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return arrow_fail(error, errno, "cannot use the state directory %s: %m", run);
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return arrow_fail(error, errno, "cannot lock %s: %m", path);
	return steal_fd(&fd);
}

/* Whether the keeper of arrows/<id> is gone. A folder without a lock file is one half made. */
static bool is_dead(int arrows_fd, const char *id)
{
	_cleanup_free_ char *path = path_format("%s/lock", id);
	_cleanup_close_ int fd = path ? openat(arrows_fd, path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return path && errno == ENOENT;
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int for_each(int arrows_fd, void (*each)(int, const char *, bool, void *), void *arg)
{
	int fd = openat(arrows_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		int err = errno;

		close_keep_errno(fd);
		return -err;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			each(arrows_fd, entry->d_name, is_dead(arrows_fd, entry->d_name), arg);
	return 0;
}

struct cleaning {
	bool remove;
	unsigned int found;
};

static void clean_dead(int arrows_fd, const char *id, bool dead, void *arg)
{
	struct cleaning *cleaning = arg;

	if (dead && (!cleaning->remove || remove_tree(arrows_fd, id) == 0))
		cleaning->found++;
}

/* Removes the names whose Arrow is gone. */
static void remove_names(int arrows_fd, int names_fd)
{
	int fd = openat(names_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir)
		close_keep_errno(fd);
	while (dir && (entry = readdir(dir))) {
		char id[ARROW_ID_HEX];
		ssize_t n = readlinkat(names_fd, entry->d_name, id, sizeof(id) - 1);

		if (n < 0)
			continue;
		id[n] = '\0';
		if (faccessat(arrows_fd, id, F_OK, 0) < 0 && errno == ENOENT)
			unlinkat(names_fd, entry->d_name, 0);
	}
}

/* Under RUN/lock. Returns how many it removed. */
static unsigned int remove_dead(int arrows_fd, int names_fd)
{
	struct cleaning cleaning = {.remove = true};

	/* What cannot be looked at now stays for the next one. */
	(void)for_each(arrows_fd, clean_dead, &cleaning);
	remove_names(arrows_fd, names_fd);
	return cleaning.found;
}

/* Opens (and makes) RUN/<name>. */
static int open_state_dir(const char *run, const char *name, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/%s", run, name);
	int fd;

	if (!path)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (mkdir(path, STATE_DIR_MODE) < 0 && errno != EEXIST)
		return arrow_fail(error, errno, "cannot make the state directory %s: %m", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return arrow_fail(error, errno, "cannot open the state directory %s: %m", path);
	return fd;
}

static int make_id(char id[ARROW_ID_HEX])
{
	uint8_t bytes[32];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf(id + 2 * i, "%02x", bytes[i]);
	return 0;
}

/* A name that nobody chose: two words, as Docker's users know it. */
static char *make_name(const char *id)
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

/* Under RUN/lock: folder, lock, name. */
static int create_locked(
	struct arrow_instance *i, int arrows_fd, int names_fd, struct arrow_error *error)
{
	_cleanup_free_ char *lock = path_format("%s/lock", i->id);

	if (!lock)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (mkdirat(arrows_fd, i->id, STATE_DIR_MODE) < 0)
		return arrow_fail(error, errno, "cannot make the state directory %s: %m", i->dir);
	i->lock_fd = openat(arrows_fd, lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (i->lock_fd < 0 || flock(i->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		int r = arrow_fail(error, errno, "cannot lock the state directory %s: %m", i->dir);

		remove_tree(arrows_fd, i->id);
		return r;
	}
	if (symlinkat(i->id, names_fd, i->name) < 0) {
		int err = errno;
		char other[ARROW_ID_HEX] = "";

		remove_tree(arrows_fd, i->id);
		if (err != EEXIST)
			return arrow_fail(error, err, "cannot take the name %s: %m", i->name);
		if (readlinkat(names_fd, i->name, other, ARROW_ID_SHORT) < 0)
			other[0] = '\0';
		return arrow_fail(error, EEXIST,
			"the name '%s' is in use by Arrow %s; choose another name, or end that one",
			i->name, other);
	}
	return 0;
}

int arrow_instance_create(struct arrow_instance *i, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_close_ int lock_fd = -1, arrows_fd = -1, names_fd = -1;
	int r;

	memset(i, 0, sizeof(*i));
	i->lock_fd = -1;
	r = make_id(i->id);
	if (r < 0)
		return arrow_fail(error, -r, "cannot make an id: %m");
	i->name = spec->name ? strdup(spec->name) : make_name(i->id);
	i->dir = path_format("%s/arrows/%s", paths->run, i->id);
	i->names_dir = path_format("%s/names", paths->run);
	if (!i->name || !i->dir || !i->names_dir) {
		r = arrow_fail(error, ENOMEM, "out of memory");
		goto fail;
	}

	r = lock_run_dir(paths->run, error);
	if (r < 0)
		goto fail;
	lock_fd = r;
	r = open_state_dir(paths->run, "arrows", error);
	if (r < 0)
		goto fail;
	arrows_fd = r;
	r = open_state_dir(paths->run, "names", error);
	if (r < 0)
		goto fail;
	names_fd = r;
	remove_dead(arrows_fd, names_fd);
	r = create_locked(i, arrows_fd, names_fd, error);
	if (r < 0)
		goto fail;
	return 0;
fail:
	arrow_instance_release(i);
	return r;
}

/* Text that is not UTF-8 has no place in JSON: what stands in is for people. */
static json_t *text_json(const char *text)
{
	_cleanup_free_ char *copy = text ? strdup(text) : NULL;
	json_t *json = text ? json_string(text) : json_null();

	if (json || !copy)
		return json;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json_string(copy);
}

static json_t *strings_json(const struct arrow_strings *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, text_json(list->v[i]));
	return array;
}

static json_t *labels_json(const struct arrow_strings *labels)
{
	json_t *object = json_object();

	for (size_t i = 0; i < labels->n; i++) {
		_cleanup_free_ char *key = strdup(labels->v[i]);
		char *value = key ? strchr(key, '=') : NULL;

		if (value)
			*value++ = '\0';
		if (key)
			json_object_set_new(object, key, text_json(value ? value : ""));
	}
	return object;
}

int arrow_instance_write(const struct arrow_instance *i, const struct arrow_spec *spec,
	const struct arrow_instance_facts *facts, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/state.json", i->dir), *text = NULL;
	char created[TIME_TEXT];
	json_t *state;
	int r;

	time_text(time(NULL), created);
	state = json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:i, s:s, s:s, s:s, s:s, s:i, s:i}",
		"id", i->id, "name", i->name, "created", created, "status", facts->status,
		"program", text_json(spec->program), "rootfs", text_json(spec->rootfs), "args",
		strings_json(&spec->args), "labels", labels_json(&spec->labels), "memory",
		(json_int_t)spec->memory, "millicpus", (int)spec->millicpus, "engine",
		facts->engine, "accel", facts->accel, "kernel", facts->kernel, "image",
		facts->image, "keeper_pid", facts->keeper_pid, "vm_pid", facts->vm_pid);
	text = state ? json_dumps(state, JSON_INDENT(2)) : NULL;
	json_decref(state);
	if (!path || !text)
		return arrow_fail(error, ENOMEM, "cannot describe the Arrow: out of memory");

	r = write_file_atomic(AT_FDCWD, path, 0600, text, strlen(text));
	if (r < 0)
		return arrow_fail(error, -r, "cannot write the state file %s: %m", path);
	return 0;
}

void arrow_instance_remove(struct arrow_instance *i)
{
	_cleanup_free_ char *name = path_format("%s/%s", i->names_dir, i->name);
	char id[ARROW_ID_HEX] = "";

	/* The name goes first: a folder without a name is cleaned by anybody, at any time. */
	if (name && readlink(name, id, sizeof(id) - 1) > 0 && strcmp(id, i->id) == 0)
		unlink(name);
	remove_tree(AT_FDCWD, i->dir);
	arrow_instance_release(i);
}

void arrow_instance_release(struct arrow_instance *i)
{
	free(i->name);
	free(i->dir);
	free(i->names_dir);
	close_keep_errno(i->lock_fd);
	memset(i, 0, sizeof(*i));
	i->lock_fd = -1;
}

int arrow_instances(const struct arrow_paths *paths, void (*each)(int, const char *, bool, void *),
	void *arg, struct arrow_error *error)
{
	_cleanup_close_ int lock_fd = lock_run_dir(paths->run, error), arrows_fd = -1;
	int r;

	if (lock_fd < 0)
		return lock_fd;
	arrows_fd = open_state_dir(paths->run, "arrows", error);
	if (arrows_fd < 0)
		return arrows_fd;
	r = for_each(arrows_fd, each, arg);
	return r < 0 ? arrow_fail(error, -r, "cannot list the Arrows in %s: %m", paths->run) : 0;
}

int arrow_cleanup(const struct arrow_paths *paths, bool remove, unsigned int *found,
	struct arrow_error *error)
{
	_cleanup_close_ int lock_fd = -1, arrows_fd = -1, names_fd = -1;
	struct cleaning counting = {.remove = false};
	int r;

	if (!remove) {
		r = arrow_instances(paths, clean_dead, &counting, error);
		*found = counting.found;
		return r;
	}
	lock_fd = lock_run_dir(paths->run, error);
	if (lock_fd < 0)
		return lock_fd;
	arrows_fd = open_state_dir(paths->run, "arrows", error);
	if (arrows_fd < 0)
		return arrows_fd;
	names_fd = open_state_dir(paths->run, "names", error);
	if (names_fd < 0)
		return names_fd;
	*found = remove_dead(arrows_fd, names_fd);
	return 0;
}
