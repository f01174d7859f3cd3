/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_EXTRACT_H
#define ARROW_IMAGE_OCI_EXTRACT_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* A file that is wanted of a layer. */
struct oci_wanted {
	const char *path; /* in the layer, without "./" */
	uint64_t max;     /* bytes */
	int fd;           /* where its content goes */
};

/*
 * Copies files out of a layer that has directories and these files, each once, and nothing else.
 *   fd: of the layer, at its start
 * Errors: -EBADMSG (something else, or too large, or one is missing).
 */
int oci_layer_extract(int fd, const struct oci_wanted *wanted, size_t n,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
