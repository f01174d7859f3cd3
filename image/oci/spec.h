/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_SPEC_H
#define ARROW_IMAGE_OCI_SPEC_H

/*
 * Manifests, image indexes and image configurations, of the OCI image specification 1.1
 * (github.com/opencontainers/image-spec: descriptor.md, manifest.md, image-index.md, config.md)
 * and of Docker's schema 2, which is the same with other media types. All come from strangers:
 * sizes, counts and digests are checked, what is of another type is an error that names it, and odd
 * values are taken as docker and podman take them (docs/images.md, "Odd values").
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/oci/reference.h"
#include "util/error.h"

#define OCI_MANIFEST_MAX (4u << 20) /* bytes; what registries take */
#define OCI_CONFIG_MAX (8u << 20)   /* bytes */
#define OCI_LAYERS_MAX 512u         /* Docker stops at 127 */
#define OCI_INDEX_MAX 1024u         /* manifests in an image index */

#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_TYPE_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_TYPE_LAYER_GZIP OCI_TYPE_LAYER "+gzip"
#define OCI_TYPE_LAYER_ZSTD OCI_TYPE_LAYER "+zstd"
#define DOCKER_TYPE_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_TYPE_INDEX "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_TYPE_CONFIG "application/vnd.docker.container.image.v1+json"
#define DOCKER_TYPE_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

struct oci_descriptor {
	char *media_type; /* owned; "" where there was none */
	char digest[OCI_DIGEST_SIZE];
	uint64_t size; /* bytes */
};

void oci_descriptor_release(struct oci_descriptor *descriptor);
#define _cleanup_descriptor_ __attribute__((cleanup(oci_descriptor_release)))

/* Copies one. Returns 0 or -ENOMEM. */
int oci_descriptor_copy(
	struct oci_descriptor *to, const struct oci_descriptor *from) ARROW_MUST_CHECK;

bool oci_type_is_index(const char *media_type);
bool oci_type_is_manifest(const char *media_type);

struct oci_platform {
	char *os;           /* owned, as are all; "linux" */
	char *architecture; /* "amd64" */
	char *variant;      /* "v8", or NULL */
};

/* Of one manifest in an index. */
struct oci_index_entry {
	struct oci_descriptor descriptor;
	struct oci_platform platform; /* os NULL where none was given */
	bool artifact;                /* it names an artifactType, so it is no image */
};

struct oci_index {
	struct oci_index_entry *entries;
	size_t n;
	size_t unreadable; /* entries that were left out */
};

struct oci_manifest {
	char *media_type; /* owned */
	struct oci_descriptor config;
	struct oci_descriptor *layers; /* the lowest first; owned */
	size_t n_layers;
	struct oci_descriptor subject; /* of a referrer; media_type NULL where there is none */
	char *artifact_type;           /* or NULL; owned */
	json_t *annotations;           /* object of strings, never NULL; owned */
};

/*
 * Parses one.
 *   what: names it in errors, "the manifest of busybox"
 * Errors: -EBADMSG (not JSON, a field that is missing or of the wrong type), -E2BIG (more than the
 * limits above), -ENOTSUP (another kind of document: schema 1 and the like).
 */
int oci_manifest_parse(struct oci_manifest *manifest, const char *data, size_t size,
	const char *what, struct arrow_error *error) ARROW_MUST_CHECK;
int oci_index_parse(struct oci_index *index, const char *data, size_t size, const char *what,
	struct arrow_error *error) ARROW_MUST_CHECK;

void oci_manifest_release(struct oci_manifest *manifest);
void oci_index_release(struct oci_index *index);
#define _cleanup_manifest_ __attribute__((cleanup(oci_manifest_release)))
#define _cleanup_index_ __attribute__((cleanup(oci_index_release)))

/* Whether a document of unknown media type is an index: it has "manifests" and no "config". */
bool oci_data_is_index(const char *data, size_t size);

/*
 * The manifest for a platform: the same architecture and variant first, else the same
 * architecture without or with a lesser variant, else the first of which no platform is said.
 * NULL if there is none. Attestations and other entries of an unknown platform are passed over.
 *   architecture, variant: NULL for this host's
 */
const struct oci_index_entry *oci_index_choose(
	const struct oci_index *index, const char *architecture, const char *variant);

/* This host's architecture as OCI names it, "amd64". */
const char *oci_host_architecture(void);

/* Durations are nanoseconds, 0 for Docker's default. test is NULL where there is no check. */
struct oci_health {
	char **test; /* "NONE" | "CMD", args... | "CMD-SHELL", command; owned */
	int64_t interval, timeout, start_period, start_interval;
	int64_t retries;
};

/* What a program of the image is started with. Lists are NULL-terminated, or NULL if absent. */
struct oci_config {
	struct oci_platform platform;
	char *created; /* RFC 3339, or NULL */
	char *author;  /* or NULL */

	char **entrypoint, **cmd, **env;
	char *user, *workdir, *stop_signal; /* NULL where absent or empty */
	char **volumes;                     /* absolute paths */
	char **ports;                       /* "80/tcp", "80-90/udp", "80" */
	char **labels;                      /* "key=value" */
	struct oci_health health;

	char (*diff_ids)[OCI_DIGEST_SIZE]; /* of the uncompressed layers, the lowest first */
	size_t n_diff_ids;
	json_t *json; /* the whole, with history */
};

int oci_config_parse(struct oci_config *config, const char *data, size_t size, const char *what,
	struct arrow_error *error) ARROW_MUST_CHECK;
void oci_config_release(struct oci_config *config);
#define _cleanup_config_ __attribute__((cleanup(oci_config_release)))

/* Takes a descriptor out of JSON. -EBADMSG with an error that begins with what. */
int oci_descriptor_read(struct oci_descriptor *descriptor, const json_t *json, const char *what,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* {"mediaType", "digest", "size"}; NULL when out of memory. */
json_t *oci_descriptor_json(const struct oci_descriptor *descriptor) ARROW_MUST_CHECK;

#endif
