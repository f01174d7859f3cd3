// SPDX-License-Identifier: Apache-2.0
#include "package/remove.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/instance/list.h"
#include "image/oci/root.h"
#include "image/oci/sweep.h"
#include "package/local_image.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define SWEEP_WAIT_MS 10000u /* for other commands to let go of the store */
#define TIDY_WAIT_MS 500u

/* Root images that Arrows use, also those that do not run, and the manifests they were made of. */
static int list_used_roots(
	const struct arrow_paths *paths, struct arrow_strings *used, struct arrow_error *error)
{
	json_t *list, *state;
	size_t i;
	int e = arrow_list(paths, true, &list, error);

	if (e < 0)
		return e;
	json_array_foreach (list, i, state) {
		const char *digest = json_string_value(json_object_get(state, "image"));

		const json_t *spec = json_object_get(state, "spec");
		const char *manifest = json_string_value(json_object_get(spec, "image_digest"));

		if (e == 0 && digest && *digest)
			e = arrow_strings_add(used, digest);
		if (e == 0 && manifest)
			e = arrow_strings_add(used, manifest);
	}
	json_decref(list);
	return e < 0 ? arrow_fail(error, -e, "out of memory") : 0;
}

static bool image_is_used(const struct oci_image *image, const struct arrow_strings *used)
{
	char root[DIGEST_HEX];

	if (oci_root_digest(image, root) < 0)
		return true;
	for (size_t i = 0; i < used->n; i++)
		if (strcmp(used->v[i], root) == 0 ||
			strcmp(used->v[i], image->descriptor.digest) == 0)
			return true;
	return false;
}

void arrow_images_tidy(struct oci_store *store, const struct arrow_paths *paths)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	struct arrow_strings used = {0};
	struct sweep found;

	/* Another command that works on images leaves it to the next. */
	if (list_used_roots(paths, &used, &ignored) == 0)
		(void)!oci_store_sweep(store, paths->data, (const char *const *)used.v, false, true,
			TIDY_WAIT_MS, &found, &ignored);
	arrow_strings_release(&used);
}

int arrow_images_verify(const struct arrow_paths *paths, bool fix, unsigned int *checked,
	unsigned int *left, void (*each)(const char *digest, const char *what, void *arg),
	void *arg, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/oci", paths->data);
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	struct arrow_strings used = {0};
	struct sweep found = {0};
	int e;

	*checked = *left = 0;
	if (!path || access(path, F_OK) < 0)
		return 0;
	e = oci_store_open(&store, paths->data, error);
	if (e == 0)
		e = oci_store_verify(&store, fix, checked, each, arg, error);
	if (e == 0)
		e = list_used_roots(paths, &used, error);
	if (e == 0)
		e = oci_store_sweep(&store, paths->data, (const char *const *)used.v, false, fix,
			TIDY_WAIT_MS, &found, error);
	*left = found.blobs + found.parts + found.roots;
	arrow_strings_release(&used);
	return e;
}

/* One name of several goes, or the image. */
static int remove_image(struct local_image *f, const char *data, bool force,
	const struct arrow_strings *used, struct arrow_strings *log, struct arrow_error *error)
{
	bool left = false;
	size_t n = 0;
	int e = 0;

	while (f->names[n])
		n++;
	/* A name with others beside it: only the name goes. */
	if (f->image.name && n > 1) {
		_cleanup_free_ char *familiar = image_familiar_name(f->image.name, NULL);

		e = oci_store_untag(&f->store, f->image.name, false, error);
		if (e == 0)
			image_event(data, "untag", f->image.manifest.config.digest, NULL);
		if (e == 0)
			e = image_log(log, "Untagged", familiar);
		return e < 0 && !error->text ? arrow_fail(error, -e, "cannot remove it: %m") : e;
	}
	if (n > 1 && !force)
		return arrow_fail(error, EBUSY,
			"cannot remove %.19s: it has several names; remove them by name, or use -f",
			f->image.manifest.config.digest);
	if (image_is_used(&f->image, used) && !force)
		return arrow_fail(error, EBUSY,
			"cannot remove %.19s: an Arrow uses it; end that first, or use -f",
			f->image.manifest.config.digest);
	e = oci_store_forget(&f->store, f->image.top.digest, f->names, &left, error);
	for (size_t i = 0; e == 0 && i < n; i++) {
		_cleanup_free_ char *familiar = image_familiar_name(f->names[i], NULL);

		image_event(data, "untag", f->image.manifest.config.digest, NULL);
		e = image_log(log, "Untagged", familiar);
	}
	if (e == 0 && !left) {
		image_event(data, "delete", f->image.manifest.config.digest, NULL);
		e = image_log(log, "Deleted", f->image.manifest.config.digest);
	}
	return e < 0 && !error->text ? arrow_fail(error, -e, "out of memory") : e;
}

int arrow_images_remove(const struct arrow_paths *paths, const char *name, bool force,
	struct arrow_strings *log, struct arrow_error *error)
{
	_cleanup_local_image_ struct local_image f = {0};
	struct arrow_strings used = {0};
	int e = local_image_find(&f, paths, name, error);

	if (e == 0)
		e = list_used_roots(paths, &used, error);
	if (e == 0)
		e = remove_image(&f, paths->data, force, &used, log, error);
	arrow_strings_release(&used);
	if (e == 0)
		arrow_images_tidy(&f.store, paths);
	return e;
}

/* A referrer stays as long as what it refers to. */
static bool is_referrer(const struct oci_store *store, const struct oci_descriptor *d)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_manifest_ struct oci_manifest m = {0};
	_cleanup_free_ char *data = NULL;

	return oci_type_is_manifest(d->media_type) &&
	       oci_blob_read(store, d, OCI_MANIFEST_MAX, &data, &ignored) == 0 &&
	       oci_manifest_parse(&m, data, d->size, "it", &ignored) == 0 && m.subject.media_type &&
	       oci_blob_exists(store, m.subject.digest, NULL);
}

/* Which images go. */
struct pruning {
	bool all;
	bool (*wanted)(const json_t *row, void *arg);
	void *arg;
	const struct arrow_strings *used;
};

static bool prune_wants(const struct oci_image *image, const char *name, const struct pruning *p)
{
	json_t *row = p->wanted ? local_image_row(image, name) : NULL;
	bool yes = !p->wanted || (row && p->wanted(row, p->arg));

	json_decref(row);
	return yes;
}

/* Removes one line, if it is of those that go. */
static int prune_entry(struct local_image *f, const char *data, const struct oci_entry *entry,
	const struct pruning *p, struct arrow_strings *log, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_oci_image_ struct oci_image image = {0};
	char *const names[] = {entry->name, NULL};
	_cleanup_free_ char *familiar = NULL;
	bool left = false;
	const char *id;
	int e;

	if ((entry->name && !p->all) || is_referrer(&f->store, &entry->descriptor))
		return 0;
	if (oci_image_read(&image, &f->store, &entry->descriptor, "image", NULL, &ignored) == 0 &&
		(image_is_used(&image, p->used) || !prune_wants(&image, entry->name, p)))
		return 0;
	familiar = entry->name ? image_familiar_name(entry->name, NULL) : NULL;
	id = image.top.media_type ? image.manifest.config.digest : entry->descriptor.digest;
	e = oci_store_forget(&f->store, entry->descriptor.digest, names, &left, error);
	if (e == 0 && familiar)
		e = image_log(log, "untagged", familiar);
	if (e == 0 && !left) {
		image_event(data, "delete", id, NULL);
		e = image_log(log, "deleted", id);
	}
	return e < 0 && !error->text ? arrow_fail(error, -e, "out of memory") : e;
}

int arrow_images_prune(const struct arrow_paths *paths, bool all,
	bool (*wanted)(const json_t *row, void *arg), void *wanted_arg, struct arrow_strings *log,
	uint64_t *bytes, struct arrow_error *error)
{
	_cleanup_local_image_ struct local_image f = {0};
	struct arrow_strings used = {0};
	const struct pruning pruning = {
		.all = all, .wanted = wanted, .arg = wanted_arg, .used = &used};
	struct sweep swept = {0};
	int e = oci_store_open(&f.store, paths->data, error);

	if (e == 0)
		e = oci_store_list(&f.store, &f.entries, error);
	if (e == 0)
		e = list_used_roots(paths, &used, error);
	for (size_t i = 0; e == 0 && i < f.entries.n; i++)
		e = prune_entry(&f, paths->data, &f.entries.v[i], &pruning, log, error);
	if (e == 0)
		e = oci_store_sweep(&f.store, paths->data, (const char *const *)used.v, all, true,
			SWEEP_WAIT_MS, &swept, error);
	*bytes = swept.bytes;
	arrow_strings_release(&used);
	return e;
}
