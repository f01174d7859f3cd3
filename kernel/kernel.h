/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_KERNEL_KERNEL_H
#define ARROW_KERNEL_KERNEL_H

/*
 * Kernels: STORE/kernels/<id>/{vmlinux,config,System.map,kernel.json}, where id is the hash of the
 * configuration, the source's version and the compiler. STORE/kernels/<profile> is a symbolic link
 * to the one that was built last for a profile. A folder is written beside and renamed.
 */

#include <stdbool.h>
#include <stdio.h>

#include "util/error.h"

struct arrow_kernel {
	int fd;      /* vmlinux, open for reading; owned */
	char id[65]; /* hex */
	char *profile;
	char *path;   /* of vmlinux */
	char *append; /* what this kernel wants on its command line; may be "" */
	unsigned int vcpus_max;
};

/*
 * Opens the kernel of a profile, or one by its id or a prefix of it (8 digits at least), from the
 * first store that has it. Checks it against its digest, once a boot and after each change.
 *   stores:    NULL-terminated list of store directories
 *   cache_dir: where "checked in this boot" is remembered, or NULL
 * Errors: -ENOENT (no such profile; or not built: says which command builds it), -EBADMSG
 * (damaged).
 */
int arrow_kernel_open(struct arrow_kernel *kernel, const char *const *stores, const char *cache_dir,
	const char *name, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Stores a kernel that an image brings, under an id that the caller has from a digest of it all.
 *   about: JSON with profile, sha256, config_sha256, append and vcpus_max, checked here
 * Errors: -EBADMSG (it does not fit the kernel), -EBUSY (a build holds the store for long).
 */
int arrow_kernel_install(const char *store, const char *id, const char *about, int vmlinux_fd,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Whether any of the stores has a kernel of this id. */
bool arrow_kernel_is_there(const char *const *stores, const char *id);

void arrow_kernel_release(struct arrow_kernel *kernel);

#endif
