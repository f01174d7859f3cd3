/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_KERNEL_BUILD_H
#define ARROW_KERNEL_BUILD_H

/*
 * Building kernels, and what is in a store: for `arrow kernel`. The start of an Arrow needs only
 * kernel/kernel.h.
 */

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

/* One step of a build. */
struct arrow_kernel_progress {
	const char *profile;
	const char *doing; /* "unpacking the source", or the file that is compiled */
	unsigned int percent;
	unsigned int seconds; /* since this profile's build began */
};

struct arrow_kernel_build_options {
	const char *source; /* archive of the kernel's source, or NULL for the newest in /usr/src */
	const char *path;   /* PATH of the tools, or NULL for /usr/bin:/bin */
	unsigned int jobs;  /* compilers at once, or 0 for one a processor */
	void (*progress)(const struct arrow_kernel_progress *progress, void *arg); /* or NULL */
	void (*waiting)(void *arg); /* another build holds the store, it is waited for; or NULL */
	void *arg;
	const volatile sig_atomic_t *cancel; /* non-zero ends the build; or NULL */
};

struct arrow_kernel_built {
	char id[65];
	bool fresh; /* false: it was there already */
	unsigned int seconds;
	unsigned long long size; /* of vmlinux, bytes */
};

/*
 * Builds the kernels of some profiles into a store, each only if it is not there, and makes them
 * the ones that their profiles name. Leaves nothing behind when it fails or is cancelled; what a
 * killed build left is removed by the next.
 *   profiles: NULL-terminated names
 *   built:    one for each
 * Errors: -ENOENT (no such profile, a missing tool or source: says what to install), -EINTR,
 * -ENOSPC, -EIO (the compiler failed), -EINVAL (an option came out otherwise).
 */
int arrow_kernel_build(const char *store, const char *const *profiles,
	const struct arrow_kernel_build_options *options, struct arrow_kernel_built *built,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * The packages of Debian that a build would need and that are not there, parted by spaces; "" if
 * nothing is missing. Owned by the caller. Errors: -ENOMEM.
 */
int arrow_kernel_build_needs(char **packages, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * What a build or a removal left in a store when it was killed. found gets the number; they are
 * removed if remove is set. None is found while a build is under way: that one removes them.
 */
int arrow_kernel_cleanup(const char *store, bool remove, unsigned int *found,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * All kernels of the stores, as a JSON array of their kernel.json objects, each with "path" and
 * "state" added: "current" (what its profile names, from this program's configuration), "old",
 * "image" (brought by one), or "damaged". Digests are compared only if verify is set. The array is
 * owned by the caller.
 */
int arrow_kernel_list(const char *const *stores, bool verify, json_t **list,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes the kernel that a profile names, or one by its id or a prefix of it (8 digits at least),
 * from a store, with the profile names that lead to it. Damaged ones, too. VMs that run it go on.
 * Errors: -ENOENT, -EBUSY (a build is under way).
 */
int arrow_kernel_remove(
	const char *store, const char *name, struct arrow_error *error) ARROW_MUST_CHECK;

/* Names of all profiles, NULL-terminated; owned by the caller (strv_free). */
char **arrow_kernel_profiles(void) ARROW_MUST_CHECK;

#endif
