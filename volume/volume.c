// SPDX-License-Identifier: Apache-2.0
#include "volume/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/event.h"
#include "util/hex.h"
#include "util/json.h"

#define FILE_MAX (256u << 10)
#define ID_BYTES 32
#define LEASE_DEADLINE_MS 20000u /* the user needs 1.5 s */
/* In front of the name of a folder that is half made, or on its way out. */
#define HALF ".half-"

bool volume_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= VOLUME_NAME_MAX && !strchr("_.-", name[0]) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       n;
}

/* DATA/volumes, made if it is missing. Its folders are for those who know their names, as Docker's.
 */
static int volume_open_folder(const char *data, struct arrow_error *error)
{
	_cleanup_free_ char *dir = path_format("%s/volumes", data);
	int fd, r;

	if (!dir)
		return arrow_fail(error, ENOMEM, "out of memory");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		r = mkdir_all(dir, 0700);
		if (r < 0)
			return arrow_fail(error, -r, "cannot create %s: %m", dir);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	}
	/* A guest can leave a program in a volume that makes who executes it root: nobody else gets
	 * there. */
	if (fd >= 0 && fchmod(fd, 0700) < 0 && errno != EPERM) {
		r = arrow_fail(error, errno, "cannot close %s to other users: %m", dir);
		close(fd);
		return r;
	}
	return fd < 0 ? arrow_fail(error, errno, "cannot open %s: %m", dir) : fd;
}

int volume_lock(const char *data, bool exclusive, bool wait, struct arrow_error *error)
{
	_cleanup_close_ int dir = volume_open_folder(data, error);
	_cleanup_close_ int fd = -1;
	int r;

	if (dir < 0)
		return dir;
	fd = openat(dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return arrow_fail(error, errno, "cannot open %s/volumes/.lock: %m", data);
	do
		r = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB));
	while (r < 0 && errno == EINTR);
	return r < 0 ? arrow_fail(error, errno, "cannot lock %s/volumes/.lock: %m", data)
		     : steal_fd(&fd);
}

/* "KEY=VALUE" texts as an object, which the caller releases after a failure, too. */
static int volume_take_pairs(json_t **o, const char *const *pairs, struct arrow_error *error)
{
	*o = json_object();
	for (; *o && pairs && *pairs; pairs++) {
		size_t n = strcspn(*pairs, "=");
		_cleanup_free_ char *key = strndup(*pairs, n);

		if (!key)
			return arrow_no_memory(error);
		if (json_object_set_new(*o, key, json_string((*pairs)[n] ? *pairs + n + 1 : "")) <
			0)
			return arrow_fail(error, EINVAL,
				"invalid value '%s': give KEY=VALUE in UTF-8", *pairs);
	}
	return *o ? 0 : arrow_no_memory(error);
}

/* Options are those with which Docker's local driver mounts a directory of the host. */
static int volume_check_options(const json_t *options, struct arrow_error *error)
{
	const char *type = json_text(options, "type"), *o = json_text(options, "o");
	const char *device = json_text(options, "device"), *key;
	const json_t *value;
	struct stat st;

	json_object_foreach ((json_t *)options, key, value)
		if (strcmp(key, "type") != 0 && strcmp(key, "o") != 0 && strcmp(key, "device") != 0)
			return arrow_fail(error, EINVAL,
				"unknown option '%s' of the driver local: use type=none, o=bind and device=DIR",
				key);
	if (json_object_size(options) == 0)
		return 0;
	if ((*type && strcmp(type, "none") != 0) ||
		(strcmp(o, "bind") != 0 && strcmp(o, "rbind") != 0))
		return arrow_fail(error, EINVAL,
			"a volume of type '%s' with the options '%s' is not supported: mount it on this host, and give type=none, o=bind and device=DIR",
			type, o);
	if (device[0] != '/')
		return arrow_fail(error, EINVAL,
			"invalid device '%s': give the absolute path of a directory", device);
	if (stat(device, &st) < 0)
		return arrow_fail(error, errno, "cannot look at the device %s: %m", device);
	return S_ISDIR(st.st_mode)
		       ? 0
		       : arrow_fail(error, ENOTDIR, "the device %s is not a directory", device);
}

static char *volume_find_dir(const char *data, const char *name, const json_t *options)
{
	const char *device = json_text(options, "device");

	return *device ? strdup(device) : path_format("%s/volumes/%s/_data", data, name);
}

static bool volume_is_texts(const json_t *o)
{
	const json_t *value;
	const char *key;

	if (!json_is_object(o))
		return false;
	json_object_foreach ((json_t *)o, key, value)
		if (!json_is_string(value))
			return false;
	return true;
}

int volume_open(struct volume *v, const char *data, const char *name, struct arrow_error *error)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	const char *created;
	json_t *o;
	int r;

	*v = (struct volume){0};
	if (!volume_name_is_valid(name))
		return arrow_fail_status(
			error, 1, ENOENT, "no such volume: %s; 'arrow volume ls' lists them", name);
	path = path_format("%s/volumes/%s/volume.json", data, name);
	r = path ? read_file(AT_FDCWD, path, FILE_MAX, &text, NULL) : -ENOMEM;
	if (r == -ENOENT)
		return arrow_fail_status(
			error, 1, ENOENT, "no such volume: %s; 'arrow volume ls' lists them", name);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read %s: %m", path ? path : name);
	o = json_loads(text, 0, NULL);
	created = json_text(o, "created");
	if (strlen(created) >= sizeof(v->created) ||
		!volume_is_texts(json_object_get(o, "labels")) ||
		!volume_is_texts(json_object_get(o, "options"))) {
		json_decref(o);
		return arrow_fail(error, EBADMSG,
			"%s is damaged; 'arrow volume rm -f %s' removes the volume", path, name);
	}
	snprintf(v->created, sizeof(v->created), "%s", created);
	v->labels = json_incref(json_object_get(o, "labels"));
	v->options = json_incref(json_object_get(o, "options"));
	json_decref(o);
	v->name = strdup(name);
	v->dir = volume_find_dir(data, name, v->options);
	return v->name && v->dir ? 0 : arrow_fail(error, ENOMEM, "out of memory");
}

int volume_open_lease(
	const char *data, const char *name, const char *dir, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/volumes/%s/lease", data, name);
	_cleanup_free_ char *own = path_format("%s/volumes/%s/_data", data, name);
	const struct timespec pause = {.tv_nsec = 20000000};
	uint64_t end = now_ms() + LEASE_DEADLINE_MS;
	struct stat a, b;
	int fd;

	if (!path || !own)
		return arrow_fail(error, ENOMEM, "out of memory");
	/* Not by their names: the data directory may have several. */
	if (stat(dir, &a) < 0 || stat(own, &b) < 0)
		return arrow_fail(error, errno, "cannot look at the volume %s: %m", name);
	if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return -ENOTSUP;
	while ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)) <
			0 &&
		errno == EWOULDBLOCK && now_ms() < end)
		nanosleep(&pause, NULL);
	if (fd < 0 && errno == EWOULDBLOCK)
		return arrow_fail(error, EBUSY,
			"the Arrow that uses the volume %s does not answer: stop it first", name);
	return fd < 0 ? arrow_fail(error, errno, "cannot open %s: %m", path) : fd;
}

/* In a folder that nobody sees yet. */
static int volume_write(int fd, const struct volume *v)
{
	json_t *o = json_pack("{s:s, s:s, s:O, s:O}", "driver", VOLUME_DRIVER, "created",
		v->created, "labels", v->labels, "options", v->options);
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;

	json_decref(o);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > FILE_MAX)
		return -E2BIG;
	if (mkdirat(fd, "_data", 0755) < 0)
		return -errno;
	return write_file_atomic(fd, "volume.json", 0600, text, strlen(text));
}

static int volume_make(const struct volume *v, int folder, bool *exists)
{
	char id[2 * ID_BYTES + 1];
	_cleanup_free_ char *half = NULL;
	_cleanup_close_ int fd = -1;
	int r = hex_random(id, ID_BYTES);

	*exists = false;
	half = r == 0 ? path_format(HALF "%s", id) : NULL;
	if (!half)
		return r < 0 ? r : -ENOMEM;
	if (mkdirat(folder, half, 0700) < 0)
		return -errno;
	fd = openat(folder, half, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = fd < 0 ? -errno : volume_write(fd, v);
	if (r == 0 && renameat2(folder, half, folder, v->name, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r == 0 && fsync(folder) < 0)
		r = -errno;
	*exists = r == -EEXIST;
	if (r < 0)
		remove_tree(folder, half);
	return r;
}

static int volume_take_wish(struct volume *v, const char *data, const struct volume_wish *wish,
	struct arrow_error *error)
{
	bool named = wish->name && *wish->name;
	struct timespec now;
	char id[2 * ID_BYTES + 1];
	int r;

	if (named && !volume_name_is_valid(wish->name))
		return arrow_fail(error, EINVAL,
			"invalid volume name '%s': use at most %u letters, digits, '_', '.' and '-', and begin with a letter or a digit; a directory of this host is written as an absolute path, or with ./ before it",
			wish->name, VOLUME_NAME_MAX);
	r = named ? 0 : hex_random(id, ID_BYTES);
	if (r < 0)
		return arrow_fail(error, -r, "cannot create an id: %m");
	clock_gettime(CLOCK_REALTIME, &now);
	time_text(now.tv_sec, v->created);
	v->name = strdup(named ? wish->name : id);
	r = volume_take_pairs(&v->labels, wish->labels, error);
	if (r == 0)
		r = volume_take_pairs(&v->options, wish->options, error);
	if (r < 0)
		return r;
	if (!named && json_object_set_new(v->labels, VOLUME_ANONYMOUS, json_string("")) < 0)
		return arrow_no_memory(error);
	v->dir = v->name ? volume_find_dir(data, v->name, v->options) : NULL;
	if (!v->name || !v->dir)
		return arrow_no_memory(error);
	return volume_check_options(v->options, error);
}

int volume_create(struct volume *v, const char *data, const struct volume_wish *wish,
	struct arrow_error *error)
{
	_cleanup_volume_ struct volume wanted = {0};
	_cleanup_close_ int folder = -1;
	bool exists;
	int r;

	*v = (struct volume){0};
	r = volume_take_wish(&wanted, data, wish, error);
	if (r < 0)
		return r;
	folder = volume_open_folder(data, error);
	if (folder < 0)
		return folder;
	r = volume_make(&wanted, folder, &exists);
	if (r == 0) {
		event_write(data, "volume", "create", wanted.name,
			json_pack("{s:s}", "driver", VOLUME_DRIVER));
		*v = wanted;
		wanted = (struct volume){0};
		return 0;
	}
	if (!exists)
		return arrow_fail(error, -r, "cannot create the volume %s: %m", wanted.name);
	r = volume_open(v, data, wanted.name, error);
	if (r == 0 && json_object_size(wanted.options) > 0 &&
		!json_equal(v->options, wanted.options))
		r = arrow_fail(error, EEXIST,
			"there is a volume %s already, with other options; 'arrow volume inspect %s' shows them",
			v->name, v->name);
	return r;
}

static int volume_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int volume_list_names(const char *data, char ***names)
{
	_cleanup_free_ char *path = path_format("%s/volumes", data);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	_cleanup_strv_ char **list = calloc(1, sizeof(*list));
	struct dirent *entry;
	size_t n = 0;

	if (!path || !list)
		return -ENOMEM;
	if (!dir && errno != ENOENT)
		return -errno;
	while (dir && (entry = readdir(dir))) {
		char **larger;

		if (!volume_name_is_valid(entry->d_name))
			continue;
		larger = realloc(list, (n + 2) * sizeof(*list));
		if (!larger)
			return -ENOMEM;
		list = larger;
		list[n] = strdup(entry->d_name);
		list[n + 1] = NULL;
		if (!list[n++])
			return -ENOMEM;
	}
	qsort(list, n, sizeof(*list), volume_compare_names);
	*names = STEAL(list);
	return 0;
}

int volume_list(const char *data,
	int (*each)(const struct volume *, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error)
{
	_cleanup_strv_ char **names = NULL;
	int r = volume_list_names(data, &names);

	if (r < 0)
		return arrow_fail(error, -r, "cannot list the volumes in %s: %m", data);
	for (size_t i = 0; r == 0 && names[i]; i++) {
		_cleanup_error_ struct arrow_error one = ARROW_ERROR_INIT;
		_cleanup_volume_ struct volume v = {0};

		if (volume_open(&v, data, names[i], &one) == 0)
			r = each(&v, arg, error);
	}
	return r;
}

/* What killed commands left. Under the exclusive lock nobody is making or removing any. */
static void volume_sweep(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir)
		close_keep_errno(fd);
	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, HALF, strlen(HALF)) == 0)
			remove_tree(folder, entry->d_name);
}

int volume_remove(const char *data, const char *name, struct arrow_error *error)
{
	char id[2 * ID_BYTES + 1];
	_cleanup_free_ char *half = NULL;
	_cleanup_close_ int folder = volume_open_folder(data, error);
	int r = folder < 0 ? folder : hex_random(id, ID_BYTES);

	if (folder < 0)
		return folder;
	half = r == 0 ? path_format(HALF "%s", id) : NULL;
	if (!half)
		return arrow_fail(error, r < 0 ? -r : ENOMEM, "cannot create an id: %m");
	volume_sweep(folder);
	if (!volume_name_is_valid(name) || faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return arrow_fail_status(
			error, 1, ENOENT, "no such volume: %s; 'arrow volume ls' lists them", name);
	/* Renamed first: nobody sees half of it. What cannot be removed is in nobody's way. */
	if (renameat(folder, name, folder, half) < 0)
		return arrow_fail(error, errno, "cannot remove the volume %s: %m", name);
	event_write(data, "volume", "destroy", name, json_pack("{s:s}", "driver", VOLUME_DRIVER));
	r = remove_tree(folder, half);
	return r < 0 ? arrow_fail(error, -r,
			       "cannot remove all files of the volume %s: %m; the rest is in %s/volumes/%s",
			       name, data, half)
		     : 0;
}

bool volume_is_anonymous(const struct volume *v)
{
	return json_object_get(v->labels, VOLUME_ANONYMOUS);
}

json_t *volume_json(const struct volume *v)
{
	bool options = json_object_size(v->options) > 0, labels = json_object_size(v->labels) > 0;

	return json_pack("{s:s, s:s, s:O?, s:s, s:s, s:O?, s:s}", "CreatedAt", v->created, "Driver",
		VOLUME_DRIVER, "Labels", labels ? v->labels : NULL, "Mountpoint", v->dir, "Name",
		v->name, "Options", options ? v->options : NULL, "Scope", "local");
}

void volume_release(struct volume *v)
{
	free(v->name);
	free(v->dir);
	json_decref(v->labels);
	json_decref(v->options);
	*v = (struct volume){0};
}
