// SPDX-License-Identifier: Apache-2.0
#include "cli/input/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cli_set_string(char **where, const char *value, struct arrow_error *error)
{
	free(*where);
	*where = strdup(value);
	return *where ? 0 : arrow_fail(error, ENOMEM, "out of memory");
}

int cli_add_string(struct arrow_strings *list, const char *value, struct arrow_error *error)
{
	return arrow_strings_add(list, value) < 0 ? arrow_fail(error, ENOMEM, "out of memory") : 0;
}
