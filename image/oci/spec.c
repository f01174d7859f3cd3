// SPDX-License-Identifier: Apache-2.0
#include "image/oci/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/io.h"

#define MEDIA_TYPE_MAX 255u

void oci_descriptor_release(struct oci_descriptor *d)
{
	free(d->media_type);
	*d = (struct oci_descriptor){0};
}

int oci_descriptor_copy(struct oci_descriptor *to, const struct oci_descriptor *from)
{
	*to = *from;
	to->media_type = strdup(from->media_type ? from->media_type : "");
	return to->media_type ? 0 : -ENOMEM;
}

bool oci_type_is_index(const char *type)
{
	return strcmp(type, OCI_TYPE_INDEX) == 0 || strcmp(type, DOCKER_TYPE_INDEX) == 0;
}

bool oci_type_is_manifest(const char *type)
{
	return strcmp(type, OCI_TYPE_MANIFEST) == 0 || strcmp(type, DOCKER_TYPE_MANIFEST) == 0;
}

int oci_descriptor_read(
	struct oci_descriptor *d, const json_t *json, const char *what, struct arrow_error *error)
{
	const char *type = json_string_value(json_object_get(json, "mediaType"));
	const char *digest = json_string_value(json_object_get(json, "digest"));
	const json_t *size = json_object_get(json, "size");

	*d = (struct oci_descriptor){0};
	if (!digest || !oci_digest_is_valid(digest))
		return arrow_fail(
			error, EBADMSG, "%s has a descriptor without a sha256 digest", what);
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return arrow_fail(error, EBADMSG, "%s has a descriptor without a size", what);
	if (type && strlen(type) > MEDIA_TYPE_MAX)
		return arrow_fail(error, EBADMSG, "%s has a media type that is too long", what);
	memcpy(d->digest, digest, OCI_DIGEST_SIZE);
	d->size = (uint64_t)json_integer_value(size);
	d->media_type = strdup(type ? type : "");
	return d->media_type ? 0 : arrow_no_memory(error);
}

json_t *oci_descriptor_json(const struct oci_descriptor *d)
{
	return json_pack("{s:s, s:s, s:I}", "mediaType", d->media_type, "digest", d->digest, "size",
		(json_int_t)d->size);
}

/* Parses a document that must be an object. */
static json_t *spec_load(
	const char *data, size_t size, size_t max, const char *what, struct arrow_error *error)
{
	json_error_t why;
	json_t *json;

	if (size > max) {
		(void)arrow_fail(error, E2BIG, "%s has %zu bytes, more than the %zu allowed", what,
			size, max);
		return NULL;
	}
	json = json_loadb(data, size, 0, &why);
	if (json_is_object(json))
		return json;
	if (json)
		(void)arrow_fail(error, EBADMSG, "%s is not a JSON object", what);
	else
		(void)arrow_fail(error, EBADMSG, "%s is not valid JSON: %s", what, why.text);
	json_decref(json);
	return NULL;
}

/* A list that is not there, is null or empty. */
static bool is_empty_list(const json_t *list)
{
	return !list || json_is_null(list) || (json_is_array(list) && json_array_size(list) == 0);
}

static bool is_there(const json_t *value)
{
	return value && !json_is_null(value);
}

static int check_schema(const json_t *json, const char *what, struct arrow_error *error)
{
	const json_t *version = json_object_get(json, "schemaVersion");

	/* docker and podman look at the number in nothing that has the fields of schema 2. */
	if (json_integer_value(version) == 1 && !json_object_get(json, "config") &&
		!json_object_get(json, "manifests"))
		return arrow_fail(error, ENOTSUP,
			"%s uses schema 1, which is no longer supported: push it again with a current tool",
			what);
	if (version && !json_is_null(version) && !json_is_integer(version))
		return arrow_fail(
			error, EBADMSG, "%s has a schemaVersion that is not a number", what);
	if (is_there(json_object_get(json, "manifests")) &&
		is_there(json_object_get(json, "layers")))
		return arrow_fail(
			error, EBADMSG, "%s has both layers and manifests, so it is neither", what);
	return 0;
}

static int read_layers(
	struct oci_manifest *m, const json_t *layers, const char *what, struct arrow_error *error)
{
	size_t n = json_array_size(layers), i;
	const json_t *layer;

	if (layers && !json_is_null(layers) && !json_is_array(layers))
		return arrow_fail(error, EBADMSG, "%s has no list of layers", what);
	if (n > OCI_LAYERS_MAX)
		return arrow_fail(error, E2BIG, "%s has %zu layers, more than the %u allowed", what,
			n, OCI_LAYERS_MAX);
	m->layers = calloc(n + 1, sizeof(*m->layers));
	if (!m->layers)
		return arrow_no_memory(error);
	json_array_foreach ((json_t *)layers, i, layer) {
		int e = oci_descriptor_read(&m->layers[i], layer, what, error);

		if (e < 0)
			return e;
		m->n_layers++;
	}
	return 0;
}

/* Only for those who look for signatures: one that cannot be read is none. */
static int read_subject(
	struct oci_manifest *m, const json_t *subject, const char *what, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	int e = oci_descriptor_read(&m->subject, subject, what, &ignored);

	return e == -ENOMEM ? arrow_no_memory(error) : 0;
}

static int read_manifest(
	struct oci_manifest *m, const json_t *json, const char *what, struct arrow_error *error)
{
	const char *type = json_string_value(json_object_get(json, "mediaType"));
	const char *artifact = json_string_value(json_object_get(json, "artifactType"));
	json_t *annotations = json_object_get(json, "annotations"), *value;
	const char *key;
	int e = check_schema(json, what, error);

	if (e < 0)
		return e;
	/* Of other types it is one if it reads as one: some tools write application/json. */
	if (type && oci_type_is_index(type))
		return arrow_fail(error, ENOTSUP, "%s has the type '%s', which is not a manifest",
			what, type);
	m->media_type = strdup(type && oci_type_is_manifest(type) ? type : OCI_TYPE_MANIFEST);
	m->annotations = json_object();
	if (!m->media_type || !m->annotations ||
		(artifact && !(m->artifact_type = strdup(artifact))))
		return arrow_no_memory(error);
	e = oci_descriptor_read(&m->config, json_object_get(json, "config"), what, error);
	if (e == 0)
		e = read_layers(m, json_object_get(json, "layers"), what, error);
	if (e == 0)
		e = read_subject(m, json_object_get(json, "subject"), what, error);
	if (e < 0)
		return e;
	json_object_foreach (annotations, key, value) {
		if (json_is_string(value) && json_object_set(m->annotations, key, value) < 0)
			return arrow_no_memory(error);
	}
	return 0;
}

int oci_manifest_parse(struct oci_manifest *m, const char *data, size_t size, const char *what,
	struct arrow_error *error)
{
	json_t *json = spec_load(data, size, OCI_MANIFEST_MAX, what, error);
	int e;

	*m = (struct oci_manifest){0};
	if (!json)
		return size > OCI_MANIFEST_MAX ? -E2BIG : -EBADMSG;
	e = read_manifest(m, json, what, error);
	json_decref(json);
	if (e < 0)
		oci_manifest_release(m);
	return e;
}

void oci_manifest_release(struct oci_manifest *m)
{
	for (size_t i = 0; i < m->n_layers; i++)
		oci_descriptor_release(&m->layers[i]);
	free(m->layers);
	free(m->media_type);
	free(m->artifact_type);
	oci_descriptor_release(&m->config);
	oci_descriptor_release(&m->subject);
	json_decref(m->annotations);
	*m = (struct oci_manifest){0};
}

static void platform_release(struct oci_platform *p)
{
	free(p->os);
	free(p->architecture);
	free(p->variant);
	*p = (struct oci_platform){0};
}

static char *copy_string(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? strdup(text) : NULL;
}

/*
 * One entry. Returns 1 for what is left out: what has no digest of a kind that Arrow knows can be
 * neither fetched nor checked, and does not keep others from it.
 */
static int read_index_entry(struct oci_index_entry *entry, const json_t *one, const char *what,
	struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	const json_t *platform = json_object_get(one, "platform");
	int e = oci_descriptor_read(&entry->descriptor, one, what, &ignored);

	if (e < 0)
		return e == -ENOMEM ? arrow_no_memory(error) : 1;
	entry->platform.os = copy_string(platform, "os");
	entry->platform.architecture = copy_string(platform, "architecture");
	entry->platform.variant = copy_string(platform, "variant");
	entry->artifact = json_is_string(json_object_get(one, "artifactType"));
	return 0;
}

static int read_index(
	struct oci_index *index, const json_t *json, const char *what, struct arrow_error *error)
{
	const char *type = json_string_value(json_object_get(json, "mediaType"));
	json_t *manifests = json_object_get(json, "manifests"), *one;
	size_t n = json_array_size(manifests), i;
	int e = check_schema(json, what, error);

	if (e < 0)
		return e;
	if (type && !oci_type_is_index(type))
		return arrow_fail(
			error, ENOTSUP, "%s has the type '%s', which is not an index", what, type);
	if (!json_is_array(manifests))
		return arrow_fail(error, EBADMSG, "%s has no manifests", what);
	if (n > OCI_INDEX_MAX)
		return arrow_fail(error, E2BIG, "%s has %zu manifests, more than the %u allowed",
			what, n, OCI_INDEX_MAX);
	index->entries = calloc(n + 1, sizeof(*index->entries));
	if (!index->entries)
		return arrow_no_memory(error);
	json_array_foreach (manifests, i, one) {
		e = read_index_entry(&index->entries[index->n], one, what, error);
		if (e < 0)
			return e;
		if (e == 0)
			index->n++;
		else
			index->unreadable++;
	}
	return 0;
}

int oci_index_parse(struct oci_index *index, const char *data, size_t size, const char *what,
	struct arrow_error *error)
{
	json_t *json = spec_load(data, size, OCI_MANIFEST_MAX, what, error);
	int e;

	*index = (struct oci_index){0};
	if (!json)
		return size > OCI_MANIFEST_MAX ? -E2BIG : -EBADMSG;
	e = read_index(index, json, what, error);
	json_decref(json);
	if (e < 0)
		oci_index_release(index);
	return e;
}

void oci_index_release(struct oci_index *index)
{
	for (size_t i = 0; i < index->n; i++) {
		oci_descriptor_release(&index->entries[i].descriptor);
		platform_release(&index->entries[i].platform);
	}
	free(index->entries);
	*index = (struct oci_index){0};
}

bool oci_data_is_index(const char *data, size_t size)
{
	json_t *json = size <= OCI_MANIFEST_MAX ? json_loadb(data, size, 0, NULL) : NULL;
	bool is = json_is_array(json_object_get(json, "manifests")) &&
		  is_empty_list(json_object_get(json, "layers")) &&
		  !json_is_object(json_object_get(json, "config"));

	json_decref(json);
	return is;
}

const char *oci_host_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#elif defined(__riscv) && __riscv_xlen == 64
	return "riscv64";
#else
#error "name this architecture as OCI does"
#endif
}

/* Names of architectures as the kernel and others have them. */
static const char *common_architecture(const char *name)
{
	static const char *const others[][2] = {
		{"x86_64", "amd64"}, {"x86-64", "amd64"}, {"aarch64", "arm64"}};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (strcasecmp(name, others[i][0]) == 0)
			return others[i][1];
	return name;
}

/* Whether nothing of a platform is said. */
static bool is_any_platform(const struct oci_platform *p)
{
	return (!p->os || !*p->os) && (!p->architecture || !*p->architecture);
}

/*
 * How well an entry fits: 0 not at all. An image for v1 runs on v2, not the other way round. One
 * of which nothing is said is taken where there is no other.
 */
static unsigned int spec_platform_fitness(
	const struct oci_index_entry *entry, const char *architecture, const char *variant)
{
	const struct oci_platform *p = &entry->platform;
	const char *v = p->variant && *p->variant ? p->variant : NULL;

	if (is_any_platform(p))
		return !entry->artifact;
	if ((p->os && *p->os && strcasecmp(p->os, "linux") != 0) || !p->architecture ||
		strcasecmp(common_architecture(p->architecture), architecture) != 0)
		return 0;
	if (!variant)
		/* The base of an architecture first: v8 for arm64, v1 for amd64. */
		return !v || !strcmp(v, "v1") || !strcmp(v, "v8") ? 4 : 2;
	if (v && strcmp(v, variant) == 0)
		return 4;
	return !v || strcmp(v, variant) < 0 ? 3 : 0;
}

const struct oci_index_entry *oci_index_choose(
	const struct oci_index *index, const char *architecture, const char *variant)
{
	const struct oci_index_entry *best = NULL;
	unsigned int best_fit = 0;

	if (!architecture)
		architecture = oci_host_architecture();
	for (size_t i = 0; i < index->n; i++) {
		unsigned int fit = spec_platform_fitness(&index->entries[i], architecture, variant);

		if (fit > best_fit) {
			best = &index->entries[i];
			best_fit = fit;
		}
	}
	return best;
}
