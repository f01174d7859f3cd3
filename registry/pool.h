/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_POOL_H
#define ARROW_REGISTRY_POOL_H

/*
 * Several blobs at once. Threads, each with a connection of its own, and not libcurl's multi
 * interface: hashing and TLS are most of the work, and so they use every processor.
 */

#include "registry/http.h"

#define POOL_THREADS 3u /* as docker has it */

/*
 * Calls work(i) for i from 0 to n - 1, several at once, until one fails.
 *   options: of the connections; *stop is set to make the others end when one has failed, or by
 *            whoever wants all of them to
 * Returns 0, or what the first that failed returned, with its error.
 */
int pool_run(const struct http_options *options, volatile sig_atomic_t *stop, size_t n,
	int (*work)(size_t i, struct http *h, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
