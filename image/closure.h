/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_CLOSURE_H
#define ARROW_IMAGE_CLOSURE_H

/*
 * The closure of a program: the files that the kernel and the dynamic loader open to start it,
 * found by the rules of that loader (glibc's or musl's) and without running anything; and where
 * each has to lie in the image so that the loader in there finds the same file.
 */

#include "image/probe.h"

/*
 * Finds the closure.
 *   program: its real path on the host (what $ORIGIN stands for)
 *   label:   what the user calls it, for errors
 *   guest:   where it will lie in the image
 *   library_path: LD_LIBRARY_PATH or NULL
 * Errors: -ENOEXEC, -EBADMSG (status 126) for what is not a program of this host; -ENOENT (125)
 * for a library that is nowhere, by name and by whom it is needed.
 */
int closure_find(struct closure *closure, const char *program, const char *label, const char *guest,
	const char *library_path, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
