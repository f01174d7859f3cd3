// SPDX-License-Identifier: Apache-2.0
#include "registry/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define PROGRAM "arrow-registry"

/* Beside this program, as in a build folder; else where it is installed. */
static char *find_program(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash, *path;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		path = slash ? path_format("%.*s/" PROGRAM, (int)(slash - self), self) : NULL;
		if (path && access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return strdup(ARROW_LIBEXEC "/" PROGRAM);
}

int registry_exec(char **argv, struct arrow_error *error)
{
	_cleanup_free_ char *path = find_program();
	_cleanup_free_ char **args = NULL;
	size_t n = 0;

	while (argv[n])
		n++;
	args = calloc(n + 2, sizeof(*args));
	if (!path || !args)
		return arrow_no_memory(error);
	args[0] = (char *)PROGRAM;
	memcpy(args + 1, argv, n * sizeof(*argv));
	execv(path, args);
	return arrow_fail(error, errno, "cannot run %s: %m; install Arrow again", path);
}

int registry_run_pull(const char *name, bool quiet, struct arrow_error *error)
{
	char *argv[] = {(char *)"pull", (char *)(quiet ? "--quiet=true" : "--quiet=false"),
		(char *)"--", (char *)name, NULL};
	pid_t parent = getpid(), pid = fork();
	int status = 0;

	if (pid < 0)
		return arrow_fail(error, errno, "cannot start " PROGRAM ": %m");
	if (pid == 0) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

		/* A quiet pull still prints the name of the image. */
		int out = quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : STDERR_FILENO;

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent || dup2(out, STDOUT_FILENO) < 0)
			_exit(ARROW_STATUS_ERROR);
		if (registry_exec(argv, &e) < 0)
			dprintf(STDERR_FILENO, "arrow: %s\n", e.text);
		_exit(ARROW_STATUS_ERROR);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return arrow_fail(error, errno, "cannot wait for " PROGRAM ": %m");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
