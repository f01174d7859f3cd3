/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_OCI_REFERENCE_H
#define ARROW_IMAGE_OCI_REFERENCE_H

/*
 * Image references, by the grammar of Docker and containerd (github.com/distribution/reference):
 *
 *   [DOMAIN[:PORT]/]PATH[:TAG][@sha256:HEX]
 *
 * "busybox" stands for docker.io/library/busybox:latest. The part before the first slash is a
 * domain if it has a dot, a colon or an upper case letter, or is "localhost".
 */

#include <stdbool.h>

#include "util/error.h"

#define OCI_DIGEST_SIZE 72 /* "sha256:", 64 digits and a NUL */

struct oci_reference {
	char *domain; /* "docker.io", "localhost:5000"; owned, as are all */
	char *path;   /* "library/busybox" */
	char *tag;    /* NULL only where there is a digest and no tag */
	char *digest; /* "sha256:HEX" or NULL */
};

/* Parses and completes one. Errors: -EINVAL, with what is wrong. */
int oci_reference_parse(struct oci_reference *reference, const char *text,
	struct arrow_error *error) ARROW_MUST_CHECK;

void oci_reference_release(struct oci_reference *reference);
#define _cleanup_reference_ __attribute__((cleanup(oci_reference_release)))

/* These return text that the caller owns, or NULL when out of memory. */

/* "docker.io/library/busybox". */
char *oci_reference_name(const struct oci_reference *reference) ARROW_MUST_CHECK;

/* Name, tag and digest: "docker.io/library/busybox:latest". */
char *oci_reference_format(const struct oci_reference *reference) ARROW_MUST_CHECK;

/* The name as users know it: "busybox", "user/tool", "localhost:5000/busybox". */
char *oci_reference_familiar(const struct oci_reference *reference) ARROW_MUST_CHECK;

/* Whether a text is "sha256:" and 64 lower case hexadecimal digits. */
bool oci_digest_is_valid(const char *text);

#endif
