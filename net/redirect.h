/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_REDIRECT_H
#define ARROW_NET_REDIRECT_H

/* Other network namespaces, and the end of what net_join_namespace() does in one. */

#include "util/error.h"

/*
 * Moves the calling thread into a network namespace, by the absolute path of that.
 * Returns the namespace before, for net_namespace_leave(), or a negative errno.
 */
int net_namespace_enter(const char *path) ARROW_MUST_CHECK;

/* Goes back, and closes the descriptor. The process ends if that fails. */
void net_namespace_leave(int before);

/* Gives the interface of a namespace back. A namespace that is gone needs nothing. */
void net_redirect_undo(const char *path, const char *device);

#endif
