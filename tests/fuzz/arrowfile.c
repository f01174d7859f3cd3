// SPDX-License-Identifier: Apache-2.0

/* Any bytes as an Arrowfile, and any line as a change of an import. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "package/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_build b = {0};
	char *line = strndup((const char *)data, size);
	int r = arrow_build_text(&b, (const char *)data, size, ".", &e);

	if (!line || (r < 0) != (e.text != NULL) || (e.text && strchr(e.text, '\n')))
		abort();
	arrow_error_clear(&e);
	r = arrow_build_change(&b, line, &e);
	if ((r < 0) != (e.text != NULL))
		abort();
	arrow_error_clear(&e);
	arrow_build_release(&b);
	free(line);
	return 0;
}
