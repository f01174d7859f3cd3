// SPDX-License-Identifier: Apache-2.0
#include "core/upkeep/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "package/images.h"
#include "core/instance/list.h"
#include "core/instance/state.h"
#include "core/instance/volumes.h"
#include "core/template/template.h"
#include "kernel/build.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "volume/volume.h"

#define ROOT_SUFFIX ".erofs"

/* A guest can make directories in its volume as deep as it likes; those deeper are not counted. */
#define USAGE_DEPTH_MAX 256u

static unsigned long long usage_sum_bytes(int dir_fd, const char *path, unsigned int depth)
{
	unsigned long long sum;
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	struct stat st;
	int fd;

	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	sum = (unsigned long long)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode) || depth == USAGE_DEPTH_MAX)
		return sum;
	fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		close_keep_errno(fd);
	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			sum += usage_sum_bytes(fd, entry->d_name, depth + 1);
	return sum;
}

unsigned long long arrow_disk_bytes(int dir_fd, const char *path)
{
	return usage_sum_bytes(dir_fd, path, 0);
}

static unsigned long long usage_bytes_below(const char *dir, const char *name)
{
	_cleanup_free_ char *path = path_format("%s/%s", dir, name);

	return path ? arrow_disk_bytes(AT_FDCWD, path) : 0;
}

static void usage_add(struct arrow_usage *u, const char *id, const char *name, const char *created,
	unsigned long long size, unsigned int users)
{
	json_array_append_new(u->rows, json_pack("{s:s, s:s, s:s, s:I, s:b, s:i}", "id", id, "name",
					       name, "created", created, "size", (json_int_t)size,
					       "active", users > 0, "users", (int)users));
	u->size += size;
	if (users == 0)
		u->reclaimable += size;
}

/* How many Arrows say this of themselves. */
static unsigned int usage_count_users(const json_t *arrows, const char *key, const char *value)
{
	unsigned int n = 0;
	const json_t *o;
	size_t i;

	json_array_foreach (arrows, i, o)
		n += strcmp(json_text(o, key), value) == 0 ||
		     strcmp(json_text(json_object_get(o, "spec"), key), value) == 0;
	return n;
}

/* Of an image that has several names there are several rows, and its bytes are there once. */
static void usage_add_images(
	struct arrow_usage *u, const json_t *images, const json_t *arrows, const char *data)
{
	_cleanup_free_ char *oci = path_format("%s/oci", data);
	const json_t *o, *other;
	size_t i, k;

	json_array_foreach (images, i, o) {
		_cleanup_free_ char *name =
			path_format("%s:%s", json_text(o, "repository"), json_text(o, "tag"));
		unsigned long long size =
			(unsigned long long)json_integer_value(json_object_get(o, "size"));
		bool again = false;

		json_array_foreach (images, k, other)
			again |= k < i &&
				 strcmp(json_text(other, "digest"), json_text(o, "digest")) == 0;
		usage_add(u, json_text(o, "id"), name ? name : "", json_text(o, "created"),
			again ? 0 : size,
			usage_count_users(arrows, "image_digest", json_text(o, "digest")));
	}
	/* Layers that are shared are on the disk once, too; and what no image reaches, as well. */
	u->size = oci ? usage_bytes_below(oci, "blobs") : u->size;
	if (u->reclaimable > u->size)
		u->reclaimable = u->size;
}

static void usage_add_arrows(struct arrow_usage *u, const json_t *arrows, const char *data)
{
	_cleanup_free_ char *dir = path_format("%s/arrows", data);
	const json_t *o;
	size_t i;

	json_array_foreach (arrows, i, o) {
		const char *status = json_text(o, "status");
		bool active = strcmp(status, arrow_life_text(ARROW_LIFE_RUNNING)) == 0 ||
			      strcmp(status, arrow_life_text(ARROW_LIFE_PAUSED)) == 0 ||
			      strcmp(status, arrow_life_text(ARROW_LIFE_RESTARTING)) == 0;

		usage_add(u, json_text(o, "id"), json_text(o, "name"), json_text(o, "created"),
			dir ? usage_bytes_below(dir, json_text(o, "id")) : 0, active);
	}
}

static void usage_add_roots(struct arrow_usage *u, const json_t *arrows, const char *data)
{
	_cleanup_free_ char *path = path_format("%s/images", data);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');
		_cleanup_free_ char *id = NULL;

		if (!dot || strcmp(dot, ROOT_SUFFIX) != 0)
			continue;
		id = strndup(entry->d_name, (size_t)(dot - entry->d_name));
		if (id)
			usage_add(u, id, "", "", arrow_disk_bytes(dirfd(dir), entry->d_name),
				usage_count_users(arrows, "image", id));
	}
}

/* A template that was used is in use for as long as clones of it may come: it is made again. */
static void usage_add_templates(struct arrow_usage *u, const json_t *templates)
{
	const json_t *o;
	size_t i;

	json_array_foreach (templates, i, o)
		usage_add(u, json_text(o, "id"), "", json_text(o, "used"),
			(unsigned long long)json_integer_value(json_object_get(o, "bytes")), 0);
}

static void usage_add_kernels(struct arrow_usage *u, const json_t *kernels, const char *data)
{
	_cleanup_free_ char *dir = path_format("%s/kernels", data);
	const json_t *o;
	size_t i;

	json_array_foreach (kernels, i, o)
		if (dir)
			usage_add(u, json_text(o, "id"), json_text(o, "profile"),
				json_text(o, "created"), usage_bytes_below(dir, json_text(o, "id")),
				strcmp(json_text(o, "state"), "current") == 0);
}

struct adding {
	struct arrow_usage *usage;
	const json_t *users;
};

static int usage_add_volume(const struct volume *v, void *arg, struct arrow_error *error)
{
	const struct adding *a = arg;

	usage_add(a->usage, v->name, v->name, v->created, arrow_disk_bytes(AT_FDCWD, v->dir),
		(unsigned int)json_array_size(json_object_get(a->users, v->name)));
	return 0;
}

static int usage_add_volumes(struct arrow_usage *u, const char *data, struct arrow_error *error)
{
	json_t *users = NULL;
	int r = arrow_volume_users(data, &users, error);

	if (r == 0)
		r = volume_list(data, usage_add_volume,
			&(struct adding){.usage = u, .users = users}, error);
	json_decref(users);
	return r;
}

int arrow_usage_look(const struct arrow_paths *paths, struct arrow_usage usage[ARROW_USAGE_KINDS],
	struct arrow_error *error)
{
	const char *const own[] = {paths->data, NULL};
	json_t *images = NULL, *arrows = NULL, *templates = NULL, *kernels = NULL;
	int r;

	memset(usage, 0, ARROW_USAGE_KINDS * sizeof(*usage));
	for (int i = 0; i < ARROW_USAGE_KINDS; i++)
		usage[i].rows = json_array();
	r = arrow_list(paths, true, &arrows, error);
	if (r == 0)
		r = arrow_images_list(paths, &images, error);
	if (r == 0)
		r = arrow_template_list(paths->data, &templates, error);
	if (r == 0)
		r = arrow_kernel_list(own, false, &kernels, error);
	if (r == 0) {
		usage_add_images(&usage[ARROW_USAGE_IMAGES], images, arrows, paths->data);
		usage_add_arrows(&usage[ARROW_USAGE_ARROWS], arrows, paths->data);
		usage_add_roots(&usage[ARROW_USAGE_ROOTS], arrows, paths->data);
		usage_add_templates(&usage[ARROW_USAGE_TEMPLATES], templates);
		usage_add_kernels(&usage[ARROW_USAGE_KERNELS], kernels, paths->data);
	}
	if (r == 0)
		r = usage_add_volumes(&usage[ARROW_USAGE_VOLUMES], paths->data, error);
	json_decref(images);
	json_decref(arrows);
	json_decref(templates);
	json_decref(kernels);
	return r;
}

void arrow_usage_release(struct arrow_usage usage[ARROW_USAGE_KINDS])
{
	for (int i = 0; i < ARROW_USAGE_KINDS; i++)
		json_decref(usage[i].rows);
	memset(usage, 0, ARROW_USAGE_KINDS * sizeof(*usage));
}
