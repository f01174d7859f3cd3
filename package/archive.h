/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_ARCHIVE_H
#define ARROW_PACKAGE_ARCHIVE_H

/* Images as archives and as OCI layouts, out of the store and into it. */

#include "core/spec/spec.h"
#include "util/paths.h"

/* Writes images and their names as an archive. */
int arrow_images_save(const struct arrow_paths *paths, char *const *names, size_t n, int fd,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Writes an image as an OCI layout into a directory that is empty or missing. */
int arrow_images_export_layout(const struct arrow_paths *paths, const char *name,
	const char *directory, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Stores the images of an archive. log gets "Loaded image: NAME" or "Loaded image ID: ID".
 *   source: names it in errors
 * Nothing stays of one that fails.
 */
int arrow_images_load(const struct arrow_paths *paths, int fd, const char *source,
	struct arrow_strings *log, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * A descriptor that can be read twice: itself if it is of a file, else of a file in the store,
 * without a name, into which all of it was copied.
 */
int arrow_images_seekable(const struct arrow_paths *paths, int fd, int *seekable,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
