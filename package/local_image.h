/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_LOCAL_IMAGE_H
#define ARROW_PACKAGE_LOCAL_IMAGE_H

/* What all that manages images needs: an image of the store by its name, and how it is shown. */

#include <jansson.h>

#include "core/spec/spec.h"
#include "image/oci/image.h"
#include "image/oci/store.h"
#include "util/paths.h"

/* An image, and what the index of the store says of it. */
struct local_image {
	struct oci_store store;
	struct oci_entries entries;
	struct oci_image image;
	char **names;
};

void local_image_release(struct local_image *f);
#define _cleanup_local_image_ __attribute__((cleanup(local_image_release)))

/* Errors: those of oci_store_open() and oci_image_find(). */
int local_image_find(struct local_image *f, const struct arrow_paths *paths, const char *name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Bytes of the layers. */
uint64_t local_image_size(const struct oci_image *image);

/* A row of arrow_images_list(). name: the whole one, or NULL. NULL when out of memory. */
json_t *local_image_row(const struct oci_image *image, const char *name) ARROW_MUST_CHECK;

/* "busybox:latest" of a whole name, or with a digest "busybox@sha256:..."; owned by the caller. */
char *image_familiar_name(const char *name, const char *digest) ARROW_MUST_CHECK;

/* Tells `arrow events`; as Docker, with the id for a name where there is none. */
void image_event(const char *data, const char *action, const char *id, const char *name);

/* Adds "WHAT: TEXT". Returns 0 or -ENOMEM. */
int image_log(struct arrow_strings *log, const char *what, const char *text) ARROW_MUST_CHECK;

#endif
