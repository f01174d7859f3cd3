// SPDX-License-Identifier: Apache-2.0
#include "package/images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/instance/list.h"
#include "image/oci/archive.h"
#include "image/oci/root.h"
#include "image/oci/sweep.h"
#include "util/cleanup.h"
#include "util/event.h"
#include "util/digest.h"
#include "util/io.h"

#define SWEEP_WAIT_MS 10000u /* for other commands to let go of the store */
#define TIDY_WAIT_MS 500u
#define NONE "<none>"

static uint64_t size_of(const struct oci_image *image)
{
	uint64_t size = 0;

	for (size_t i = 0; i < image->manifest.n_layers; i++)
		size += image->manifest.layers[i].size;
	return size;
}

/* "key=value" strings as an object. */
static json_t *labels_json(char *const *labels)
{
	json_t *object = json_object();

	for (size_t i = 0; labels && labels[i]; i++) {
		const char *equal = strchr(labels[i], '=');
		_cleanup_free_ char *key =
			equal ? strndup(labels[i], (size_t)(equal - labels[i])) : NULL;

		if (key)
			json_object_set_new(object, key, json_string(equal + 1));
	}
	return object;
}

static json_t *row_of(const struct oci_image *image, const char *name)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_reference_ struct oci_reference r = {0};
	_cleanup_free_ char *familiar = NULL;

	if (name && oci_reference_parse(&r, name, &ignored) == 0)
		familiar = oci_reference_familiar(&r);
	return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s, s:I, s:o, s:s?}", "id",
		image->manifest.config.digest, "digest", image->top.digest, "name", name,
		"repository", familiar ? familiar : NONE, "tag", r.tag ? r.tag : NONE, "created",
		image->config.created ? image->config.created : "", "size",
		(json_int_t)size_of(image), "labels", labels_json(image->config.labels),
		"architecture", image->config.platform.architecture);
}

static int newest_first(const void *a, const void *b)
{
	json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int order = strcmp(json_string_value(json_object_get(y, "created")),
		json_string_value(json_object_get(x, "created")));
	const char *nx = json_string_value(json_object_get(x, "name"));
	const char *ny = json_string_value(json_object_get(y, "name"));

	return order ? order : strcmp(nx ? nx : "", ny ? ny : "");
}

static void sort_rows(json_t *rows)
{
	size_t n = json_array_size(rows), i;
	_cleanup_free_ json_t **v = calloc(n + 1, sizeof(json_t *));
	json_t *row;

	if (!v)
		return;
	json_array_foreach (rows, i, row)
		v[i] = json_incref(row);
	qsort(v, n, sizeof(json_t *), newest_first);
	json_array_clear(rows);
	for (i = 0; i < n; i++)
		json_array_append_new(rows, v[i]);
}

int arrow_images_list(const struct arrow_paths *paths, json_t **rows, struct arrow_error *error)
{
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	_cleanup_entries_ struct oci_entries entries = {0};
	int e = oci_store_open(&store, paths->data, error);

	*rows = NULL;
	if (e == 0)
		e = oci_store_list(&store, &entries, error);
	if (e < 0)
		return e;
	*rows = json_array();
	for (size_t i = 0; i < entries.n; i++) {
		_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
		_cleanup_oci_image_ struct oci_image image = {0};

		if (oci_image_read(
			    &image, &store, &entries.v[i].descriptor, "image", NULL, &ignored) == 0)
			json_array_append_new(*rows, row_of(&image, entries.v[i].name));
	}
	sort_rows(*rows);
	return 0;
}

/* The whole names of a manifest or index; NULL-terminated, the caller's. */
static char **names_of(const struct oci_entries *entries, const char *digest)
{
	char **names = calloc(entries->n + 1, sizeof(*names));
	size_t n = 0;

	for (size_t i = 0; names && i < entries->n; i++)
		if (entries->v[i].name && strcmp(entries->v[i].descriptor.digest, digest) == 0)
			names[n++] = strdup(entries->v[i].name);
	return names;
}

/* "busybox:latest", or "busybox@sha256:..." */
static char *familiar_name(const char *name, const char *digest)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_reference_ struct oci_reference r = {0};
	_cleanup_free_ char *familiar = NULL;

	if (oci_reference_parse(&r, name, &ignored) < 0)
		return strdup(name);
	familiar = oci_reference_familiar(&r);
	if (!familiar)
		return NULL;
	if (digest)
		return path_format("%s@%s", familiar, digest);
	return path_format("%s%s%s%s%s", familiar, r.tag ? ":" : "", r.tag ? r.tag : "",
		r.digest ? "@" : "", r.digest ? r.digest : "");
}

static json_t *familiar_names(char *const *names, const char *digest)
{
	json_t *list = json_array();

	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *name = familiar_name(names[i], digest);
		json_t *other;
		size_t k;
		bool twice = false;

		json_array_foreach (list, k, other)
			twice |= name && strcmp(json_string_value(other), name) == 0;
		if (name && !twice && (digest || !strchr(name, '@')))
			json_array_append_new(list, json_string(name));
	}
	return list;
}

/* An image, and what the index of the store says of it. */
struct found {
	struct oci_store store;
	struct oci_entries entries;
	struct oci_image image;
	char **names;
};

static void found_release(struct found *f)
{
	oci_image_release(&f->image);
	oci_entries_release(&f->entries);
	oci_store_release(&f->store);
	strv_free(f->names);
}
#define _cleanup_found_ __attribute__((cleanup(found_release)))

static int find(struct found *f, const struct arrow_paths *paths, const char *name,
	struct arrow_error *error)
{
	int e = oci_store_open(&f->store, paths->data, error);

	if (e == 0)
		e = oci_store_list(&f->store, &f->entries, error);
	if (e == 0)
		e = oci_image_find(&f->image, &f->store, name, NULL, error);
	if (e < 0)
		return e;
	f->names = names_of(&f->entries, f->image.top.digest);
	return f->names ? 0 : arrow_no_memory(error);
}

int arrow_images_inspect(const struct arrow_paths *paths, const char *name, json_t **object,
	struct arrow_error *error)
{
	_cleanup_found_ struct found f = {0};
	const struct oci_config *c = &f.image.config;
	json_t *config, *history, *layers;
	int e = find(&f, paths, name, error);

	*object = NULL;
	if (e < 0)
		return e;
	config = json_object_get(c->json, "config");
	history = json_object_get(c->json, "history");
	layers = json_array();
	for (size_t i = 0; i < c->n_diff_ids; i++)
		json_array_append_new(layers, json_string(c->diff_ids[i]));
	history = json_array_get(history, json_array_size(history) - 1);
	*object = json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:O?, s:s, s:s, s:s, s:I, "
			    "s:{s:s, s:o}, s:{s:s, s:s, s:I}, s:O}",
		"Id", f.image.manifest.config.digest, "RepoTags", familiar_names(f.names, NULL),
		"RepoDigests", familiar_names(f.names, f.image.top.digest), "Parent", "", "Comment",
		json_string_value(json_object_get(history, "comment"))
			? json_string_value(json_object_get(history, "comment"))
			: "",
		"Created", c->created ? c->created : "", "Author", c->author ? c->author : "",
		"Config", config, "Architecture",
		c->platform.architecture ? c->platform.architecture : "", "Variant",
		c->platform.variant ? c->platform.variant : "", "Os",
		c->platform.os ? c->platform.os : "", "Size", (json_int_t)size_of(&f.image),
		"RootFS", "Type", "layers", "Layers", layers, "Descriptor", "mediaType",
		f.image.descriptor.media_type, "digest", f.image.descriptor.digest, "size",
		(json_int_t)f.image.descriptor.size, "Annotations", f.image.manifest.annotations);
	return *object ? 0 : arrow_no_memory(error);
}

int arrow_images_history(
	const struct arrow_paths *paths, const char *name, json_t **rows, struct arrow_error *error)
{
	_cleanup_found_ struct found f = {0};
	json_t *steps, *step;
	size_t i, layer = 0;
	int e = find(&f, paths, name, error);

	*rows = NULL;
	if (e < 0)
		return e;
	*rows = json_array();
	steps = json_object_get(f.image.config.json, "history");
	json_array_foreach (steps, i, step) {
		const char *created = json_string_value(json_object_get(step, "created"));
		const char *by = json_string_value(json_object_get(step, "created_by"));
		const char *comment = json_string_value(json_object_get(step, "comment"));
		bool empty = json_is_true(json_object_get(step, "empty_layer"));
		uint64_t size = 0;

		if (!empty && layer < f.image.manifest.n_layers)
			size = f.image.manifest.layers[layer++].size;
		json_array_insert_new(*rows, 0,
			json_pack("{s:s, s:s, s:s, s:I, s:s}", "id", "<missing>", "created",
				created ? created : "", "created_by", by ? by : "", "size",
				(json_int_t)size, "comment", comment ? comment : ""));
	}
	if (json_array_size(*rows) > 0)
		json_object_set_new(json_array_get(*rows, 0), "id",
			json_string(f.image.manifest.config.digest));
	return 0;
}

/* For `arrow events`; as Docker, with the id for a name where there is none. */
static void tell(const char *data, const char *action, const char *id, const char *name)
{
	event_write(data, "image", action, id, json_pack("{s:s}", "name", name ? name : id));
}

int arrow_images_tag(const struct arrow_paths *paths, const char *source, const char *target,
	struct arrow_error *error)
{
	_cleanup_reference_ struct oci_reference r = {0};
	_cleanup_found_ struct found f = {0};
	int e = oci_reference_parse(&r, target, error);

	if (e == 0 && r.digest)
		return arrow_fail(error, EINVAL,
			"cannot name an image '%s': a digest is not a name that can be given",
			target);
	if (e == 0)
		e = find(&f, paths, source, error);
	if (e == 0)
		e = oci_store_tag(&f.store, &r, &f.image.top, NULL, error);
	if (e == 0) {
		_cleanup_free_ char *name = oci_reference_familiar(&r);

		tell(paths->data, "tag", f.image.manifest.config.digest, name);
	}
	return e;
}

/* Root images that Arrows use, also those that do not run, and the manifests they were made of. */
static int used_roots(
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

static bool is_used(const struct oci_image *image, const struct arrow_strings *used)
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

static int log_line(struct arrow_strings *log, const char *what, const char *text)
{
	_cleanup_free_ char *line = path_format("%s: %s", what, text ? text : "");

	return line ? arrow_strings_add(log, line) : -ENOMEM;
}

void arrow_images_tidy(struct oci_store *store, const struct arrow_paths *paths)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	struct arrow_strings used = {0};
	struct sweep found;

	/* Another command that works on images leaves it to the next. */
	if (used_roots(paths, &used, &ignored) == 0)
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
		e = used_roots(paths, &used, error);
	if (e == 0)
		e = oci_store_sweep(&store, paths->data, (const char *const *)used.v, false, fix,
			TIDY_WAIT_MS, &found, error);
	*left = found.blobs + found.parts + found.roots;
	arrow_strings_release(&used);
	return e;
}

/* One name of several goes, or the image. */
static int remove_found(struct found *f, const char *data, bool force,
	const struct arrow_strings *used, struct arrow_strings *log, struct arrow_error *error)
{
	bool left = false;
	size_t n = 0;
	int e = 0;

	while (f->names[n])
		n++;
	/* A name with others beside it: only the name goes. */
	if (f->image.name && n > 1) {
		_cleanup_free_ char *familiar = familiar_name(f->image.name, NULL);

		e = oci_store_untag(&f->store, f->image.name, false, error);
		if (e == 0)
			tell(data, "untag", f->image.manifest.config.digest, NULL);
		if (e == 0)
			e = log_line(log, "Untagged", familiar);
		return e < 0 && !error->text ? arrow_fail(error, -e, "cannot remove it: %m") : e;
	}
	if (n > 1 && !force)
		return arrow_fail(error, EBUSY,
			"cannot remove %.19s: it has several names; remove them by name, or use -f",
			f->image.manifest.config.digest);
	if (is_used(&f->image, used) && !force)
		return arrow_fail(error, EBUSY,
			"cannot remove %.19s: an Arrow uses it; end that first, or use -f",
			f->image.manifest.config.digest);
	e = oci_store_forget(&f->store, f->image.top.digest, f->names, &left, error);
	for (size_t i = 0; e == 0 && i < n; i++) {
		_cleanup_free_ char *familiar = familiar_name(f->names[i], NULL);

		tell(data, "untag", f->image.manifest.config.digest, NULL);
		e = log_line(log, "Untagged", familiar);
	}
	if (e == 0 && !left) {
		tell(data, "delete", f->image.manifest.config.digest, NULL);
		e = log_line(log, "Deleted", f->image.manifest.config.digest);
	}
	return e < 0 && !error->text ? arrow_fail(error, -e, "out of memory") : e;
}

int arrow_images_remove(const struct arrow_paths *paths, const char *name, bool force,
	struct arrow_strings *log, struct arrow_error *error)
{
	_cleanup_found_ struct found f = {0};
	struct arrow_strings used = {0};
	int e = find(&f, paths, name, error);

	if (e == 0)
		e = used_roots(paths, &used, error);
	if (e == 0)
		e = remove_found(&f, paths->data, force, &used, log, error);
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

static bool passes(const struct oci_image *image, const char *name, const struct pruning *p)
{
	json_t *row = p->wanted ? row_of(image, name) : NULL;
	bool yes = !p->wanted || (row && p->wanted(row, p->arg));

	json_decref(row);
	return yes;
}

/* Removes one line, if it is of those that go. */
static int prune_entry(struct found *f, const char *data, const struct oci_entry *entry,
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
		(is_used(&image, p->used) || !passes(&image, entry->name, p)))
		return 0;
	familiar = entry->name ? familiar_name(entry->name, NULL) : NULL;
	id = image.top.media_type ? image.manifest.config.digest : entry->descriptor.digest;
	e = oci_store_forget(&f->store, entry->descriptor.digest, names, &left, error);
	if (e == 0 && familiar)
		e = log_line(log, "untagged", familiar);
	if (e == 0 && !left) {
		tell(data, "delete", id, NULL);
		e = log_line(log, "deleted", id);
	}
	return e < 0 && !error->text ? arrow_fail(error, -e, "out of memory") : e;
}

int arrow_images_prune(const struct arrow_paths *paths, bool all,
	bool (*wanted)(const json_t *row, void *arg), void *wanted_arg, struct arrow_strings *log,
	uint64_t *bytes, struct arrow_error *error)
{
	_cleanup_found_ struct found f = {0};
	struct arrow_strings used = {0};
	const struct pruning pruning = {
		.all = all, .wanted = wanted, .arg = wanted_arg, .used = &used};
	struct sweep swept = {0};
	int e = oci_store_open(&f.store, paths->data, error);

	if (e == 0)
		e = oci_store_list(&f.store, &f.entries, error);
	if (e == 0)
		e = used_roots(paths, &used, error);
	for (size_t i = 0; e == 0 && i < f.entries.n; i++)
		e = prune_entry(&f, paths->data, &f.entries.v[i], &pruning, log, error);
	if (e == 0)
		e = oci_store_sweep(&f.store, paths->data, (const char *const *)used.v, all, true,
			SWEEP_WAIT_MS, &swept, error);
	*bytes = swept.bytes;
	arrow_strings_release(&used);
	return e;
}

int arrow_images_save(const struct arrow_paths *paths, char *const *names, size_t n, int fd,
	struct arrow_error *error)
{
	_cleanup_free_ struct found *found = calloc(n + 1, sizeof(*found));
	_cleanup_free_ struct oci_saved *saved = calloc(n + 1, sizeof(*saved));
	int e = found && saved ? 0 : arrow_no_memory(error);
	size_t done = 0;

	for (; e == 0 && done < n; done++) {
		struct found *f = &found[done];

		e = find(f, paths, names[done], error);
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
		found_release(&found[i]);
	return e;
}

int arrow_images_export_layout(const struct arrow_paths *paths, const char *name,
	const char *directory, struct arrow_error *error)
{
	_cleanup_found_ struct found f = {0};
	int e = find(&f, paths, name, error);
	struct oci_saved saved = {&f.image, f.names};

	return e == 0 ? oci_layout_save(&f.store, &saved, 1, directory, error) : e;
}

static void note_loaded(const char *name, const struct oci_descriptor *d, void *arg)
{
	_cleanup_free_ char *familiar = name ? familiar_name(name, NULL) : NULL;

	/* A line less is printed when memory runs out. */
	(void)!log_line(arg, familiar ? "Loaded image" : "Loaded image ID",
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
		e = oci_archive_load(&store, seekable, kind, NULL, note_loaded, log, error);
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
