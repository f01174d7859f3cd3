// SPDX-License-Identifier: Apache-2.0
#include "image/image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/erofs.h"
#include "image/identity.h"
#include "image/store.h"
#include "image/tree.h"
#include "util/cleanup.h"
#include "util/io.h"

/* First in the fingerprint; another one makes all images anew. */
#define SALT "arrow-directory-image 2"
#define SALT_ALL_ROOT SALT " all-root"

/*
 * Takes a fingerprint after which every change shows. -ESTALE without an error set if it does not
 * come to that, or a file goes away.
 */
static int read_settled(
	struct tree *tree, const struct tree_options *options, struct arrow_error *error)
{
	uint64_t end = now_ms() + IDENTITY_RACY_MS;

	for (;;) {
		int e = tree_read(tree, options, error);

		if (e < 0 || !tree->racy)
			return e;
		tree_release(tree);
		if (!identity_pause(end))
			return -ESTALE;
	}
}

/* -ESTALE without an error set if the tree changed meanwhile. */
static int directory_make(struct arrow_image *image, const struct image_store *store,
	const struct tree_options *options, bool all_root, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error failed = ARROW_ERROR_INIT;
	_cleanup_temp_ struct image_temp temp = {.fd = -1};
	_cleanup_tree_ struct tree before = {0}, after = {0};
	_cleanup_free_ char *target = NULL;
	struct erofs_options erofs;
	int e, r;

	e = read_settled(&before, options, error);
	if (e < 0)
		return e;
	memcpy(image->digest, before.fingerprint, sizeof(image->digest));
	if (image_store_find(store, image->digest, &image->fd) == 0)
		return 0;

	if (before.mount && (options->userns_fd > 0 || geteuid() != 0))
		return arrow_fail(error, EBUSY,
			"cannot make an image of %s: a file system of the host's kernel is mounted on %s in it; unmount that",
			options->path, before.mount);

	e = image_temp_begin(&temp, store, error);
	if (e < 0)
		return e;
	target = path_format("%s/image", temp.path);
	if (!target)
		return image_store_fail(store, ENOMEM, error);
	erofs = (struct erofs_options){.source = options->path,
		.target = target,
		.digest = image->digest,
		.all_root = all_root,
		.userns_fd = options->userns_fd,
		.empty = (const char *const *)before.empty,
		.hide_mounts = before.mount != NULL};
	e = erofs_make(&erofs, &failed);
	if (e == -ENOSPC)
		return image_store_fail(store, ENOSPC, error);

	/* A change is the likelier cause of a failure too. */
	r = tree_read(&after, options, error);
	if (r < 0)
		return r;
	if (strcmp(before.fingerprint, after.fingerprint) != 0)
		return -ESTALE;
	if (e < 0)
		return arrow_fail(error, -e, "cannot make an image of %s: %s", options->path,
			failed.text ? failed.text : strerror(-e));
	return image_store_publish(
		&temp, image->digest, "directory", options->path, &image->fd, error);
}

static int directory_resolve(const char *path, char **real, struct arrow_error *error)
{
	struct stat st;

	*real = realpath(path, NULL);
	if (!*real || stat(*real, &st) < 0)
		return arrow_fail(error, errno, "cannot use %s as a root: %m", path);
	if (!S_ISDIR(st.st_mode))
		return arrow_fail(error, ENOTDIR,
			"cannot use %s as a root: it is not a directory; to run a program leave --rootfs out",
			path);
	return 0;
}

int arrow_image_from_directory(struct arrow_image *image, const char *store_path, const char *path,
	int userns_fd, struct arrow_error *error)
{
	_cleanup_store_ struct image_store store = {.fd = -1};
	bool all_root = userns_fd <= 0 && geteuid() != 0;
	_cleanup_tree_ struct tree tree = {0};
	struct tree_options options;
	_cleanup_free_ char *real = NULL;
	int e;

	*image = (struct arrow_image){.fd = -1};
	e = directory_resolve(path, &real, error);
	if (e < 0)
		return e;
	e = image_store_open(&store, store_path, error);
	if (e < 0)
		return e;
	options = (struct tree_options){
		.path = real, .salt = all_root ? SALT_ALL_ROOT : SALT, .userns_fd = userns_fd};
	if (fstat(store.fd, &options.skip) < 0)
		return image_store_fail(&store, errno, error);

	/* No image bears the name of a racy fingerprint, so the common case need not wait. */
	e = tree_read(&tree, &options, error);
	if (e < 0 && e != -ESTALE)
		return e;
	if (e == 0 && image_store_find(&store, tree.fingerprint, &image->fd) == 0) {
		memcpy(image->digest, tree.fingerprint, sizeof(image->digest));
		return 0;
	}

	options.check = true;
	for (int attempt = 0; attempt < 2; attempt++) {
		e = directory_make(image, &store, &options, all_root, error);
		if (e != -ESTALE || error->text)
			break;
	}
	if (e == -ESTALE && !error->text)
		e = arrow_fail(error, ESTALE,
			"cannot make an image of %s: it changes as it is read; stop what writes to it and run again",
			path);
	if (e < 0)
		arrow_image_release(image);
	return e;
}
