/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_KERNEL_KERNEL_H
#define ARROW_KERNEL_KERNEL_H

/*
 * Kernels: STORE/kernels/<id>/{vmlinux,config,System.map,kernel.json}, where id is the hash of the
 * configuration, the source's version and the compiler. STORE/kernels/<profile> is a symbolic link
 * to the one that was built last for a profile. A folder is written beside and renamed.
 */

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

void arrow_kernel_release(struct arrow_kernel *kernel);

#endif
