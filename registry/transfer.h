/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_TRANSFER_H
#define ARROW_REGISTRY_TRANSFER_H

/* Whole images between a registry and the store. */

#include <stdio.h>

#include "image/oci/store.h"
#include "registry/client.h"
#include "trust/policy.h"

struct transfer_options {
	const struct oci_store *store;
	const struct registry_options *registry;
	volatile sig_atomic_t *stop; /* what registry->http.cancel points to */
	const struct trust_policy *policy;
	const struct trust_key *verify; /* of --verify, or NULL */
	const char *architecture;       /* of --platform, or NULL for this host's */
	const char *variant;            /* or NULL */
	FILE *out;                      /* for what is done, line by line; NULL for quiet */
};

/*
 * Pulls one image and gives it its name. Nothing refers to it before all of it is there, checked
 * against its digests and, where the policy or `verify` wants that, its signatures.
 *   reference: with the tag or digest to pull
 * Errors: those of the registry; -ENOENT (no image for the platform), -EBADMSG (wrong digests),
 * -EKEYREJECTED (the policy), -ENOSPC.
 */
int transfer_pull(const struct transfer_options *options, struct registry *r, struct http *h,
	const struct oci_reference *reference, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Pushes one image by its name, with its signatures. Of an image index of which not all manifests
 * are here, the one for the platform is pushed.
 */
int transfer_push(const struct transfer_options *options, struct registry *r, struct http *h,
	const struct oci_reference *reference, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Fetches the signatures of an image: referrers, and the tag that cosign uses. Payloads and
 * manifests of a wrong digest or size are errors; none at all is a success.
 */
int transfer_get_signatures(struct signatures *s, struct registry *r, struct http *h,
	const char *digest, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Pushes the signatures that the store has of an image, beside those that the registry has.
 * *n is how many there are then.
 */
int transfer_put_signatures(const struct transfer_options *options, struct registry *r,
	struct http *h, const struct oci_descriptor *image, size_t *n,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
