/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_RESOLVE_H
#define ARROW_PACKAGE_RESOLVE_H

#include "core/spec/spec.h"
#include "image/image.h"

/* Annotations of a manifest that only Arrow reads. */
#define ARROW_ANNOTATION_KERNEL "dev.arrow.kernel"             /* profile, as --kernel */
#define ARROW_ANNOTATION_KERNEL_LAYER "dev.arrow.kernel.layer" /* digest; see image_kernel.h */
/* What the options of these names say where the user does not. */
#define ARROW_ANNOTATION_MEMORY "dev.arrow.memory"
#define ARROW_ANNOTATION_CPUS "dev.arrow.cpus"
#define ARROW_ANNOTATION_RESTART "dev.arrow.restart"

/*
 * The root of a resolved spec whose image is set; made on first use.
 * Errors: the image was removed since, what oci_root_open() says.
 */
int arrow_image_from_container(struct arrow_image *image, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
