/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_STORE_H
#define ARROW_IMAGE_STORE_H

/*
 * STORE/images:
 *   <digest>.erofs   an image, mode 0444, never written again
 *   <digest>.json    its size, SHA-256, identity and source; an image without it is not used
 *   index/           what program makes which image (index.h); only advice
 *   tmp-XXXXXX/      an image in the making, locked by its maker; once that is dead the next
 *                    maker removes it
 * The directory is of its owner alone: a root image may hold what others may not read.
 */

#include <stdint.h>

#include "image/image.h"

struct image_store {
	int fd;     /* of STORE/images */
	char *path; /* owned */
};

struct image_temp {
	const struct image_store *store;
	int fd;     /* of the directory; holds the lock */
	char *path; /* owned; NULL while there is none */
};

int image_store_open(
	struct image_store *store, const char *path, struct arrow_error *error) ARROW_MUST_CHECK;
void image_store_release(struct image_store *store);
#define _cleanup_store_ __attribute__((cleanup(image_store_release)))

/*
 * Opens the image of a digest that is whole. Whether it is, is told by its identity; only where
 * that changed it is read and hashed. Returns 0, or -ENOENT where there is none to use.
 */
int image_store_find(const struct image_store *store, const char *digest, int *fd) ARROW_MUST_CHECK;

/* Makes a directory for an image in the making, and removes those of dead makers. */
int image_temp_begin(struct image_temp *temp, const struct image_store *store,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Removes it. */
void image_temp_end(struct image_temp *temp);
#define _cleanup_temp_ __attribute__((cleanup(image_temp_end)))

/*
 * Moves TEMP/image into the store, if no other process has put the same there meanwhile, and
 * opens it.
 *   kind, source: what it was made from, for people
 */
int image_store_publish(struct image_temp *temp, const char *digest, const char *kind,
	const char *source, int *fd, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Calls each() for every image that has a record.
 *   kind:  "program", "directory", "container"
 *   bytes: that it takes on the disk
 * Returns 0 or a negative errno.
 */
int image_store_each(const struct image_store *store,
	void (*each)(const char *digest, const char *kind, uint64_t bytes, void *arg),
	void *arg) ARROW_MUST_CHECK;

/* Removes an image. Arrows that run keep theirs open. */
void image_store_remove(const struct image_store *store, const char *digest);

/* Sets the error for a failed write: a full disk is told as that. Returns -err. */
int image_store_fail(const struct image_store *store, int err, struct arrow_error *error);

#endif
