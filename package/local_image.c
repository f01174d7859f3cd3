// SPDX-License-Identifier: Apache-2.0
#include "package/local_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/event.h"
#include "util/io.h"

#define NONE "<none>"

uint64_t local_image_size(const struct oci_image *image)
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

json_t *local_image_row(const struct oci_image *image, const char *name)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_reference_ struct oci_reference r = {0};
	_cleanup_free_ char *familiar = NULL;

	if (name && oci_reference_parse(&r, name, &ignored) == 0)
		familiar = oci_reference_familiar(&r);
	return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s, s:I, s:o, s:s?}", "id",
		image->manifest.config.digest, "digest", image->top.digest, "name", name,
		"repository", familiar ? familiar : NONE, "tag", r.tag && !r.digest ? r.tag : NONE,
		"created", image->config.created ? image->config.created : "", "size",
		(json_int_t)local_image_size(image), "labels", labels_json(image->config.labels),
		"architecture", image->config.platform.architecture);
}

/* The whole names of a manifest or index; NULL-terminated, the caller's. */
static char **image_names(const struct oci_entries *entries, const char *digest)
{
	char **names = calloc(entries->n + 1, sizeof(*names));
	size_t n = 0;

	for (size_t i = 0; names && i < entries->n; i++)
		if (entries->v[i].name && strcmp(entries->v[i].descriptor.digest, digest) == 0)
			names[n++] = strdup(entries->v[i].name);
	return names;
}

char *image_familiar_name(const char *name, const char *digest)
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

void local_image_release(struct local_image *f)
{
	oci_image_release(&f->image);
	oci_entries_release(&f->entries);
	oci_store_release(&f->store);
	strv_free(f->names);
}
int local_image_find(struct local_image *f, const struct arrow_paths *paths, const char *name,
	struct arrow_error *error)
{
	int e = oci_store_open(&f->store, paths->data, error);

	if (e == 0)
		e = oci_store_list(&f->store, &f->entries, error);
	if (e == 0)
		e = oci_image_find(&f->image, &f->store, name, NULL, error);
	if (e < 0)
		return e;
	f->names = image_names(&f->entries, f->image.top.digest);
	return f->names ? 0 : arrow_no_memory(error);
}

void image_event(const char *data, const char *action, const char *id, const char *name)
{
	event_write(data, "image", action, id, json_pack("{s:s}", "name", name ? name : id));
}

int image_log(struct arrow_strings *log, const char *what, const char *text)
{
	_cleanup_free_ char *line = path_format("%s: %s", what, text ? text : "");

	return line ? arrow_strings_add(log, line) : -ENOMEM;
}
