// SPDX-License-Identifier: Apache-2.0
/* Signatures in the store: the layers of a manifest whose subject is the image. */
#include "trust/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/digest.h"

void signatures_release(struct signatures *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].payload);
		free(s->v[i].value);
	}
	free(s->v);
	*s = (struct signatures){0};
}

int signatures_add(struct signatures *s, char *payload, size_t size, char *value)
{
	struct signature one = {.payload = payload, .size = size, .value = value};
	struct signature *more;
	char hex[DIGEST_HEX];
	int e = s->n < SIGNATURES_MAX ? digest_data(payload, size, hex) : -E2BIG;
	bool known = false;

	snprintf(one.digest, sizeof(one.digest), "sha256:%s", e == 0 ? hex : "");
	for (size_t i = 0; e == 0 && i < s->n; i++)
		known |= strcmp(s->v[i].digest, one.digest) == 0 &&
			 strcmp(s->v[i].value, value) == 0;
	more = e == 0 && !known ? realloc(s->v, (s->n + 1) * sizeof(*more)) : NULL;
	if (!more) {
		free(payload);
		free(value);
		return known ? 0 : e < 0 ? e : -ENOMEM;
	}
	s->v = more;
	s->v[s->n++] = one;
	return 0;
}

void signature_layers_release(struct signature_layers *layers)
{
	for (size_t i = 0; i < layers->n; i++) {
		oci_descriptor_release(&layers->v[i].payload);
		free(layers->v[i].value);
	}
	free(layers->v);
	*layers = (struct signature_layers){0};
}

static int read_layer(struct signature_layers *layers, const json_t *layer, const char *what,
	struct arrow_error *error)
{
	const json_t *annotations = json_object_get(layer, "annotations");
	const char *value = json_string_value(json_object_get(annotations, SIGNATURE_ANNOTATION));
	const char *type = json_string_value(json_object_get(layer, "mediaType"));
	struct signature_layer *one = &layers->v[layers->n];
	int e;

	/* A manifest may hold other things; those are no signatures. */
	if (!value || !type || strcmp(type, SIGNATURE_PAYLOAD_TYPE) != 0)
		return 0;
	e = oci_descriptor_read(&one->payload, layer, what, error);
	if (e < 0)
		return e;
	layers->n++;
	one->value = strdup(value);
	if (!one->value)
		return arrow_no_memory(error);
	if (one->payload.size > SIGNATURE_PAYLOAD_MAX)
		return arrow_fail(error, E2BIG, "%s has a payload of more than %u bytes", what,
			SIGNATURE_PAYLOAD_MAX);
	return 0;
}

int signature_layers_read(struct signature_layers *layers, const char *manifest, size_t size,
	const char *what, struct arrow_error *error)
{
	json_t *json = json_loadb(manifest, size, JSON_REJECT_DUPLICATES, NULL), *layer;
	const json_t *list = json_object_get(json, "layers");
	size_t i, n = json_array_size(list);
	int e = 0;

	*layers = (struct signature_layers){0};
	if (!json_is_array(list))
		e = arrow_fail(error, EBADMSG, "%s is not a manifest of signatures", what);
	else if (n > SIGNATURES_MAX)
		e = arrow_fail(error, E2BIG, "%s has %zu signatures, more than the %u allowed",
			what, n, SIGNATURES_MAX);
	else if (!(layers->v = calloc(n + 1, sizeof(*layers->v))))
		e = arrow_no_memory(error);
	json_array_foreach (list, i, layer) {
		if (e == 0)
			e = read_layer(layers, layer, what, error);
	}
	json_decref(json);
	if (e < 0)
		signature_layers_release(layers);
	return e;
}

/* Adds the signatures of one manifest of the store. */
static int load_manifest(struct signatures *s, const struct oci_store *store, const char *data,
	size_t size, const char *what, struct arrow_error *error)
{
	_cleanup_layers_ struct signature_layers layers = {0};
	int e = signature_layers_read(&layers, data, size, what, error);

	for (size_t i = 0; e == 0 && i < layers.n; i++) {
		struct signature_layer *one = &layers.v[i];
		char *payload;

		e = oci_blob_read(store, &one->payload, SIGNATURE_PAYLOAD_MAX, &payload, error);
		if (e == 0 && signatures_add(s, payload, one->payload.size, STEAL(one->value)) < 0)
			e = arrow_no_memory(error);
	}
	return e;
}

/*
 * Calls back for each manifest of signatures that the store has of an image. Those that cannot be
 * read are passed over: without them the image counts as unsigned.
 */
static int each_manifest(const struct oci_store *store, const char *digest,
	int (*call)(const struct oci_descriptor *d, const char *data, void *arg), void *arg,
	struct arrow_error *error)
{
	_cleanup_entries_ struct oci_entries entries = {0};
	int e = oci_store_list(store, &entries, error);

	for (size_t i = 0; e == 0 && i < entries.n; i++) {
		const struct oci_descriptor *d = &entries.v[i].descriptor;
		_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
		_cleanup_manifest_ struct oci_manifest manifest = {0};
		_cleanup_free_ char *data = NULL;

		if (entries.v[i].name || !oci_type_is_manifest(d->media_type) ||
			oci_blob_read(store, d, OCI_MANIFEST_MAX, &data, &ignored) < 0 ||
			oci_manifest_parse(&manifest, data, d->size, d->digest, &ignored) < 0 ||
			!manifest.subject.media_type ||
			strcmp(manifest.subject.digest, digest) != 0 || !manifest.artifact_type ||
			strcmp(manifest.artifact_type, SIGNATURE_ARTIFACT_TYPE) != 0)
			continue;
		e = call(d, data, arg);
	}
	return e;
}

struct load {
	struct signatures *s;
	const struct oci_store *store;
	struct arrow_error *error;
};

static int load_one(const struct oci_descriptor *d, const char *data, void *arg)
{
	struct load *l = arg;

	return load_manifest(l->s, l->store, data, d->size, d->digest, l->error);
}

int signatures_load(struct signatures *s, const struct oci_store *store, const char *digest,
	struct arrow_error *error)
{
	struct load l = {s, store, error};

	return each_manifest(store, digest, load_one, &l, error);
}

struct forget {
	const struct oci_store *store;
	const char *keep;
	struct arrow_error *error;
};

static int forget_one(const struct oci_descriptor *d, const char *data, void *arg)
{
	struct forget *f = arg;

	return strcmp(d->digest, f->keep) == 0
		       ? 0
		       : oci_store_forget(f->store, d->digest, NULL, NULL, f->error);
}

/* A configuration such as cosign makes: readers of images take it for one of an empty image. */
static int put_config(const struct signatures *s, const struct oci_store *store,
	struct oci_descriptor *config, struct arrow_error *error)
{
	json_t *ids = json_array(), *json;
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(ids, json_string(s->v[i].digest));
	json = json_pack("{s:s, s:s, s:s, s:{}, s:{s:s, s:o}}", "architecture", "", "os", "",
		"created", "0001-01-01T00:00:00Z", "config", "rootfs", "type", "layers", "diff_ids",
		ids);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return arrow_no_memory(error);
	return oci_blob_put(
		store, SIGNATURE_ARTIFACT_TYPE, text, strlen(text), NULL, config, error);
}

/* Stores the payloads. Returns the list of layers, or NULL with the error set. */
static json_t *put_layers(
	const struct signatures *s, const struct oci_store *store, struct arrow_error *error)
{
	json_t *layers = json_array();

	for (size_t i = 0; layers && i < s->n; i++) {
		const struct signature *one = &s->v[i];
		_cleanup_descriptor_ struct oci_descriptor d = {0};
		json_t *layer;

		if (oci_blob_put(store, SIGNATURE_PAYLOAD_TYPE, one->payload, one->size, NULL, &d,
			    error) < 0) {
			json_decref(layers);
			return NULL;
		}
		layer = oci_descriptor_json(&d);
		json_object_set_new(
			layer, "annotations", json_pack("{s:s}", SIGNATURE_ANNOTATION, one->value));
		json_array_append_new(layers, layer);
	}
	if (!layers)
		(void)arrow_no_memory(error);
	return layers;
}

/* Who adds signatures reads those that are there and replaces them, one after the other. */
static int lock_signatures(const struct oci_store *store, struct arrow_error *error)
{
	_cleanup_close_ int fd = openat(
		store->fd, "signatures.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			close(steal_fd(&fd));
	return fd < 0 ? arrow_fail(error, errno, "cannot lock %s/signatures.lock: %m", store->path)
		      : steal_fd(&fd);
}

int signatures_save(struct signatures *s, const struct oci_store *store,
	const struct oci_descriptor *subject, struct oci_descriptor *manifest,
	struct arrow_error *error)
{
	_cleanup_descriptor_ struct oci_descriptor config = {0};
	struct forget f = {.store = store, .error = error};
	_cleanup_close_ int lock = lock_signatures(store, error);
	_cleanup_free_ char *text = NULL;
	json_t *json, *layers;
	int e = lock < 0 ? lock : signatures_load(s, store, subject->digest, error);

	*manifest = (struct oci_descriptor){0};
	if (e == 0)
		e = put_config(s, store, &config, error);
	if (e < 0)
		return e;
	layers = put_layers(s, store, error);
	if (!layers)
		return -EIO;
	json = json_pack("{s:i, s:s, s:s, s:o, s:o, s:o}", "schemaVersion", 2, "mediaType",
		OCI_TYPE_MANIFEST, "artifactType", SIGNATURE_ARTIFACT_TYPE, "config",
		oci_descriptor_json(&config), "layers", layers, "subject",
		oci_descriptor_json(subject));
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return arrow_no_memory(error);
	e = oci_blob_put(store, OCI_TYPE_MANIFEST, text, strlen(text), NULL, manifest, error);
	if (e == 0)
		e = oci_store_keep(store, manifest, error);
	/* Only now: at any moment those there were are there. */
	f.keep = manifest->digest;
	if (e == 0)
		e = each_manifest(store, subject->digest, forget_one, &f, error);
	if (e < 0)
		oci_descriptor_release(manifest);
	return e;
}
