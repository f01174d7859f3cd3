/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_CLIENT_H
#define ARROW_REGISTRY_CLIENT_H

/*
 * One repository of one registry, spoken to by the OCI distribution specification 1.1
 * (github.com/opencontainers/distribution-spec), which is Docker's Registry HTTP API V2 with
 * referrers; authentication by Docker's token specification (distribution, "Token
 * Authentication") or Basic.
 */

#include "image/oci/spec.h"
#include "registry/reply.h"
#include "registry/session.h"

/*
 * Finds the credentials and asks the registry for its API, over TLS; over plain HTTP only where
 * the host is this machine or the user allows it, and it does not speak TLS.
 *   credentials: to use instead of the stored ones, taken over; or NULL
 * Errors: those of http_perform(), -ENOENT (no registry there).
 */
int registry_open(struct registry *r, struct http *h, const char *host, const char *repository,
	struct credentials *credentials, const struct registry_options *options,
	struct arrow_error *error) ARROW_MUST_CHECK;
void registry_release(struct registry *r);
#define _cleanup_registry_ __attribute__((cleanup(registry_release)))

/*
 * Does one request, with authorization, retries of what may pass, and redirects of GET and HEAD.
 * Authorization goes to the registry's own host only.
 *   path: "/v2/..." or a whole URL that the registry gave
 *   request: method, headers, body, sinks; url and authorization are filled in here
 * A status below 400, or 404, is a success; what else there is becomes an error.
 * What streams, to sink() or from a file, is not repeated from its start: a failure that may pass
 * is returned with *failure HTTP_BROKEN, for the caller to go on in its own way with `attempts`.
 * Errors: -EACCES, -EIO, those of http_perform().
 */
int registry_request(struct registry *r, struct http *h, const char *path,
	const struct http_request *request, struct http_reply *reply, struct attempts *attempts,
	enum http_failure *failure, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Gets a manifest or an image index, checked against its digest.
 *   reference: a tag or digest
 *   descriptor: what it is; a media type that is not said is taken from the document
 *   data: ends with a NUL; owned by the caller
 * Errors: -ENOENT (there is none), -EBADMSG (another digest or type than asked for), -EMSGSIZE.
 */
int registry_get_manifest(struct registry *r, struct http *h, const char *reference,
	struct oci_descriptor *descriptor, char **data, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Puts one. *subject, if not NULL, gets whether the registry lists referrers by itself.
 */
int registry_put_manifest(struct registry *r, struct http *h, const char *reference,
	const struct oci_descriptor *descriptor, const char *data, bool *subject,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The tags of the repository; NULL-terminated, owned by the caller. -ENOENT: no repository. */
int registry_list_tags(struct registry *r, struct http *h, char ***tags,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The manifests that refer to one (distribution-spec, "Listing Referrers", and the tag schema where
 * the registry has no such list). None is a success. Owned by the caller.
 *   type: only of this artifact type
 */
int registry_list_referrers(struct registry *r, struct http *h, const char *digest,
	const char *type, struct oci_descriptor **list, size_t *n,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The tag that stands for a digest in the tag schema: "sha256-HEX" and a suffix. */
char *registry_digest_tag(const char *digest, const char *suffix) ARROW_MUST_CHECK;

/* Where the bytes of a blob go. Returns 0, or a negative errno with the error set. */
struct blob_sink {
	int (*take)(const void *data, size_t size, void *arg);
	void *arg;
};

/*
 * Gets a blob from byte `at` on, over breaks of the connection. Not one byte more than it has is
 * passed on. Whether the digest is right is for the sink's owner to check.
 */
int registry_get_blob(struct registry *r, struct http *h, const struct oci_descriptor *blob,
	uint64_t at, const struct blob_sink *sink, struct arrow_error *error) ARROW_MUST_CHECK;

/* What became of a blob that was to be pushed. */
enum blob_result {
	BLOB_PUSHED,
	BLOB_EXISTS,
	BLOB_MOUNTED,
};

/*
 * Brings a blob to the repository, unless it is there.
 *   fd:   holds it
 *   from: another repository of the same registry that may have it, or NULL
 *   sent: called with the bytes that were sent so far, or NULL
 */
int registry_put_blob(struct registry *r, struct http *h, const struct oci_descriptor *blob, int fd,
	const char *from, void (*sent)(uint64_t bytes, void *arg), void *arg,
	enum blob_result *result, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
