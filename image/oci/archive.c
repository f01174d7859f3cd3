// SPDX-License-Identifier: Apache-2.0
/* Images out of archives and directories. */
#include "image/oci/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/oci/layer.h"
#include "image/oci/libarchive.h"
#include "image/oci/members.h"
#include "util/cleanup.h"
#include "util/io.h"

#define FULL_NAME "io.containerd.image.name"
#define REF_NAME "org.opencontainers.image.ref.name"
#define BLOBS "blobs/sha256/"

struct loader {
	const struct oci_store *store;
	const struct oci_reference *name;
	oci_loaded each;
	void *arg;
	struct arrow_error *error;

	int dirfd; /* of a layout in a directory, or -1 */
	struct oci_members members;
	unsigned int count;
	unsigned int bad; /* images that could not be stored */
	char *why;        /* what the first of them lacks; owned */
};

static void loader_release(struct loader *l)
{
	oci_members_release(&l->members);
	free(l->why);
	close_keep_errno(l->dirfd);
}
#define _cleanup_loader_ __attribute__((cleanup(loader_release)))

int oci_archive_look(int fd, enum oci_archive *kind, struct arrow_error *error)
{
	bool layout = false, index = false, docker = false;
	struct archive_entry *entry;
	struct archive *a;
	int e = oci_archive_open(fd, &a, error);

	if (e < 0)
		return e;
	while ((e = archive_read_next_header(a, &entry)) >= ARCHIVE_WARN && e != ARCHIVE_EOF) {
		const char *path = oci_plain_path(archive_entry_pathname(entry));

		layout |= strcmp(path, "oci-layout") == 0;
		index |= strcmp(path, "index.json") == 0;
		docker |= strcmp(path, "manifest.json") == 0;
	}
	e = e < ARCHIVE_WARN ? oci_archive_fail(a, error) : 0;
	archive_read_free(a);
	if (e < 0)
		return e;
	/* `docker save` of today writes both, and only the layout keeps the digests. */
	*kind = layout && index ? OCI_ARCHIVE_LAYOUT
		: docker        ? OCI_ARCHIVE_DOCKER
				: OCI_ARCHIVE_ROOTFS;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return arrow_fail(error, errno, "cannot read the archive again: %m");
	return 0;
}

/* Names a stored image, and tells of it. */
static int name_image(struct loader *l, const char *name, const struct oci_descriptor *d)
{
	_cleanup_error_ struct arrow_error invalid = ARROW_ERROR_INIT;
	_cleanup_reference_ struct oci_reference own = {0};
	const struct oci_reference *r = l->name;
	_cleanup_free_ char *whole = NULL;
	int e;

	if (!r && name && oci_reference_parse(&own, name, &invalid) == 0)
		r = &own;
	e = r ? oci_store_tag(l->store, r, d, NULL, l->error)
	      : oci_store_keep(l->store, d, l->error);
	if (e < 0)
		return e;
	whole = r ? oci_reference_format(r) : NULL;
	l->count++;
	if (l->each)
		l->each(whole, d, l->arg);
	return 0;
}

/* Notes why an image was not stored; the others are tried. Out of memory or space ends it all. */
static int pass_over(struct loader *l, int e, size_t number)
{
	if (e != -EBADMSG && e != -ENOTSUP && e != -E2BIG && e != -ENOENT && e != -EINVAL)
		return e;
	if (!l->why)
		l->why = path_format("image %zu: %s", number + 1, l->error->text);
	l->bad++;
	arrow_error_clear(l->error);
	return l->why ? 0 : arrow_no_memory(l->error);
}

/* What comes of a list of images when all were tried. */
static int loader_conclude(struct loader *l, size_t total)
{
	if (l->bad > 0 && total > 1)
		return arrow_fail(l->error, EBADMSG, "%u of its %zu images %s refused; %s", l->bad,
			total, l->bad == 1 ? "is" : "are", l->why);
	if (l->bad > 0)
		return arrow_fail(l->error, EBADMSG, "%s", strchr(l->why, ':') + 2);
	return l->count == 0 ? arrow_fail(l->error, ENOENT, "there is no image in it") : 0;
}

/* A blob of a layout: there already, or in the directory. */
static int want_blob(struct loader *l, const struct oci_descriptor *d)
{
	_cleanup_descriptor_ struct oci_descriptor copied = {0};
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (oci_blob_exists(l->store, d->digest, NULL))
		return 0;
	path = path_format(BLOBS "%s", d->digest + strlen("sha256:"));
	if (!path)
		return arrow_no_memory(l->error);
	if (l->dirfd >= 0)
		fd = openat(l->dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return arrow_fail(l->error, EBADMSG, "the blob %s is missing%s", d->digest,
			oci_members_damaged(&l->members, path)
				? ": what the archive has under its name is damaged (wrong digest)"
				: "");
	return oci_blob_copy(l->store, fd, d->digest, d->size, &copied, l->error);
}

/* A blob that is read, too. */
static int want_text(struct loader *l, const struct oci_descriptor *d, char **data)
{
	int e = want_blob(l, d);

	return e < 0 ? e : oci_blob_read(l->store, d, OCI_MANIFEST_MAX, data, l->error);
}

static int want_manifest(struct loader *l, const struct oci_descriptor *d)
{
	_cleanup_manifest_ struct oci_manifest m = {0};
	_cleanup_free_ char *data = NULL;
	int e = want_text(l, d, &data);

	if (e == 0)
		e = oci_manifest_parse(&m, data, d->size, "the manifest", l->error);
	if (e == 0)
		e = want_blob(l, &m.config);
	for (size_t i = 0; e == 0 && i < m.n_layers; i++)
		e = want_blob(l, &m.layers[i]);
	return e;
}

/* An index has to have the image of this host; those of others come along if they are there. */
static int want_index(struct loader *l, const struct oci_descriptor *d)
{
	const struct oci_index_entry *chosen;
	_cleanup_index_ struct oci_index index = {0};
	_cleanup_free_ char *data = NULL;
	int e = want_text(l, d, &data);

	if (e == 0)
		e = oci_index_parse(&index, data, d->size, "the index", l->error);
	if (e < 0)
		return e;
	chosen = oci_index_choose(&index, NULL, NULL);
	if (!chosen)
		return arrow_fail(l->error, ENOENT, "there is no image for linux/%s in it",
			oci_host_architecture());
	for (size_t i = 0; i < index.n; i++) {
		_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
		struct loader quiet = *l;

		if (&index.entries[i] == chosen)
			continue;
		quiet.error = &ignored;
		(void)!want_manifest(&quiet, &index.entries[i].descriptor);
	}
	return want_manifest(l, &chosen->descriptor);
}

/* The whole name of a line: a lone tag is none. */
static const char *layout_name(const json_t *line)
{
	const json_t *annotations = json_object_get(line, "annotations");
	const char *name = json_string_value(json_object_get(annotations, FULL_NAME));

	if (name)
		return name;
	name = json_string_value(json_object_get(annotations, REF_NAME));
	return name && strpbrk(name, "/:") ? name : NULL;
}

static int load_layout(struct loader *l)
{
	json_t *index = json_loads(l->members.index ? l->members.index : "", 0, NULL), *line;
	json_t *lines = json_object_get(index, "manifests");
	int e = 0;
	size_t i;

	if (!json_is_array(lines))
		e = arrow_fail(l->error, EBADMSG, "its index.json is damaged");
	else if (json_array_size(lines) > OCI_INDEX_MAX)
		e = arrow_fail(
			l->error, E2BIG, "its index.json has more than %u images", OCI_INDEX_MAX);
	else if (l->name && json_array_size(lines) > 1)
		e = arrow_fail(l->error, EINVAL,
			"it holds %zu images, which cannot all have one name",
			json_array_size(lines));
	json_array_foreach (lines, i, line) {
		_cleanup_descriptor_ struct oci_descriptor d = {0};

		if (e < 0)
			break;
		e = oci_descriptor_read(&d, line, "its index.json", l->error);
		if (e == 0)
			e = oci_type_is_index(d.media_type) ? want_index(l, &d)
							    : want_manifest(l, &d);
		if (e == 0)
			e = name_image(l, layout_name(line), &d);
		if (e < 0)
			e = pass_over(l, e, i);
	}
	e = e < 0 ? e : loader_conclude(l, json_array_size(lines));
	json_decref(index);
	return e;
}

/* The manifest of an image of which an archive has configuration and layers only. */
static int make_manifest(struct loader *l, const json_t *image, struct oci_descriptor *manifest)
{
	const char *path = json_string_value(json_object_get(image, "Config"));
	const struct oci_member *member =
		path ? oci_members_find(&l->members, oci_plain_path(path)) : NULL;
	json_t *layers = json_object_get(image, "Layers"), *layer, *list = json_array(), *json;
	_cleanup_config_ struct oci_config config = {0};
	_cleanup_descriptor_ struct oci_descriptor d = {0};
	_cleanup_free_ char *data = NULL, *text = NULL;
	size_t i;
	int e;

	if (!member || oci_descriptor_copy(&d, &member->blob) < 0) {
		json_decref(list);
		return arrow_fail(l->error, EBADMSG, "its manifest.json names no configuration");
	}
	free(d.media_type);
	d.media_type = strdup(OCI_TYPE_CONFIG);
	e = oci_blob_read(l->store, &d, OCI_CONFIG_MAX, &data, l->error);
	if (e == 0)
		e = oci_config_parse(&config, data, d.size, "its configuration", l->error);
	if (e == 0 && json_array_size(layers) != config.n_diff_ids)
		e = arrow_fail(l->error, EBADMSG, "it has %zu layers and the digests of %zu",
			json_array_size(layers), config.n_diff_ids);
	json_array_foreach (layers, i, layer) {
		const char *name = json_string_value(layer);

		if (e < 0)
			break;
		member = name ? oci_members_find(&l->members, oci_plain_path(name)) : NULL;
		if (!member)
			e = arrow_fail(l->error, EBADMSG, "its layer %zu is missing", i + 1);
		else if (strcmp(member->blob.media_type, OCI_TYPE_LAYER) == 0 && config.diff_ids &&
			 strcmp(member->blob.digest, config.diff_ids[i]) != 0)
			e = arrow_fail(l->error, EBADMSG,
				"wrong digest: its layer %zu is %s, not %s", i + 1,
				member->blob.digest, config.diff_ids[i]);
		else
			json_array_append_new(list, oci_descriptor_json(&member->blob));
	}
	json = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI_TYPE_MANIFEST,
		"config", oci_descriptor_json(&d), "layers", list);
	text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(json);
	if (e == 0 && !text)
		e = arrow_no_memory(l->error);
	return e == 0 ? oci_blob_put(l->store, OCI_TYPE_MANIFEST, text, strlen(text), NULL,
				manifest, l->error)
		      : e;
}

static int load_docker(struct loader *l)
{
	json_t *all = json_loads(l->members.index ? l->members.index : "", 0, NULL), *image, *tag;
	size_t i, k;
	int e = 0;

	if (!json_is_array(all))
		e = arrow_fail(l->error, EBADMSG, "its manifest.json is damaged");
	else if (json_array_size(all) > OCI_INDEX_MAX)
		e = arrow_fail(l->error, E2BIG, "its manifest.json has more than %u images",
			OCI_INDEX_MAX);
	else if (l->name && json_array_size(all) > 1)
		e = arrow_fail(l->error, EINVAL,
			"it holds %zu images, which cannot all have one name",
			json_array_size(all));
	json_array_foreach (all, i, image) {
		json_t *tags = json_object_get(image, "RepoTags");
		_cleanup_descriptor_ struct oci_descriptor d = {0};

		if (e < 0)
			break;
		e = make_manifest(l, image, &d);
		if (e < 0) {
			e = pass_over(l, e, i);
			continue;
		}
		if (e == 0 && (l->name || json_array_size(tags) == 0)) {
			e = name_image(l, NULL, &d);
			continue;
		}
		json_array_foreach (tags, k, tag) {
			if (e == 0)
				e = name_image(l, json_string_value(tag), &d);
		}
	}
	e = e < 0 ? e : loader_conclude(l, json_array_size(all));
	json_decref(all);
	return e;
}

int oci_archive_load(const struct oci_store *store, int fd, enum oci_archive kind,
	const struct oci_reference *name, oci_loaded each, void *arg, struct arrow_error *error)
{
	_cleanup_loader_ struct loader l = {.store = store,
		.name = name,
		.each = each,
		.arg = arg,
		.error = error,
		.dirfd = -1};
	bool layout = kind == OCI_ARCHIVE_LAYOUT;
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = uselocale(plain);
	int e;

	if (kind == OCI_ARCHIVE_ROOTFS)
		e = arrow_fail(error, EBADMSG,
			"it holds no image (neither manifest.json nor index.json); 'arrow import' takes a root file system");
	else
		e = oci_members_read(
			&l.members, store, fd, layout ? "index.json" : "manifest.json", error);
	if (e == 0)
		e = layout ? load_layout(&l) : load_docker(&l);
	uselocale(old);
	freelocale(plain);
	return e;
}

int oci_layout_load(const struct oci_store *store, const char *path,
	const struct oci_reference *name, oci_loaded each, void *arg, struct arrow_error *error)
{
	_cleanup_loader_ struct loader l = {.store = store,
		.name = name,
		.each = each,
		.arg = arg,
		.error = error,
		.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	int e;

	if (l.dirfd < 0)
		return arrow_fail(error, errno, "cannot open %s: %m", path);
	e = read_file(l.dirfd, "index.json", OCI_MANIFEST_MAX, &l.members.index, NULL);
	if (e < 0)
		return arrow_fail(error, -e, "cannot read %s/index.json: %m", path);
	return load_layout(&l);
}

int oci_rootfs_layer(const struct oci_store *store, int fd, const struct arrow_image_limits *limits,
	struct oci_layer *layer, struct arrow_error *error)
{
	struct layer scan = {.fd = fd, .what = "the archive"};
	int e = layer_scan(&scan, limits, error);

	*layer = (struct oci_layer){0};
	if (e == 0 && lseek(fd, 0, SEEK_SET) < 0)
		e = arrow_fail(error, errno, "cannot read the archive again: %m");
	if (e == 0)
		e = oci_blob_copy(store, fd, NULL, UINT64_MAX, &layer->blob, error);
	if (e == 0)
		memcpy(layer->diff_id, scan.found, OCI_DIGEST_SIZE);
	return e;
}
