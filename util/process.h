/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_PROCESS_H
#define ARROW_UTIL_PROCESS_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

#include "util/error.h"

/* How to run a helper program (mkfs.erofs, make, QEMU --version) to its end. */
struct process_options {
	const char *const *argv;  /* NULL-terminated; argv[0] is searched in PATH */
	const char *cwd;          /* or NULL */
	const char *const *env;   /* NULL-terminated NAME=VALUE that are added, or NULL */
	int userns_fd;            /* user namespace to enter first, or -1; 0 counts as -1 */
	unsigned int deadline_ms; /* then it is killed; 0 for none */
	char **output;            /* what it wrote to stdout, owned by the caller; or NULL */

	/*
	 * For a program that starts others, such as make: it gets a process group of its own, and
	 * when *cancel becomes non-zero the whole group is killed. NULL for none.
	 */
	const volatile sig_atomic_t *cancel;

	/* Called with each line of stdout and stderr as they come, or NULL. */
	void (*line)(const char *line, void *arg);
	/* Called in the child before it becomes the program, or NULL: 0, or -1 and errno. */
	int (*prepare)(void *arg);
	void *arg; /* of both */
};

/*
 * Runs a program to its end. Returns 0 when it exits with 0.
 * Errors: -ENOENT (not installed), -ETIMEDOUT, -EINTR (cancelled), -EIO (exit status other than 0;
 * the text has the last line it wrote). The child dies with its parent and inherits no descriptor.
 */
int process_run(const struct process_options *options, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The path of a program: name itself if it has a slash and is executable, else the first of that
 * name in PATH. NULL if there is none. Owned by the caller.
 */
char *process_find(const char *name) ARROW_MUST_CHECK;

#endif
