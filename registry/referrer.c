// SPDX-License-Identifier: Apache-2.0
/* Signatures in a registry: cosign's tag, referrers, and the tag schema where there are none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/transfer.h"
#include "util/digest.h"
#include "util/cleanup.h"
#include "util/io.h"

#define COSIGN_SUFFIX ".sig"
#define REFERRERS_MAX 32u /* that are looked at for one image */

/* A payload that comes into memory. */
struct buffer {
	char *data;
	size_t n;
};

static int take_bytes(const void *data, size_t size, void *arg)
{
	struct buffer *b = arg;

	/* registry_get_blob() passes on no more than the descriptor's size. */
	memcpy(b->data + b->n, data, size);
	b->n += size;
	return 0;
}

static int get_payload(struct signatures *s, struct registry *r, struct http *h,
	struct signature_layer *layer, struct arrow_error *error)
{
	const struct oci_descriptor *d = &layer->payload;
	struct buffer b = {.data = calloc(1, (size_t)d->size + 1)};
	const struct blob_sink sink = {take_bytes, &b};
	char hex[DIGEST_HEX];
	int e = b.data ? registry_get_blob(r, h, d, 0, &sink, error) : arrow_no_memory(error);

	if (e == 0 && (digest_data(b.data, b.n, hex) < 0 ||
			      strcmp(d->digest + strlen("sha256:"), hex) != 0))
		e = arrow_fail(error, EBADMSG,
			"a signature came with another digest than %s: it is damaged or forged",
			d->digest);
	if (e == 0 && signatures_add(s, STEAL(b.data), b.n, STEAL(layer->value)) < 0)
		e = arrow_fail(error, E2BIG, "there are more than %u signatures of an image",
			SIGNATURES_MAX);
	free(b.data);
	return e;
}

/* Adds the signatures of one manifest, by tag or digest. A tag that is not there is no error. */
static int get_manifest(struct signatures *s, struct registry *r, struct http *h,
	const char *reference, struct arrow_error *error)
{
	_cleanup_descriptor_ struct oci_descriptor d = {0};
	_cleanup_layers_ struct signature_layers layers = {0};
	_cleanup_free_ char *data = NULL;
	int e = registry_get_manifest(r, h, reference, &d, &data, error);

	if (e == -ENOENT) {
		arrow_error_clear(error);
		return 0;
	}
	if (e == 0)
		e = signature_layers_read(&layers, data, d.size, reference, error);
	for (size_t i = 0; e == 0 && i < layers.n; i++)
		e = get_payload(s, r, h, &layers.v[i], error);
	return e;
}

int transfer_get_signatures(struct signatures *s, struct registry *r, struct http *h,
	const char *digest, struct arrow_error *error)
{
	_cleanup_free_ char *tag = registry_digest_tag(digest, COSIGN_SUFFIX);
	struct oci_descriptor *list = NULL;
	size_t n = 0;
	int e;

	if (!tag)
		return arrow_no_memory(error);
	e = registry_list_referrers(r, h, digest, SIGNATURE_ARTIFACT_TYPE, &list, &n, error);
	for (size_t i = 0; e == 0 && i < n && i < REFERRERS_MAX; i++)
		e = get_manifest(s, r, h, list[i].digest, error);
	for (size_t i = 0; i < n; i++)
		oci_descriptor_release(&list[i]);
	free(list);
	return e < 0 ? e : get_manifest(s, r, h, tag, error);
}

static int put_blob(const struct transfer_options *o, struct registry *r, struct http *h,
	const struct oci_descriptor *d, struct arrow_error *error)
{
	_cleanup_close_ int fd = -1;
	enum blob_result result;
	int e = oci_blob_open(o->store, d->digest, &fd, error);

	return e < 0 ? e : registry_put_blob(r, h, d, fd, NULL, NULL, NULL, &result, error);
}

/*
 * Adds a manifest to the index that stands for the list of referrers (distribution-spec, "Referrers
 * Tag Schema").
 */
static int add_to_tag(struct registry *r, struct http *h, const struct oci_descriptor *image,
	const struct oci_descriptor *manifest, struct arrow_error *error)
{
	_cleanup_free_ char *tag = registry_digest_tag(image->digest, "");
	_cleanup_descriptor_ struct oci_descriptor old = {0};
	struct oci_descriptor d = {.media_type = (char *)OCI_TYPE_INDEX};
	_cleanup_free_ char *data = NULL, *text = NULL;
	json_t *index = NULL, *manifests, *line;
	size_t i;
	int e = tag ? registry_get_manifest(r, h, tag, &old, &data, error) : arrow_no_memory(error);

	if (e < 0 && e != -ENOENT)
		return e;
	arrow_error_clear(error);
	if (data)
		index = json_loadb(data, old.size, 0, NULL);
	if (!json_is_array(json_object_get(index, "manifests"))) {
		json_decref(index);
		index = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
			OCI_TYPE_INDEX, "manifests");
	}
	manifests = json_object_get(index, "manifests");
	json_array_foreach (manifests, i, line) {
		const char *known = json_string_value(json_object_get(line, "digest"));

		if (known && strcmp(known, manifest->digest) == 0) {
			json_decref(index);
			return 0;
		}
	}
	line = oci_descriptor_json(manifest);
	json_object_set_new(line, "artifactType", json_string(SIGNATURE_ARTIFACT_TYPE));
	json_array_append_new(manifests, line);
	text = json_dumps(index, JSON_COMPACT);
	json_decref(index);
	if (!text ||
		digest_data(text, strlen(text), d.digest + strlen(strcpy(d.digest, "sha256:"))) < 0)
		return arrow_no_memory(error);
	d.size = strlen(text);
	return registry_put_manifest(r, h, tag, &d, text, NULL, error);
}

int transfer_put_signatures(const struct transfer_options *o, struct registry *r, struct http *h,
	const struct oci_descriptor *image, size_t *n, struct arrow_error *error)
{
	_cleanup_free_ char *tag = registry_digest_tag(image->digest, COSIGN_SUFFIX), *data = NULL;
	_cleanup_descriptor_ struct oci_descriptor manifest = {0};
	_cleanup_signatures_ struct signatures s = {0};
	_cleanup_manifest_ struct oci_manifest m = {0};
	bool lists_referrers = false;
	size_t own;
	int e = tag ? signatures_load(&s, o->store, image->digest, error) : arrow_no_memory(error);

	*n = 0;
	own = s.n;
	if (e < 0 || own == 0)
		return e;
	/* Those of others stay beside ours. */
	e = get_manifest(&s, r, h, tag, error);
	if (e == 0)
		e = signatures_save(&s, o->store, image, &manifest, error);
	if (e == 0)
		e = oci_blob_read(o->store, &manifest, OCI_MANIFEST_MAX, &data, error);
	if (e == 0)
		e = oci_manifest_parse(&m, data, manifest.size, tag, error);
	for (size_t i = 0; e == 0 && i < m.n_layers; i++)
		e = put_blob(o, r, h, &m.layers[i], error);
	if (e == 0)
		e = put_blob(o, r, h, &m.config, error);
	if (e == 0)
		e = registry_put_manifest(r, h, tag, &manifest, data, &lists_referrers, error);
	if (e == 0 && !lists_referrers)
		e = add_to_tag(r, h, image, &manifest, error);
	*n = s.n;
	return e;
}
