/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_STORE_H
#define ARROW_IMAGE_OCI_STORE_H

/*
 * The image store, STORE/oci: an OCI image layout (image-layout.md of the OCI image specification),
 * so that skopeo and others read it as it is.
 *
 *   oci-layout, index.json   the references: a descriptor each, with the annotations
 *                            org.opencontainers.image.ref.name and io.containerd.image.name, both
 *                            the whole reference, docker.io/library/busybox:latest. A descriptor
 *                            without them lost its name to another and is kept until a prune.
 *   blobs/sha256/HEX         never written again; a blob is whole or not there
 *   ingest/                  blobs in the making, each locked by its writer. HEX.part is of a known
 *                            digest: whoever fetches it next goes on from there
 *   lock                     held shared by all who use the store, so that prune, which holds it
 *                            alone, never removes what somebody is about to refer to
 *   index.lock               held for a moment by who changes index.json
 *
 * Nothing is counted: what is used is found by walking from index.json. SIGKILL at any moment
 * leaves at most a blob that nothing refers to or a file in ingest/; prune removes both.
 * The directory is of its owner alone.
 */

#include "image/oci/reference.h"
#include "image/oci/spec.h"
#include "util/error.h"

struct oci_store {
	int fd;       /* of STORE/oci */
	int blobs_fd; /* of blobs/sha256 */
	int lock_fd;  /* the lock, held shared */
	char *path;   /* owned */
};

/*
 * Opens the store, made if missing, and holds it against prune until it is released. Keep it no
 * longer than an image is worked on.
 *   data: the data directory, paths.data
 */
int oci_store_open(
	struct oci_store *store, const char *data, struct arrow_error *error) ARROW_MUST_CHECK;
void oci_store_release(struct oci_store *store);
#define _cleanup_oci_store_ __attribute__((cleanup(oci_store_release)))

/* Whether a blob is there; size, if not NULL, gets its bytes. */
bool oci_blob_exists(const struct oci_store *store, const char *digest, uint64_t *size);

/* Opens a blob for reading. -ENOENT if it is not there. */
int oci_blob_open(const struct oci_store *store, const char *digest, int *fd,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Reads a small blob, and checks it against size and digest. *data ends with a NUL and is the
 * caller's. Errors: -ENOENT, -EFBIG (more than max), -EBADMSG (damaged).
 */
int oci_blob_read(const struct oci_store *store, const struct oci_descriptor *descriptor,
	size_t max, char **data, struct arrow_error *error) ARROW_MUST_CHECK;

/* A blob in the making. */
struct oci_writer {
	const struct oci_store *store;
	int fd;
	char *temp; /* name in ingest/; owned; NULL once it is committed */
	bool resumable;
	char digest[OCI_DIGEST_SIZE]; /* expected, or "" */
	uint64_t size;                /* expected, or UINT64_MAX */
	uint64_t at;                  /* bytes that are there */
	struct digest *sum;
};

/*
 * Begins one.
 *   digest: what it must have, or NULL if that comes out at the end
 *   size:   what it must have, or UINT64_MAX
 * With a digest, writer->at may be more than 0: what an earlier writer left, to go on from. Where
 * another process is writing the same blob, both do, and the first wins.
 */
int oci_blob_begin(struct oci_writer *writer, const struct oci_store *store, const char *digest,
	uint64_t size, struct arrow_error *error) ARROW_MUST_CHECK;

/* Throws away what is there: the sender begins anew. */
int oci_blob_restart(struct oci_writer *writer, struct arrow_error *error) ARROW_MUST_CHECK;

/* Errors: -EFBIG (more than the expected size), a full disk. */
int oci_blob_append(struct oci_writer *writer, const void *data, size_t size,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Checks size and digest, syncs it and puts it into its place. writer->digest and at then tell
 * both. Errors: -EBADMSG (another size or digest; what is there is removed).
 */
int oci_blob_commit(struct oci_writer *writer, struct arrow_error *error) ARROW_MUST_CHECK;

/* Ends a writer; fine at any time. What is not committed stays for a later one, or is removed. */
void oci_blob_end(struct oci_writer *writer);
#define _cleanup_writer_ __attribute__((cleanup(oci_blob_end)))

/*
 * Stores a manifest, index or configuration as a blob and describes it.
 *   digest: what it must have, or NULL
 */
int oci_blob_put(const struct oci_store *store, const char *media_type, const char *data,
	size_t size, const char *digest, struct oci_descriptor *descriptor,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Copies a file, from where it stands to its end, into a blob.
 *   digest, size: as in oci_blob_begin()
 *   descriptor:   gets digest and size; its media type is told from the first bytes, as a layer's
 */
int oci_blob_copy(const struct oci_store *store, int fd, const char *digest, uint64_t size,
	struct oci_descriptor *descriptor, struct arrow_error *error) ARROW_MUST_CHECK;

/* The media type of a layer, told from its first bytes: gzip, zstd, or plain. */
const char *oci_layer_type(const void *data, size_t size);

/* One line of index.json. */
struct oci_entry {
	struct oci_descriptor descriptor;
	char *name; /* "docker.io/library/busybox:latest", or NULL; owned */
};

struct oci_entries {
	struct oci_entry *v;
	size_t n;
};

/* The lines of index.json. Errors: it is damaged. */
int oci_store_list(const struct oci_store *store, struct oci_entries *entries,
	struct arrow_error *error) ARROW_MUST_CHECK;
void oci_entries_release(struct oci_entries *entries);
#define _cleanup_entries_ __attribute__((cleanup(oci_entries_release)))

/*
 * Gives a manifest or index, whose blobs are all there, a name. The one that had it before stays,
 * without a name. *old, if not NULL, gets whether there was another.
 */
int oci_store_tag(const struct oci_store *store, const struct oci_reference *reference,
	const struct oci_descriptor *descriptor, bool *old,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Keeps a manifest without a name: a referrer, such as a signature. */
int oci_store_keep(const struct oci_store *store, const struct oci_descriptor *descriptor,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Takes a name away.
 *   keep: the image stays without a name, if this was its last; else its line is removed
 * -ENOENT without an error set if there is no such name.
 */
int oci_store_untag(const struct oci_store *store, const char *name, bool keep,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes the lines of a manifest or index. Its blobs are prune's.
 *   names: those that the caller knows of, NULL-terminated, or NULL; a name that another command
 *          gave it since stays
 *   left:  gets whether such a name is left; or NULL
 */
int oci_store_forget(const struct oci_store *store, const char *digest, char *const *names,
	bool *left, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
