/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TRUST_POLICY_H
#define ARROW_TRUST_POLICY_H

/*
 * Which images may be pulled and run: a file in the format of containers-policy.json(5), of which
 * the types insecureAcceptAnything, reject and sigstoreSigned (with keyPath, keyPaths, keyData and
 * signedIdentity) are understood. What is not understood is refused, never passed over.
 */

#include <jansson.h>
#include <stdbool.h>

#include "image/oci/image.h"
#include "trust/signature.h"

struct trust_policy {
	char *path;   /* owned; NULL where there is no policy, and all is accepted */
	json_t *json; /* owned */
};

/*
 * Reads DATA/policy.json, or /etc/arrow/policy.json where that is missing. Neither is a success.
 * Errors: it cannot be read, or is not a policy.
 */
int trust_policy_load(
	struct trust_policy *policy, const char *data, struct arrow_error *error) ARROW_MUST_CHECK;
void trust_policy_release(struct trust_policy *policy);
#define _cleanup_policy_ __attribute__((cleanup(trust_policy_release)))

/*
 * Whether an image of that name needs signatures, so that they are worth fetching.
 *   name: the whole reference, or NULL for an image without a name
 */
bool trust_policy_wants_signatures(const struct trust_policy *policy, const char *name);

/*
 * Checks an image.
 *   digests: of what the name stands for: of the index, if there is one, and of the manifest;
 *            NULL-terminated. A signature of any of them counts.
 *   signatures: all that are known of them
 * Errors: -EKEYREJECTED: it is rejected, or not signed as it must be.
 */
int trust_policy_check(const struct trust_policy *policy, const char *name,
	const char *const *digests, const struct signatures *signatures,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The same for one key, as of --verify: a signature by it for the repository of `name`. */
int trust_key_check(const struct trust_key *key, const char *name, const char *const *digests,
	const struct signatures *signatures, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Checks an image of the store, for who is about to run it. Costs one look for a file where
 * there is no policy.
 *   asked: what the user called it: a name, whose rules count, or an id; then the image is as good
 *          as the best of the names that it has
 */
int trust_check_image(const char *data, const struct oci_store *store,
	const struct oci_image *image, const char *asked,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
