/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_LDCACHE_H
#define ARROW_IMAGE_LDCACHE_H

#include <stddef.h>

#include "util/error.h"

/* The cache of glibc's ldconfig, which maps names of libraries to their paths. */
struct ldcache {
	char *data; /* owned; NULL for an empty cache */
	size_t size;
};

/* Reads one. Returns 0 also for a file that is missing, damaged or of the old format: empty. */
int ldcache_read(struct ldcache *cache, const char *path) ARROW_MUST_CHECK;

/*
 * The path of the n-th library of a name for this host, or NULL. Variants for newer CPUs are
 * passed over: the CPU of an Arrow may be older than the host's.
 */
const char *ldcache_find(const struct ldcache *cache, const char *name, size_t n);

void ldcache_release(struct ldcache *cache);

#endif
