// SPDX-License-Identifier: Apache-2.0
#define LIBARCHIVE_NO_NAMES
#include "image/oci/libarchive.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#define SONAME "libarchive.so.13"

#define DEFINE(name) __typeof__(name) *libarchive_##name;
LIBARCHIVE_FUNCTIONS(DEFINE)
#undef DEFINE

/* Resolves all functions. It stays loaded. */
static const char *load(void)
{
	static const struct {
		const char *name;
		void **where;
	} functions[] = {
#define ENTRY(name) {#name, (void **)&libarchive_##name},
		LIBARCHIVE_FUNCTIONS(ENTRY)
#undef ENTRY
	};
	void *library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return SONAME;
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		*functions[i].where = dlsym(library, functions[i].name);
		if (!*functions[i].where)
			return functions[i].name;
	}
	return NULL;
}

int libarchive_load(struct arrow_error *error)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const char *missing = "";

	pthread_mutex_lock(&lock);
	if (missing)
		missing = load();
	pthread_mutex_unlock(&lock);
	if (!missing)
		return 0;
	return arrow_fail(error, ENOPKG,
		"cannot read archives: %s is missing: run 'sudo apt-get install libarchive13'",
		missing);
}
