// SPDX-License-Identifier: Apache-2.0
#include "trust/sign.h"

#include <errno.h>
#include <string.h>

#include "image/oci/image.h"

static int sign_one(const struct oci_store *store, const struct oci_descriptor *d, const char *name,
	const struct trust_key *key, struct arrow_error *error)
{
	_cleanup_descriptor_ struct oci_descriptor manifest = {0};
	_cleanup_signatures_ struct signatures s = {0};
	int e = signature_make(&s, key, d->digest, name, error);

	return e < 0 ? e : signatures_save(&s, store, d, &manifest, error);
}

int trust_sign(const struct oci_store *store, const char *name, const struct trust_key *key,
	char *digest, struct arrow_error *error)
{
	_cleanup_oci_image_ struct oci_image image = {0};
	int e = oci_image_find(&image, store, name, NULL, error);

	if (e < 0)
		return e;
	if (!image.name)
		return arrow_fail(error, EINVAL,
			"cannot sign \"%s\": it is the id of an image; give a name", name);
	e = sign_one(store, &image.top, image.name, key, error);
	if (e == 0 && strcmp(image.top.digest, image.descriptor.digest) != 0)
		e = sign_one(store, &image.descriptor, image.name, key, error);
	if (e == 0 && digest)
		memcpy(digest, image.top.digest, OCI_DIGEST_SIZE);
	return e;
}
