/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_KERNEL_INPUTS_H
#define ARROW_KERNEL_INPUTS_H

#include "kernel/config.h"

/*
 * Finds what a build needs before it begins: the source's archive (the newest linux-source in
 * /usr/src, unless one is given), the tools, and their versions.
 * Errors: -ENOENT (names the packages that are missing and how to install them).
 */
int kernel_inputs_find(struct kernel_inputs *inputs, const char *source,
	struct arrow_error *error) ARROW_MUST_CHECK;

void kernel_inputs_release(struct kernel_inputs *inputs);

/*
 * The archive with the highest version among the names of a directory, as a path.
 * NULL if there is none. Owned by the caller.
 */
char *kernel_source_newest(const char *dir) ARROW_MUST_CHECK;

#endif
