// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>

#include "cli/commands.h"
#include "engine/choice/choice.h"
#include "util/error.h"

/* A program started with a closed stdin, stdout or stderr would get them back as some file. */
static int open_standard_fds(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -errno;
	return 0;
}

int main(int argc, char **argv)
{
	int status;

	if (open_standard_fds() < 0)
		return ARROW_STATUS_ERROR;
	status = arrow_engine_helper(argc, argv);
	if (status >= 0)
		return status;
	return cli_run_command(argc, argv);
}
