/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TRUST_SIGN_H
#define ARROW_TRUST_SIGN_H

#include "image/oci/store.h"
#include "trust/signature.h"

/*
 * Signs an image of the store, beside the signatures that it has; a push takes them along.
 *   name: a reference; the signature is for that name
 *   key:  a private key
 * Of an image index both the index and the manifest for this host are signed.
 * *digest, if not NULL, is set to what was signed: OCI_DIGEST_SIZE bytes.
 * Errors: -ENOENT (no such image), -EINVAL (an id, which is no name), a full disk.
 */
int trust_sign(const struct oci_store *store, const char *name, const struct trust_key *key,
	char *digest, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
