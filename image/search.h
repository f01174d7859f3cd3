/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_SEARCH_H
#define ARROW_IMAGE_SEARCH_H

/*
 * Where a dynamic loader looks for a library, in its order, as pairs: the path on this host, and
 * the path in the image at which the loader in there will look and find it.
 *
 *   glibc: RPATH of who asks and of those who asked for it, unless it has a RUNPATH;
 *          LD_LIBRARY_PATH; its RUNPATH; ld.so.cache; the default directories.
 *   musl:  LD_LIBRARY_PATH; RPATH or RUNPATH of who asks and of those who asked for it;
 *          the directories of /etc/ld-musl-ARCH.path, or the default ones.
 *
 * The image has neither LD_LIBRARY_PATH nor a cache nor that file, so what is found through them
 * goes to a default directory.
 */

#include <stdbool.h>

#include "image/ldcache.h"
#include "image/probe.h"

enum search_step {
	SEARCH_RPATH,
	SEARCH_LIBRARY_PATH,
	SEARCH_RUNPATH,
	SEARCH_CACHE,
	SEARCH_DEFAULTS,
	SEARCH_END,
};

enum search_side { SEARCH_HOST, SEARCH_GUEST };

struct search {
	struct closure *closure;
	const char *label;
	const char *library_path; /* or NULL */

	/* Of the loader: */
	bool musl;
	struct ldcache cache;
	char **defaults; /* its default directories; NULL-terminated, at least one; owned */
	char *system;    /* those that it searches here, joined with ":"; owned */
	const char *lib; /* what $LIB stands for; points into defaults */

	/* Of one search: */
	const char *name;
	const struct closure_object *asker;
	enum search_step step;
	const struct closure_object *owner; /* of the list */
	const char *rest;                   /* of the list; NULL before its start */
	size_t cached;
	char *searched; /* directories, for an error; owned */
};

struct search_place {
	char *host;  /* owned */
	char *guest; /* owned */
};

/* Reads what the loader at a path has as its default directories. 0 or -ENOMEM. */
int search_prepare(struct search *s, const char *interpreter) ARROW_MUST_CHECK;

void search_release(struct search *s);
#define _cleanup_search_ __attribute__((cleanup(search_release)))

void search_begin(struct search *s, const struct closure_object *asker, const char *name);

/* The next place to look at: 1, 0 at the end, or -ENOMEM. */
int search_next(struct search *s, struct search_place *place) ARROW_MUST_CHECK;

void search_place_release(struct search_place *place);

/* Expands $ORIGIN and the like for an object. Returns NULL when out of memory. */
char *search_expand(const struct search *s, const char *text, const struct closure_object *o,
	enum search_side side) ARROW_MUST_CHECK;

/* Whether musl has the library of that name in itself. */
bool search_musl_builtin(const char *name);

/* Whether the loader of the guest mounts something over a path. */
bool search_is_covered(const char *normal);

#endif
