// SPDX-License-Identifier: Apache-2.0
/* Manifests, tags and referrers: what is small and kept in memory. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "registry/client.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"

#define TAGS_MAX 20000u
#define TAG_PAGES_MAX 200u
#define TAG_ANSWER_MAX (4u << 20)

static const char *const manifest_types[] = {"Accept: " OCI_TYPE_MANIFEST,
	"Accept: " OCI_TYPE_INDEX, "Accept: " DOCKER_TYPE_MANIFEST, "Accept: " DOCKER_TYPE_INDEX,
	NULL};

/* "the image NAME:TAG" */
static char *image_text(const struct registry *r, const char *reference)
{
	return path_format(
		"image %s%s%s", r->repository, strchr(reference, ':') ? "@" : ":", reference);
}

/* The media type: what the document says, else the header, else what it looks like. */
static char *find_type(const struct http_reply *reply)
{
	json_t *json = json_loadb(reply->body, reply->size, JSON_REJECT_DUPLICATES, NULL);
	const char *type = json_string_value(json_object_get(json, "mediaType"));
	char *copy;

	if (!type || !*type)
		type = reply->type;
	if (!type || (!oci_type_is_index(type) && !oci_type_is_manifest(type)))
		type = oci_data_is_index(reply->body, reply->size)      ? OCI_TYPE_INDEX
		       : json_object_get(json, "schemaVersion") != NULL ? OCI_TYPE_MANIFEST
									: "";
	copy = strdup(type);
	json_decref(json);
	return copy;
}

int registry_get_manifest(struct registry *r, struct http *h, const char *reference,
	struct oci_descriptor *d, char **data, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("/v2/%s/manifests/%s", r->repository, reference);
	_cleanup_free_ char *what = image_text(r, reference);
	const struct http_request q = {
		.method = "GET", .headers = manifest_types, .limit = OCI_MANIFEST_MAX};
	_cleanup_reply_ struct http_reply reply = {0};
	enum http_failure failure;
	char hex[DIGEST_HEX];
	int e;

	if (!path || !what)
		return arrow_no_memory(error);
	e = registry_request(r, h, path, &q, &reply, NULL, &failure, error);
	if (e == -EMSGSIZE)
		return arrow_error_prefix(error, e, "cannot get the manifest of the %s", what);
	if (e < 0)
		return e;
	if (reply.status != 200)
		return registry_fail(r, what, &reply, error);
	if (!reply.body || digest_data(reply.body, reply.size, hex) < 0)
		return arrow_fail(
			error, EBADMSG, "the manifest of the %s at %s is empty", what, r->host);
	*d = (struct oci_descriptor){.size = reply.size};
	snprintf(d->digest, sizeof(d->digest), "sha256:%s", hex);
	/* The registry's own word counts, too, where it gives one that we can check. */
	if ((strchr(reference, ':') && strcmp(reference, d->digest) != 0) ||
		(reply.digest && oci_digest_is_valid(reply.digest) &&
			strcmp(reply.digest, d->digest) != 0))
		return arrow_fail(error, EBADMSG,
			"the manifest of the %s came with another digest than %s: it is damaged or forged",
			what, strchr(reference, ':') ? reference : reply.digest);
	d->media_type = find_type(&reply);
	if (!d->media_type)
		return arrow_no_memory(error);
	*data = STEAL(reply.body);
	return 0;
}

int registry_put_manifest(struct registry *r, struct http *h, const char *reference,
	const struct oci_descriptor *d, const char *data, bool *subject, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("/v2/%s/manifests/%s", r->repository, reference);
	_cleanup_free_ char *type = path_format("Content-Type: %s", d->media_type);
	const char *headers[] = {type, NULL};
	const struct http_request q = {.method = "PUT",
		.headers = headers,
		.body = data,
		.body_size = d->size,
		.has_body = true};
	_cleanup_free_ char *what = image_text(r, reference);
	_cleanup_reply_ struct http_reply reply = {0};
	enum http_failure failure;
	int e;

	if (!path || !type || !what)
		return arrow_no_memory(error);
	e = registry_request(r, h, path, &q, &reply, NULL, &failure, error);
	if (e < 0)
		return e;
	if (!reply_is_success(reply.status))
		return registry_fail(r, what, &reply, error);
	if (reply.digest && oci_digest_is_valid(reply.digest) &&
		strcmp(reply.digest, d->digest) != 0)
		return arrow_fail(error, EBADMSG,
			"%s stores the %s as %s, not as %s: ask who runs it", r->host, what,
			reply.digest, d->digest);
	if (subject)
		*subject = reply.subject != NULL;
	return 0;
}

/* Adds the tags of one page. */
static int add_tags(const struct http_reply *reply, char ***tags, size_t *n)
{
	json_t *json = reply->body ? json_loadb(reply->body, reply->size, 0, NULL) : NULL;
	json_t *list = json_object_get(json, "tags"), *tag;
	size_t i, count = json_array_size(list);
	int e = json_is_object(json) && (!list || json_is_array(list) || json_is_null(list))
			? 0
			: -EBADMSG;
	char **more = NULL;

	if (e == 0 && count + *n > TAGS_MAX)
		e = -E2BIG;
	if (e == 0 && !(more = realloc(*tags, (*n + count + 1) * sizeof(**tags))))
		e = -ENOMEM;
	if (more) {
		*tags = more;
		more[*n] = NULL;
	}
	json_array_foreach (list, i, tag) {
		const char *text = json_string_value(tag);

		if (e < 0 || !text)
			continue;
		more[*n] = strdup(text);
		if (!more[*n])
			e = -ENOMEM;
		else
			more[++*n] = NULL;
	}
	json_decref(json);
	return e;
}

int registry_list_tags(struct registry *r, struct http *h, char ***tags, struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("/v2/%s/tags/list", r->repository);
	const struct http_request q = {.method = "GET", .limit = TAG_ANSWER_MAX};
	_cleanup_strv_ char **list = NULL;
	size_t n = 0;

	for (unsigned int page = 0; path; page++) {
		_cleanup_reply_ struct http_reply reply = {0};
		enum http_failure failure;
		int e = registry_request(r, h, path, &q, &reply, NULL, &failure, error);

		if (e < 0)
			return e;
		if (reply.status != 200) {
			_cleanup_free_ char *what = path_format("image %s", r->repository);

			return registry_fail(r, what ? what : "image", &reply, error);
		}
		e = add_tags(&reply, &list, &n);
		if (e == -E2BIG || (e == 0 && page >= TAG_PAGES_MAX))
			return arrow_fail(error, E2BIG,
				"%s has more than %u tags of %s, or sends them on more than %u pages: pull them one by one",
				r->host, TAGS_MAX, r->repository, TAG_PAGES_MAX);
		if (e < 0)
			return arrow_fail(error, -e,
				"%s sent an unusable list of the tags of %s: it is damaged",
				r->host, r->repository);
		free(path);
		path = STEAL(reply.link);
	}
	if (!list)
		return arrow_no_memory(error);
	*tags = STEAL(list);
	return 0;
}

char *registry_digest_tag(const char *digest, const char *suffix)
{
	const char *hex = strchr(digest, ':');

	return hex ? path_format("%.*s-%s%s", (int)(hex - digest), digest, hex + 1, suffix) : NULL;
}

/* Takes the descriptors of a type out of an index of referrers. */
static int read_referrers(const char *body, size_t size, const char *type, const char *what,
	struct oci_descriptor **list, size_t *n, struct arrow_error *error)
{
	json_t *json = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *manifests = json_object_get(json, "manifests"), *one;
	size_t i, count = json_array_size(manifests);
	struct oci_descriptor *found = NULL;
	int e = 0;

	*n = 0;
	if (!json_is_array(manifests) || count > OCI_INDEX_MAX)
		e = arrow_fail(error, EBADMSG, "%s is not a list of manifests", what);
	else if (!(found = calloc(count + 1, sizeof(*found))))
		e = arrow_no_memory(error);
	json_array_foreach (manifests, i, one) {
		const char *t = json_string_value(json_object_get(one, "artifactType"));

		if (e == 0 && t && strcmp(t, type) == 0) {
			e = oci_descriptor_read(&found[*n], one, what, error);
			*n += e == 0;
		}
	}
	json_decref(json);
	if (e < 0) {
		for (i = 0; i < *n; i++)
			oci_descriptor_release(&found[i]);
		free(found);
		return e;
	}
	*list = found;
	return 0;
}

int registry_list_referrers(struct registry *r, struct http *h, const char *digest,
	const char *type, struct oci_descriptor **list, size_t *n, struct arrow_error *error)
{
	static const char *const headers[] = {"Accept: " OCI_TYPE_INDEX, NULL};
	_cleanup_free_ char *what = path_format("the list of what refers to %s", digest);
	_cleanup_free_ char *path = path_format("/v2/%s/referrers/%s", r->repository, digest);
	_cleanup_free_ char *tag = registry_digest_tag(digest, "");
	const struct http_request q = {
		.method = "GET", .headers = headers, .limit = OCI_MANIFEST_MAX};
	_cleanup_reply_ struct http_reply reply = {0};
	enum http_failure failure;
	int e;

	*list = NULL;
	*n = 0;
	if (!what || !path || !tag)
		return arrow_no_memory(error);
	e = registry_request(r, h, path, &q, &reply, NULL, &failure, error);
	if (e < 0)
		return e;
	if (reply.status != 200 || !reply.body) {
		/* The registry knows no such list: a tag may stand for it. */
		http_reply_release(&reply);
		free(path);
		path = path_format("/v2/%s/manifests/%s", r->repository, tag);
		if (!path)
			return arrow_no_memory(error);
		e = registry_request(r, h, path, &q, &reply, NULL, &failure, error);
		if (e < 0 || reply.status == 404)
			return e;
	}
	if (reply.status != 200 || !reply.body)
		return registry_fail(r, what, &reply, error);
	return read_referrers(reply.body, reply.size, type, what, list, n, error);
}
