// SPDX-License-Identifier: Apache-2.0
#include "package/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/oci/archive.h"
#include "package/local_image.h"
#include "package/remove.h"
#include "util/cleanup.h"
#include "util/io.h"

int arrow_images_save(const struct arrow_paths *paths, char *const *names, size_t n, int fd,
	struct arrow_error *error)
{
	_cleanup_free_ struct local_image *found = calloc(n + 1, sizeof(*found));
	_cleanup_free_ struct oci_saved *saved = calloc(n + 1, sizeof(*saved));
	int e = found && saved ? 0 : arrow_no_memory(error);
	size_t done = 0;

	for (; e == 0 && done < n; done++) {
		struct local_image *f = &found[done];

		e = local_image_find(f, paths, names[done], error);
		/* As docker does: a name saves itself, an id saves the image without one. */
		if (e == 0) {
			strv_free(f->names);
			f->names = calloc(2, sizeof(*f->names));
			if (f->names && f->image.name)
				f->names[0] = strdup(f->image.name);
			if (!f->names)
				e = arrow_no_memory(error);
		}
		saved[done] = (struct oci_saved){&f->image, f->names};
	}
	if (e == 0)
		e = oci_archive_save(&found[0].store, saved, n, fd, error);
	for (size_t i = 0; i < done; i++)
		local_image_release(&found[i]);
	return e;
}

int arrow_images_export_layout(const struct arrow_paths *paths, const char *name,
	const char *directory, struct arrow_error *error)
{
	_cleanup_local_image_ struct local_image f = {0};
	int e = local_image_find(&f, paths, name, error);
	struct oci_saved saved = {&f.image, f.names};

	return e == 0 ? oci_layout_save(&f.store, &saved, 1, directory, error) : e;
}

static void log_loaded(const char *name, const struct oci_descriptor *d, void *arg)
{
	_cleanup_free_ char *familiar = name ? image_familiar_name(name, NULL) : NULL;

	/* A line less is printed when memory runs out. */
	(void)!image_log(arg, familiar ? "Loaded image" : "Loaded image ID",
		familiar ? familiar : d->digest);
}

int arrow_images_load(const struct arrow_paths *paths, int fd, const char *source,
	struct arrow_strings *log, struct arrow_error *error)
{
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	_cleanup_close_ int seekable = -1;
	enum oci_archive kind;
	int e = oci_store_open(&store, paths->data, error);

	if (e == 0)
		e = arrow_images_seekable(paths, fd, &seekable, error);
	if (e < 0)
		return e;
	e = oci_archive_look(seekable, &kind, error);
	if (e == 0)
		e = oci_archive_load(&store, seekable, kind, NULL, log_loaded, log, error);
	if (e < 0) {
		arrow_images_tidy(&store, paths);
		return arrow_error_prefix(error, e, "cannot load %s", source);
	}
	return 0;
}

int arrow_images_seekable(
	const struct arrow_paths *paths, int fd, int *seekable, struct arrow_error *error)
{
	const size_t room = 256 * 1024;
	_cleanup_free_ char *path = path_format("%s/oci", paths->data), *buf = malloc(room);
	_cleanup_close_ int spool = -1;
	ssize_t n;

	if (!path || !buf)
		return arrow_no_memory(error);
	if (lseek(fd, 0, SEEK_CUR) >= 0) {
		*seekable = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return *seekable < 0 ? arrow_fail(error, errno, "cannot read it: %m") : 0;
	}
	spool = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (spool < 0)
		return arrow_fail(error, errno, "cannot make a temporary file in %s: %m", path);
	while ((n = read_full(fd, buf, room)) != 0) {
		int e = n < 0 ? (int)n : write_full(spool, buf, (size_t)n);

		if (e < 0)
			return arrow_fail(error, -e, "cannot copy it into %s: %m", path);
	}
	if (lseek(spool, 0, SEEK_SET) < 0)
		return arrow_fail(error, errno, "cannot read it: %m");
	*seekable = steal_fd(&spool);
	return 0;
}
