/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_CLOSURE_H
#define ARROW_IMAGE_CLOSURE_H

/*
 * The closure of a program: the files that the kernel and the dynamic loader open to start it,
 * found by the rules of that loader (glibc's or musl's) and without running anything; and where
 * each has to lie in the image so that the loader in there finds the same file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/elf_info.h"
#include "image/identity.h"
#include "util/error.h"

struct closure_object {
	char *host;                          /* path on the host, as the loader builds it; owned */
	char *guest;                         /* absolute and normal path in the image; owned */
	char *name;                          /* the name it was asked for by; owned */
	char identity[IDENTITY_SIZE];        /* when its headers were read */
	int64_t changed;                     /* its change time in ns */
	const struct closure_object *loader; /* who asked for it first, or NULL */
	struct elf_info elf;
};

/* A path that was looked at and not taken. The closure is another once its identity changes. */
struct closure_probe {
	char *path; /* owned */
	char identity[IDENTITY_SIZE];
};

struct closure {
	struct closure_object **objects; /* the program first, then its interpreter */
	size_t object_count;
	struct closure_probe *probes;
	size_t probe_count;
	bool relative; /* depends on the current directory */
};

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

void closure_release(struct closure *closure);

#endif
