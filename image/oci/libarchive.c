// SPDX-License-Identifier: Apache-2.0
#define LIBARCHIVE_NO_NAMES
#include "image/oci/libarchive.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "util/library.h"

#define SONAME "libarchive.so.13"

#define DEFINE(name) __typeof__(name) *libarchive_##name;
LIBARCHIVE_FUNCTIONS(DEFINE)
#undef DEFINE

static const char *libarchive_resolve(void)
{
	static const struct library_function functions[] = {
#define ENTRY(name) {#name, (void **)&libarchive_##name},
		LIBARCHIVE_FUNCTIONS(ENTRY)
#undef ENTRY
	};

	return library_load(
		SONAME, RTLD_NOW | RTLD_LOCAL, functions, sizeof(functions) / sizeof(*functions));
}

int libarchive_load(struct arrow_error *error)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const char *missing = "";

	pthread_mutex_lock(&lock);
	if (missing)
		missing = libarchive_resolve();
	pthread_mutex_unlock(&lock);
	if (!missing)
		return 0;
	return arrow_fail(error, ENOPKG,
		"cannot read archives: %s is missing: run 'sudo apt-get install libarchive13'",
		missing);
}
