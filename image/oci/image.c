// SPDX-License-Identifier: Apache-2.0
#include "image/oci/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define ID_MIN 2u /* digits */

/* ChainID(0) = DiffID(0); ChainID(n) = SHA256(ChainID(n-1) + " " + DiffID(n)). */
static int make_chain_id(struct oci_image *image)
{
	const struct oci_config *c = &image->config;
	char pair[2 * OCI_DIGEST_SIZE];

	snprintf(image->chain_id, sizeof(image->chain_id), "%s",
		c->n_diff_ids ? c->diff_ids[0] : "sha256:");
	if (c->n_diff_ids == 0)
		return digest_data("", 0, image->chain_id + strlen("sha256:"));
	for (size_t i = 1; i < c->n_diff_ids; i++) {
		int e;

		snprintf(pair, sizeof(pair), "%s %s", image->chain_id, c->diff_ids[i]);
		e = digest_data(pair, strlen(pair), image->chain_id + strlen("sha256:"));
		if (e < 0)
			return e;
	}
	return 0;
}

/* Follows an index to the manifest for the platform. */
static int image_choose(struct oci_image *image, const struct oci_store *store, const char *what,
	const char *architecture, struct arrow_error *error)
{
	_cleanup_index_ struct oci_index index = {0};
	const struct oci_index_entry *entry;
	_cleanup_free_ char *data = NULL;
	int e;

	if (!oci_type_is_index(image->top.media_type))
		return oci_descriptor_copy(&image->descriptor, &image->top) < 0
			       ? arrow_no_memory(error)
			       : 0;
	e = oci_blob_read(store, &image->top, OCI_MANIFEST_MAX, &data, error);
	if (e == 0)
		e = oci_index_parse(&index, data, image->top.size, what, error);
	if (e < 0)
		return e;
	entry = oci_index_choose(&index, architecture, NULL);
	if (!entry)
		return arrow_fail(error, ENOENT, "%s has no image for linux/%s", what,
			architecture ? architecture : oci_host_architecture());
	if (oci_type_is_index(entry->descriptor.media_type))
		return arrow_fail(
			error, EBADMSG, "%s is an index that leads to another index", what);
	return oci_descriptor_copy(&image->descriptor, &entry->descriptor) < 0
		       ? arrow_no_memory(error)
		       : 0;
}

static int read_parts(struct oci_image *image, const struct oci_store *store, const char *what,
	const char *architecture, struct arrow_error *error)
{
	_cleanup_free_ char *manifest = NULL, *config = NULL;
	int e = image_choose(image, store, what, architecture, error);

	if (e == 0)
		e = oci_blob_read(store, &image->descriptor, OCI_MANIFEST_MAX, &manifest, error);
	if (e == 0)
		e = oci_manifest_parse(
			&image->manifest, manifest, image->descriptor.size, what, error);
	if (e < 0)
		return e;
	if (strcmp(image->manifest.config.media_type, OCI_TYPE_CONFIG) != 0 &&
		strcmp(image->manifest.config.media_type, DOCKER_TYPE_CONFIG) != 0)
		return arrow_fail(error, ENOTSUP,
			"%s is an artifact of the type '%s', not an image", what,
			image->manifest.artifact_type ? image->manifest.artifact_type
						      : image->manifest.config.media_type);
	e = oci_blob_read(store, &image->manifest.config, OCI_CONFIG_MAX, &config, error);
	if (e == 0)
		e = oci_config_parse(
			&image->config, config, image->manifest.config.size, what, error);
	if (e < 0)
		return e;
	if (image->config.n_diff_ids != image->manifest.n_layers)
		return arrow_fail(error, EBADMSG, "%s has %zu layers and the digests of %zu", what,
			image->manifest.n_layers, image->config.n_diff_ids);
	e = make_chain_id(image);
	return e < 0 ? arrow_fail(error, -e, "%s: %m", what) : 0;
}

int oci_image_read(struct oci_image *image, const struct oci_store *store,
	const struct oci_descriptor *top, const char *what, const char *architecture,
	struct arrow_error *error)
{
	int e;

	*image = (struct oci_image){0};
	if (oci_descriptor_copy(&image->top, top) < 0)
		return arrow_no_memory(error);
	e = read_parts(image, store, what, architecture, error);
	if (e < 0)
		oci_image_release(image);
	return e;
}

void oci_image_release(struct oci_image *image)
{
	oci_descriptor_release(&image->top);
	oci_descriptor_release(&image->descriptor);
	oci_manifest_release(&image->manifest);
	oci_config_release(&image->config);
	free(image->name);
	*image = (struct oci_image){0};
}

/* The line of a whole name; of NAME@DIGEST, any line of that digest whose name fits. */
static const struct oci_entry *find_name(
	const struct oci_entries *entries, const struct oci_reference *r, const char *whole)
{
	_cleanup_free_ char *name = oci_reference_name(r);
	size_t n = name ? strlen(name) : 0;

	for (size_t i = 0; i < entries->n; i++) {
		const struct oci_entry *entry = &entries->v[i];

		if (!entry->name || !name)
			continue;
		if (strcmp(entry->name, whole) == 0)
			return entry;
		if (r->digest && strcmp(entry->descriptor.digest, r->digest) == 0 &&
			strncmp(entry->name, name, n) == 0 && strchr(":@", entry->name[n]))
			return entry;
	}
	return NULL;
}

static bool has_prefix(const char *digest, const char *hex)
{
	return strncmp(digest + strlen("sha256:"), hex, strlen(hex)) == 0;
}

static bool is_id(const char *text)
{
	size_t n = strspn(text, "0123456789abcdef");

	return n >= ID_MIN && n <= 64 && text[n] == '\0';
}

/*
 * The image whose configuration or manifest has digits at its start. Returns 1 if there is one, 0
 * if there is none. Images that are damaged or of another platform have no id here.
 */
static int find_id(struct oci_image *image, const struct oci_store *store,
	const struct oci_entries *entries, const char *hex, const char *architecture,
	struct arrow_error *error)
{
	bool found = false;

	for (size_t i = 0; i < entries->n; i++) {
		_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
		struct oci_image other;

		if (oci_image_read(&other, store, &entries->v[i].descriptor, "image", architecture,
			    &ignored) < 0)
			continue;
		if (!has_prefix(other.manifest.config.digest, hex) &&
			!has_prefix(other.descriptor.digest, hex) &&
			!has_prefix(other.top.digest, hex)) {
			oci_image_release(&other);
			continue;
		}
		if (found &&
			strcmp(image->manifest.config.digest, other.manifest.config.digest) != 0) {
			oci_image_release(&other);
			oci_image_release(image);
			return arrow_fail(error, EINVAL,
				"more than one image has an id that begins with %s: give more of it",
				hex);
		}
		if (found)
			oci_image_release(&other);
		else
			*image = other;
		found = true;
	}
	return found;
}

int oci_image_find(struct oci_image *image, const struct oci_store *store, const char *text,
	const char *architecture, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error invalid = ARROW_ERROR_INIT;
	_cleanup_entries_ struct oci_entries entries = {0};
	_cleanup_reference_ struct oci_reference r = {0};
	const char *hex = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
	_cleanup_free_ char *whole = NULL;
	const struct oci_entry *entry;
	int parsed, e;

	*image = (struct oci_image){0};
	e = oci_store_list(store, &entries, error);
	if (e < 0)
		return e;
	parsed = oci_reference_parse(&r, text, &invalid);
	if (parsed == 0) {
		whole = oci_reference_format(&r);
		if (!whole)
			return arrow_no_memory(error);
		entry = find_name(&entries, &r, whole);
		if (entry) {
			e = oci_image_read(
				image, store, &entry->descriptor, text, architecture, error);
			if (e == 0)
				image->name = STEAL(whole);
			return e;
		}
	}
	if (is_id(hex)) {
		e = find_id(image, store, &entries, hex, architecture, error);
		if (e != 0)
			return e < 0 ? e : 0;
	}
	if (parsed < 0 && !is_id(hex))
		return arrow_fail(error, EINVAL, "%s", invalid.text);
	return arrow_fail(error, ENOENT, "no such image: %s", text);
}
