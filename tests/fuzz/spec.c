// SPDX-License-Identifier: Apache-2.0

/* Any bytes as a manifest, an index and a configuration: each is taken or refused with a line. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/oci/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int r, struct arrow_error *e)
{
	if ((r < 0) != (e->text != NULL) || (e->text && strchr(e->text, '\n')))
		abort();
	arrow_error_clear(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arrow_error e = ARROW_ERROR_INIT;
	const char *text = (const char *)data;
	struct oci_manifest manifest = {0};
	struct oci_config config = {0};
	struct oci_index index = {0};

	check(oci_manifest_parse(&manifest, text, size, "it", &e), &e);
	check(oci_index_parse(&index, text, size, "it", &e), &e);
	check(oci_config_parse(&config, text, size, "it", &e), &e);
	for (size_t i = 0; i < manifest.n_layers; i++)
		if (!oci_digest_is_valid(manifest.layers[i].digest))
			abort();
	(void)oci_index_choose(&index, NULL, NULL);
	(void)oci_data_is_index(text, size);
	oci_manifest_release(&manifest);
	oci_index_release(&index);
	oci_config_release(&config);
	return 0;
}
