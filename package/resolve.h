/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_RESOLVE_H
#define ARROW_PACKAGE_RESOLVE_H

#include "core/spec/spec.h"
#include "image/image.h"

/* The values of --platform and --pull. Errors name the value and what is expected. */
int arrow_parse_platform(const char *text, struct arrow_error *error) ARROW_MUST_CHECK;
int arrow_parse_pull(const char *text, uint32_t *pull, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Finds out what spec->program means: a path that begins with '.' or '/' is a
 * program; else a local image of that name; else a program, as the shell finds it; else the name of
 * an image that is fetched. For an image, spec->image and image_digest are set, program is not any
 * more, and what the image brings (environment, command, user, labels, ...) is added where the spec
 * says nothing. Fine on a spec that is resolved. verbose specs are told what it was, on stderr.
 * Errors: 125, 127 (neither a program nor an image).
 */
int arrow_spec_resolve(struct arrow_spec *spec, const struct arrow_paths *paths,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The root of a resolved spec whose image is set; made on first use.
 * Errors: the image was removed since, what oci_root_open() says.
 */
int arrow_image_from_container(struct arrow_image *image, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
