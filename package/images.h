/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_IMAGES_H
#define ARROW_PACKAGE_IMAGES_H

/* What images the store has, and their names, for the command line and the service. */

#include <jansson.h>

#include "core/spec/spec.h"

/*
 * All images that can run here, the newest first: objects with id (of the configuration), digest,
 * name (whole, or null), repository and tag (or "<none>"), created (RFC 3339, may be ""), size
 * (bytes of the layers in the store), labels, architecture. Damaged ones are left out.
 */
int arrow_images_list(
	const struct arrow_paths *paths, json_t **rows, struct arrow_error *error) ARROW_MUST_CHECK;

/* One image as `docker image inspect` shows it. */
int arrow_images_inspect(const struct arrow_paths *paths, const char *name, json_t **object,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The steps that made an image, the newest first: id ("<missing>" but for the first), created,
 * created_by, size (of the layer in the store, 0 where the step made none), comment.
 */
int arrow_images_history(const struct arrow_paths *paths, const char *name, json_t **rows,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Gives an image another name. */
int arrow_images_tag(const struct arrow_paths *paths, const char *source, const char *target,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
