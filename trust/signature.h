/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TRUST_SIGNATURE_H
#define ARROW_TRUST_SIGNATURE_H

/*
 * Signatures of images in cosign's format (sigstore/cosign, specs/SIGNATURE_SPEC.md): the payload
 * is a JSON document in the "simple signing" format of containers/image that names the image's
 * manifest by digest, signed by ed25519 or by ECDSA with SHA-256. They are kept beside the image as
 * the layers of an OCI manifest that has the image as its subject.
 */

#include <stdbool.h>

#include "image/oci/store.h"
#include "util/error.h"

#define SIGNATURE_PAYLOAD_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"
#define SIGNATURE_ARTIFACT_TYPE "application/vnd.dev.cosign.artifact.sig.v1+json"
#define SIGNATURE_ANNOTATION "dev.cosignproject.cosign/signature"
#define SIGNATURE_PAYLOAD_MAX 65536u
#define SIGNATURES_MAX 128u /* of one image */

/* A key, private or public: ed25519 or ECDSA on P-256 or P-384. */
struct trust_key {
	void *key;  /* EVP_PKEY; owned */
	char *name; /* its file, for people; owned */
};

/* Reads a PEM file. A private key with a password asks for it on the terminal. */
int trust_key_read_private(
	struct trust_key *key, const char *path, struct arrow_error *error) ARROW_MUST_CHECK;
int trust_key_read_public(
	struct trust_key *key, const char *path, struct arrow_error *error) ARROW_MUST_CHECK;
/* The same from memory; name is for people. */
int trust_key_parse_public(struct trust_key *key, const char *pem, size_t size, const char *name,
	struct arrow_error *error) ARROW_MUST_CHECK;
void trust_key_release(struct trust_key *key);
#define _cleanup_key_ __attribute__((cleanup(trust_key_release)))

struct signature {
	char *payload; /* owned; ends with a NUL that is not counted */
	size_t size;
	char digest[OCI_DIGEST_SIZE]; /* of the payload */
	char *value;                  /* base64, as it stands in the manifest; owned */
};

struct signatures {
	struct signature *v;
	size_t n;
};

void signatures_release(struct signatures *s);
#define _cleanup_signatures_ __attribute__((cleanup(signatures_release)))

/* Adds one unless it is there; takes over payload and value, also when it fails (-ENOMEM, -E2BIG).
 */
int signatures_add(struct signatures *s, char *payload, size_t size, char *value) ARROW_MUST_CHECK;

/*
 * Signs.
 *   digest:    of the manifest or index
 *   reference: what is signed, "docker.io/library/busybox:latest"
 */
int signature_make(struct signatures *s, const struct trust_key *key, const char *digest,
	const char *reference, struct arrow_error *error) ARROW_MUST_CHECK;

/* What a payload says. All owned. */
struct signature_claim {
	char *digest;
	char *reference;
};
void signature_claim_release(struct signature_claim *claim);

/*
 * Whether a key made a signature; then *claim is what it says, else nothing. Returns 1, 0, or
 * -ENOMEM. A payload that is signed and no image signature counts as 0.
 */
int signature_verify(const struct signature *s, const struct trust_key *key,
	struct signature_claim *claim) ARROW_MUST_CHECK;

/*
 * The layers of a manifest that are signatures: payload descriptors and values, for who fetches
 * the payloads. Returns 0 or -EBADMSG, -E2BIG with the error set.
 */
struct signature_layer {
	struct oci_descriptor payload;
	char *value; /* owned */
};
struct signature_layers {
	struct signature_layer *v;
	size_t n;
};
int signature_layers_read(struct signature_layers *layers, const char *manifest, size_t size,
	const char *what, struct arrow_error *error) ARROW_MUST_CHECK;
void signature_layers_release(struct signature_layers *layers);
#define _cleanup_layers_ __attribute__((cleanup(signature_layers_release)))

/* The signatures that the store has of an image. None is a success. */
int signatures_load(struct signatures *s, const struct oci_store *store, const char *digest,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Adds them to those that the store has of an image, and gets all of them.
 *   subject:  the image's manifest or index
 *   manifest: describes the manifest that holds them
 */
int signatures_save(struct signatures *s, const struct oci_store *store,
	const struct oci_descriptor *subject, struct oci_descriptor *manifest,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
