// SPDX-License-Identifier: Apache-2.0

/* Any text as an image reference: what is taken reads the same when it is written out. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arrow_error e = ARROW_ERROR_INIT;
	struct oci_reference r, again;
	char *text = strndup((const char *)data, size), *whole, *other, *familiar;

	if (!text)
		abort();
	if (oci_reference_parse(&r, text, &e) == 0) {
		whole = oci_reference_format(&r);
		familiar = oci_reference_familiar(&r);
		if (!whole || !familiar || oci_reference_parse(&again, whole, &e) < 0)
			abort();
		other = oci_reference_format(&again);
		if (!other || strcmp(whole, other) != 0)
			abort();
		free(whole);
		free(other);
		free(familiar);
		oci_reference_release(&again);
		oci_reference_release(&r);
	}
	arrow_error_clear(&e);
	free(text);
	return 0;
}
