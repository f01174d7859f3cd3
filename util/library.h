/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_LIBRARY_H
#define ARROW_UTIL_LIBRARY_H

#include <stddef.h>

/* A shared library that is loaded when it is needed, for a start of an Arrow should not wait for
 * it. */

/* A function of it, and where the pointer to it goes. */
struct library_function {
	const char *name;
	void **where;
};

/*
 * Loads a library and resolves its functions. It stays loaded.
 *   mode: of dlopen()
 * Returns NULL, or the name of what is missing: the library or a function.
 */
const char *library_load(
	const char *soname, int mode, const struct library_function *functions, size_t n);

#endif
