/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_MEMBERS_H
#define ARROW_IMAGE_OCI_MEMBERS_H

/* The files of an archive, each stored as a blob. What they mean together: image/oci/archive.h. */

#include "image/oci/store.h"

struct archive; /* of libarchive */

/*
 * Opens a tar, plain or packed with gzip or zstd, to be read with libarchive. fd stays the
 * caller's; *archive is freed by archive_read_free(). Errors: -EBADMSG, -ENOPKG (no libarchive).
 */
int oci_archive_open(int fd, struct archive **archive, struct arrow_error *error) ARROW_MUST_CHECK;

/* Fails with what libarchive says of an archive: -EBADMSG. */
int oci_archive_fail(struct archive *archive, struct arrow_error *error);

/*
 * The path of an entry as these archives mean it: relative, without "./" in front; "" for NULL.
 */
const char *oci_plain_path(const char *path);

/* A file of an archive, as a blob; or a link to another member. */
struct oci_member {
	char *path;
	char *target; /* of a link, as a path of the archive; else NULL */
	bool damaged; /* it has another digest than its name says, and is not stored */
	struct oci_descriptor blob;
};

struct oci_members {
	struct oci_member *v; /* owned, as what is in it */
	size_t n, room;
	char *index; /* the text of the file that tells of the images, or NULL; owned */
};

/*
 * Stores all files of an archive as blobs, but for what tells of them.
 *   index: the path of the file that tells of the images; its text is kept
 * Errors: -EBADMSG (damaged), -E2BIG (an index that is too large), those of the store.
 */
int oci_members_read(struct oci_members *list, const struct oci_store *store, int fd,
	const char *index, struct arrow_error *error) ARROW_MUST_CHECK;

/* The file at a path, through links; NULL if there is none, or it is damaged. */
const struct oci_member *oci_members_find(const struct oci_members *list, const char *path);

/* Whether there is one at this path whose digest is not that of its name. */
bool oci_members_damaged(const struct oci_members *list, const char *path);

void oci_members_release(struct oci_members *list);

#endif
