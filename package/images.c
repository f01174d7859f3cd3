// SPDX-License-Identifier: Apache-2.0
#include "package/images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "package/local_image.h"
#include "util/cleanup.h"
#include "util/io.h"

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
			json_array_append_new(*rows, local_image_row(&image, entries.v[i].name));
	}
	sort_rows(*rows);
	return 0;
}

static json_t *list_familiar_names(char *const *names, const char *digest)
{
	json_t *list = json_array();

	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *name = image_familiar_name(names[i], digest);
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

int arrow_images_inspect(const struct arrow_paths *paths, const char *name, json_t **object,
	struct arrow_error *error)
{
	_cleanup_local_image_ struct local_image f = {0};
	const struct oci_config *c = &f.image.config;
	json_t *config, *history, *layers;
	int e = local_image_find(&f, paths, name, error);

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
		"Id", f.image.manifest.config.digest, "RepoTags",
		list_familiar_names(f.names, NULL), "RepoDigests",
		list_familiar_names(f.names, f.image.top.digest), "Parent", "", "Comment",
		json_string_value(json_object_get(history, "comment"))
			? json_string_value(json_object_get(history, "comment"))
			: "",
		"Created", c->created ? c->created : "", "Author", c->author ? c->author : "",
		"Config", config, "Architecture",
		c->platform.architecture ? c->platform.architecture : "", "Variant",
		c->platform.variant ? c->platform.variant : "", "Os",
		c->platform.os ? c->platform.os : "", "Size",
		(json_int_t)local_image_size(&f.image), "RootFS", "Type", "layers", "Layers",
		layers, "Descriptor", "mediaType", f.image.descriptor.media_type, "digest",
		f.image.descriptor.digest, "size", (json_int_t)f.image.descriptor.size,
		"Annotations", f.image.manifest.annotations);
	return *object ? 0 : arrow_no_memory(error);
}

int arrow_images_history(
	const struct arrow_paths *paths, const char *name, json_t **rows, struct arrow_error *error)
{
	_cleanup_local_image_ struct local_image f = {0};
	json_t *steps, *step;
	size_t i, layer = 0;
	int e = local_image_find(&f, paths, name, error);

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

int arrow_images_tag(const struct arrow_paths *paths, const char *source, const char *target,
	struct arrow_error *error)
{
	_cleanup_reference_ struct oci_reference r = {0};
	_cleanup_local_image_ struct local_image f = {0};
	int e = oci_reference_parse(&r, target, error);

	if (e == 0 && r.digest)
		return arrow_fail(error, EINVAL,
			"cannot name an image '%s': a digest cannot be used as a name", target);
	if (e == 0)
		e = local_image_find(&f, paths, source, error);
	if (e == 0)
		e = oci_store_tag(&f.store, &r, &f.image.top, NULL, error);
	if (e == 0) {
		_cleanup_free_ char *name = oci_reference_familiar(&r);

		image_event(paths->data, "tag", f.image.manifest.config.digest, name);
	}
	return e;
}
