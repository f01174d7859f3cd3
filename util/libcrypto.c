// SPDX-License-Identifier: Apache-2.0
#define LIBCRYPTO_NO_NAMES
#include "util/libcrypto.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "util/library.h"

#define SONAME "libcrypto.so.3"

#define DEFINE(name) __typeof__(name) *libcrypto_##name;
LIBCRYPTO_FUNCTIONS(DEFINE)
#undef DEFINE

static const char *libcrypto_resolve(void)
{
	static const struct library_function functions[] = {
#define ENTRY(name) {#name, (void **)&libcrypto_##name},
		LIBCRYPTO_FUNCTIONS(ENTRY)
#undef ENTRY
	};

	return library_load(
		SONAME, RTLD_LAZY | RTLD_LOCAL, functions, sizeof(functions) / sizeof(*functions));
}

int libcrypto_load(struct arrow_error *error)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const char *missing = "";

	pthread_mutex_lock(&lock);
	if (missing)
		missing = libcrypto_resolve();
	pthread_mutex_unlock(&lock);
	if (!missing)
		return 0;
	return arrow_fail(error, ENOPKG,
		"%s is missing: run 'sudo apt-get install libssl3' to hash and to check signatures",
		missing);
}
