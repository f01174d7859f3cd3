/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PACKAGE_ANNOTATIONS_H
#define ARROW_PACKAGE_ANNOTATIONS_H

/* Annotations of a manifest that only Arrow reads. */
#define ARROW_ANNOTATION_KERNEL "dev.arrow.kernel"             /* profile, as --kernel */
#define ARROW_ANNOTATION_KERNEL_LAYER "dev.arrow.kernel.layer" /* digest; see image_kernel.h */
/* What the options of these names say where the user does not. */
#define ARROW_ANNOTATION_MEMORY "dev.arrow.memory"
#define ARROW_ANNOTATION_CPUS "dev.arrow.cpus"
#define ARROW_ANNOTATION_RESTART "dev.arrow.restart"

#endif
