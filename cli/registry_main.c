// SPDX-License-Identifier: Apache-2.0
/* arrow-registry: the commands that speak to registries. `arrow pull` and the like start it. */
#include <stdio.h>
#include <string.h>

#include "cli/registry.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int argc, char **argv);
	} commands_here[] = {{"pull", cmd_pull}, {"push", cmd_push}, {"login", cmd_login},
		{"logout", cmd_logout}};
	char title[32];

	for (size_t i = 0; argc > 1 && i < sizeof(commands_here) / sizeof(*commands_here); i++) {
		if (strcmp(argv[1], commands_here[i].name) != 0)
			continue;
		registry_take_signals();
		snprintf(title, sizeof(title), "arrow %s", argv[1]);
		argv[1] = title;
		return commands_here[i].main(argc - 1, argv + 1);
	}
	fputs("arrow-registry is a part of Arrow: use 'arrow pull', 'push', 'login' or 'logout'\n",
		stderr);
	return ARROW_STATUS_ERROR;
}
