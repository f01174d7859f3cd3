// SPDX-License-Identifier: Apache-2.0
/* arrow pull, push, login, logout: handed over to arrow-registry. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output/print.h"
#include "registry/launch.h"

int cmd_registry(int argc, char **argv)
{
	struct arrow_error error = ARROW_ERROR_INIT;
	char *name = strrchr(argv[0], ' ');

	/* argv[0] is "arrow pull". */
	if (name)
		argv[0] = name + 1;
	return registry_exec(argv, &error) < 0 ? cli_error(&error) : 0;
}
