// SPDX-License-Identifier: Apache-2.0
#include "kernel/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/build.h"
#include "kernel/config.h"
#include "util/cleanup.h"
#include "util/io.h"

#define JSON_MAX 65536u

int kernel_store_open(const char *store, bool make)
{
	_cleanup_free_ char *path = path_format("%s/kernels", store);
	int fd, r;

	if (!path)
		return -ENOMEM;
	if (make && (r = mkdir_all(path, 0755)) < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int kernel_store_lock(int kernels_fd, struct arrow_error *error)
{
	_cleanup_close_ int fd = openat(kernels_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	/* An older one could be read, and so locked, by everybody. */
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return arrow_fail(error, errno, "cannot write to the store of kernels: %m");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return -EWOULDBLOCK;
		return arrow_fail(error, errno, "cannot lock the store of kernels: %m");
	}
	return steal_fd(&fd);
}

unsigned int kernel_store_clean(int kernels_fd, bool remove)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int fd = openat(kernels_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	unsigned int found = 0;

	if (fd < 0 || !(dir = fdopendir(fd))) {
		close_keep_errno(fd);
		return 0;
	}
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, KERNEL_TEMP_PREFIX, strlen(KERNEL_TEMP_PREFIX)) != 0)
			continue;
		if (!remove || remove_tree(fd, entry->d_name) == 0)
			found++;
	}
	return found;
}

int arrow_kernel_cleanup(
	const char *store, bool remove, unsigned int *found, struct arrow_error *error)
{
	_cleanup_close_ int fd = kernel_store_open(store, false), lock = -1;

	*found = 0;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return arrow_fail(error, -fd, "cannot look for kernels in %s: %m", store);
	lock = kernel_store_lock(fd, error);
	if (lock == -EWOULDBLOCK)
		return 0;
	if (lock < 0)
		return lock;
	*found = kernel_store_clean(fd, remove);
	return 0;
}

static bool is_hex(const char *s)
{
	return s[strspn(s, "0123456789abcdef")] == '\0';
}

bool kernel_is_id(const char *name)
{
	return strlen(name) == DIGEST_HEX - 1 && is_hex(name);
}

int kernel_store_resolve(int kernels_fd, const char *name, char id[DIGEST_HEX])
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	size_t size = strlen(name);
	bool found = false;
	ssize_t n;
	int fd;

	if (size == 0 || *name == '.' || strchr(name, '/'))
		return -ENOENT;
	n = readlinkat(kernels_fd, name, id, DIGEST_HEX);
	if (n == DIGEST_HEX - 1) {
		id[n] = '\0';
		return kernel_is_id(id) ? 0 : -ENOENT;
	}
	if (size < KERNEL_ID_MIN || !is_hex(name))
		return -ENOENT;

	fd = openat(kernels_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		if (!kernel_is_id(entry->d_name) || strncmp(entry->d_name, name, size) != 0)
			continue;
		if (found)
			return -ENOTUNIQ;
		memcpy(id, entry->d_name, DIGEST_HEX);
		found = true;
	}
	return found ? 0 : -ENOENT;
}

json_t *kernel_store_read(int kernels_fd, const char *id)
{
	_cleanup_free_ char *path = path_format("%s/kernel.json", id);
	_cleanup_free_ char *text = NULL;
	const char *profile, *own_id, *sha256, *config, *append;
	json_int_t vcpus_max;
	size_t size;
	json_t *json;

	if (!path || read_file(kernels_fd, path, JSON_MAX, &text, &size) < 0)
		return NULL;
	json = json_loadb(text, size, 0, NULL);
	if (json &&
		json_unpack(json, "{s:s, s:s, s:s, s:s, s:s, s:I}", "profile", &profile, "id",
			&own_id, "sha256", &sha256, "config_sha256", &config, "append", &append,
			"vcpus_max", &vcpus_max) == 0 &&
		strcmp(own_id, id) == 0 && vcpus_max > 0 && vcpus_max <= 100000)
		return json;
	json_decref(json);
	return NULL;
}

/* Whether the digest of <id>/vmlinux is the recorded one. */
static bool digest_matches(int kernels_fd, const char *id, const json_t *json)
{
	_cleanup_free_ char *path = path_format("%s/vmlinux", id);
	_cleanup_close_ int fd = path ? openat(kernels_fd, path, O_RDONLY | O_CLOEXEC) : -1;
	char hex[DIGEST_HEX];

	return fd >= 0 && digest_fd(fd, hex) == 0 &&
	       strcmp(hex, json_string_value(json_object_get(json, "sha256"))) == 0;
}

/* What a kernel is to this program: see arrow_kernel_list(). */
static const char *kernel_state(int kernels_fd, const char *id, const json_t *json, bool verify)
{
	const char *name = json_string_value(json_object_get(json, "profile"));
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	struct kernel_profile profile;
	char named[DIGEST_HEX];
	bool current;

	if (!json || (verify && !digest_matches(kernels_fd, id, json)))
		return "damaged";
	if (json_is_true(json_object_get(json, "image")))
		return "image";
	if (kernel_profile_load(&profile, name, &ignored) < 0)
		return "old";
	current = kernel_store_resolve(kernels_fd, name, named) == 0 && strcmp(named, id) == 0 &&
		  strcmp(json_string_value(json_object_get(json, "config_sha256")),
			  profile.config_hash) == 0;
	kernel_profile_release(&profile);
	return current ? "current" : "old";
}

static int list_store(const char *store, bool verify, json_t *list)
{
	_cleanup_close_ int fd = kernel_store_open(store, false);
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int copy;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	dir = fdopendir(copy);
	if (!dir) {
		close(copy);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		json_t *json;
		const char *state;

		if (!kernel_is_id(entry->d_name))
			continue;
		json = kernel_store_read(fd, entry->d_name);
		state = kernel_state(fd, entry->d_name, json, verify);
		if (!json)
			json = json_pack("{s:s}", "id", entry->d_name);
		if (json_object_set_new(json, "path",
			    json_sprintf("%s/kernels/%s/vmlinux", store, entry->d_name)) < 0 ||
			json_object_set_new(json, "state", json_string(state)) < 0 ||
			json_array_append_new(list, json) < 0)
			return -ENOMEM;
	}
	return 0;
}

int arrow_kernel_list(
	const char *const *stores, bool verify, json_t **list, struct arrow_error *error)
{
	json_t *all = json_array();

	if (!all)
		return arrow_fail(error, ENOMEM, "cannot list the kernels: out of memory");
	for (; *stores; stores++) {
		int r = list_store(*stores, verify, all);

		if (r < 0) {
			json_decref(all);
			return arrow_fail(error, -r, "cannot list the kernels in %s: %m", *stores);
		}
	}
	*list = all;
	return 0;
}

/* Removes the profile names that lead to a kernel. */
static int remove_names(int kernels_fd, const char *id)
{
	_cleanup_strv_ char **names = kernel_profile_names();
	char named[DIGEST_HEX];

	for (size_t i = 0; names && names[i]; i++)
		if (readlinkat(kernels_fd, names[i], named, sizeof(named)) == DIGEST_HEX - 1 &&
			memcmp(named, id, DIGEST_HEX - 1) == 0 &&
			unlinkat(kernels_fd, names[i], 0) < 0)
			return -errno;
	return names ? 0 : -ENOMEM;
}

int arrow_kernel_remove(const char *store, const char *name, struct arrow_error *error)
{
	/* Locked before the name is looked up: a build gives it to another kernel. */
	_cleanup_close_ int fd = kernel_store_open(store, false);
	_cleanup_close_ int lock = fd < 0 ? fd : kernel_store_lock(fd, error);
	_cleanup_free_ char *gone = NULL;
	char id[DIGEST_HEX];
	int r;

	if (lock == -EWOULDBLOCK)
		return arrow_fail(error, EBUSY,
			"cannot remove the kernel %s: a build in %s is under way; wait for its end",
			name, store);
	if (fd >= 0 && lock < 0)
		return lock;
	r = fd < 0 ? fd : kernel_store_resolve(fd, name, id);
	if (r == -ENOTUNIQ)
		return arrow_fail(error, ENOTUNIQ,
			"several kernels have an id that begins with %s; give more of it", name);
	if (r < 0)
		return arrow_fail(error, ENOENT,
			"there is no kernel %s in %s; 'arrow kernel ls' shows those there are",
			name, store);

	/* Renamed first: what is only half removed must not look like a kernel. */
	gone = path_format(KERNEL_TEMP_PREFIX "%.12s", id);
	r = gone ? remove_names(fd, id) : -ENOMEM;
	if (r == 0 && renameat(fd, id, fd, gone) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0)
		r = remove_tree(fd, gone);
	if (r < 0 && r != -ENOENT)
		return arrow_fail(error, -r, "cannot remove the kernel %s: %m", name);
	return 0;
}

char **arrow_kernel_profiles(void)
{
	return kernel_profile_names();
}
