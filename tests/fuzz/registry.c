// SPDX-License-Identifier: Apache-2.0
/* Challenges, credential files and answers of helpers, of any content. */
#include <stdint.h>
#include <stdlib.h>

#include "registry/challenge.h"
#include "registry/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct challenge c = {0};
	struct credentials found;
	char *helper;

	if (challenge_add(&c, text, size) < 0 || (c.bearer && !c.realm))
		abort();
	challenge_release(&c);
	if (credentials_parse(&found, text, size, "r.example:5000", "team/app", &helper) > 0 &&
		!helper && !found.username && !found.token)
		abort();
	free(helper);
	credentials_release(&found);
	if (credentials_parse_helper(&found, text, size) > 0 && !found.username && !found.token)
		abort();
	credentials_release(&found);
	return 0;
}
