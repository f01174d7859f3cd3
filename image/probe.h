/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_PROBE_H
#define ARROW_IMAGE_PROBE_H

/*
 * What a closure is made of (image/closure.h): the files that were taken, and the paths that were
 * probed and not taken.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

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

/* A file that may become an object of the closure. All borrowed. */
struct closure_candidate {
	const char *host;
	const char *guest; /* where it will lie; closure_add_object() makes it normal */
	const char *name;
	const struct closure_object *loader; /* who asks for it, or NULL */
};

/*
 * Adds a file that was taken.
 *   elf:    what its headers say; taken over in any case
 *   object: gets the new one, which is the closure's
 * Returns 0 or -ENOMEM.
 */
int closure_add_object(struct closure *c, const struct closure_candidate *from,
	struct elf_info *elf, const struct stat *st,
	struct closure_object **object) ARROW_MUST_CHECK;

/*
 * Adds a path that was not taken.
 *   st: what is there; NULL has it looked at
 * Returns 0 or -ENOMEM.
 */
int closure_add_probe(struct closure *c, const char *path, const struct stat *st) ARROW_MUST_CHECK;

void closure_release(struct closure *c);

#endif
