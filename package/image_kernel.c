// SPDX-License-Identifier: Apache-2.0
#include "package/image_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "package/annotations.h"
#include "image/oci/extract.h"
#include "image/store.h"
#include "kernel/kernel.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"
#include "util/json.h"

#define FOLDER ".arrow/kernel"
#define VMLINUX_MAX (256ull << 20)
#define JSON_MAX 65536u

/* What of kernel.json does not depend on when and where it was built. */
static char *kernel_describe(const struct arrow_kernel *kernel)
{
	_cleanup_free_ char *path = path_format(
		"%.*s/kernel.json", (int)(strrchr(kernel->path, '/') - kernel->path), kernel->path);
	_cleanup_free_ char *text = NULL;
	json_t *all, *part = NULL;
	char *about;

	if (!path || read_file(AT_FDCWD, path, JSON_MAX, &text, NULL) < 0)
		return NULL;
	all = json_loads(text, 0, NULL);
	if (all)
		part = json_pack("{s:s, s:s, s:s, s:s, s:I}", "profile", json_text(all, "profile"),
			"sha256", json_text(all, "sha256"), "config_sha256",
			json_text(all, "config_sha256"), "append", kernel->append, "vcpus_max",
			(json_int_t)kernel->vcpus_max);
	about = part ? json_dumps(part, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(part);
	json_decref(all);
	return about;
}

static int kernel_lay_out(const char *root, const struct arrow_kernel *kernel)
{
	_cleanup_free_ char *about = kernel_describe(kernel),
			    *dir = path_format("%s/" FOLDER, root);
	_cleanup_close_ int fd = -1, to = -1;
	off_t at = 0;
	ssize_t n;
	int r;

	if (!about || !dir)
		return -ENOMEM;
	r = mkdir_all(dir, 0755);
	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = fd < 0 ? -1 : openat(fd, "vmlinux", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (to < 0)
		return -errno;
	while ((n = sendfile(to, kernel->fd, &at, 1u << 30)) > 0)
		;
	return n < 0 ? -errno : write_file_atomic(fd, "kernel.json", 0644, about, strlen(about));
}

int arrow_image_kernel_pack(const struct oci_store *store, const struct arrow_paths *paths,
	const char *name, int64_t when, struct oci_layer *layer, struct arrow_error *error)
{
	_cleanup_store_ struct image_store images = {.fd = -1};
	_cleanup_temp_ struct image_temp temp = {.fd = -1};
	struct arrow_kernel kernel;
	char *root = NULL;
	int e = arrow_kernel_open(&kernel, paths->stores, paths->run, name, error);

	if (e < 0)
		return e;
	e = image_store_open(&images, paths->data, error);
	if (e == 0)
		e = image_temp_begin(&temp, &images, error);
	if (e == 0) {
		root = path_format("%s/kernel", temp.path);
		e = root ? kernel_lay_out(root, &kernel) : -ENOMEM;
		e = e < 0 ? arrow_fail(error, -e, "cannot pack the kernel %s: %m", name)
			  : oci_layer_from_tree(store,
				    &(struct oci_tree_options){
					    .path = root, .all_root = true, .mtime = when},
				    layer, error);
	}
	free(root);
	arrow_kernel_release(&kernel);
	return e;
}

static const struct oci_descriptor *kernel_find_layer(const struct oci_image *image)
{
	const char *digest = json_text(image->manifest.annotations, ARROW_ANNOTATION_KERNEL_LAYER);

	for (size_t i = 0; i < image->manifest.n_layers; i++)
		if (strcmp(image->manifest.layers[i].digest, digest) == 0)
			return &image->manifest.layers[i];
	return NULL;
}

const char *arrow_image_kernel_id(const struct oci_image *image)
{
	const struct oci_descriptor *layer = kernel_find_layer(image);

	return layer ? layer->digest + strlen("sha256:") : NULL;
}

int arrow_image_kernel_install(const struct arrow_paths *paths, const struct oci_store *store,
	const struct oci_image *image, const char *wanted, struct arrow_error *error)
{
	const char *id = arrow_image_kernel_id(image);
	_cleanup_close_ int fd = -1, vmlinux = -1, json = -1;
	char digest[DIGEST_HEX], about[JSON_MAX + 1];
	ssize_t n;
	int e;

	if (!id || !wanted || strcmp(id, wanted) != 0 || arrow_kernel_is_there(paths->stores, id))
		return 0;
	e = oci_blob_open(store, kernel_find_layer(image)->digest, &fd, error);
	if (e < 0)
		return e;
	e = digest_fd(fd, digest);
	if (e < 0)
		return arrow_fail(error, -e, "cannot read the layer %.12s: %m", id);
	if (strcmp(digest, id) != 0)
		return arrow_fail(
			error, EBADMSG, "the layer %.12s is damaged: pull the image again", id);
	vmlinux = memfd_create("vmlinux", MFD_CLOEXEC);
	json = memfd_create("kernel.json", MFD_CLOEXEC);
	if (vmlinux < 0 || json < 0)
		return arrow_fail(error, errno, "cannot unpack a kernel: %m");
	e = oci_layer_extract(fd,
		(const struct oci_wanted[]){{FOLDER "/vmlinux", VMLINUX_MAX, vmlinux},
			{FOLDER "/kernel.json", JSON_MAX, json}},
		2, error);
	if (e < 0)
		return e;
	n = pread(json, about, JSON_MAX, 0);
	about[n > 0 ? n : 0] = '\0';
	return arrow_kernel_install(paths->data, id, about, vmlinux, error);
}
