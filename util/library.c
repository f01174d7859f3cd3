// SPDX-License-Identifier: Apache-2.0
#include "util/library.h"

#include <dlfcn.h>

const char *library_load(
	const char *soname, int mode, const struct library_function *functions, size_t n)
{
	void *library = dlopen(soname, mode);

	if (!library)
		return soname;
	for (size_t i = 0; i < n; i++) {
		*functions[i].where = dlsym(library, functions[i].name);
		if (!*functions[i].where)
			return functions[i].name;
	}
	return NULL;
}
