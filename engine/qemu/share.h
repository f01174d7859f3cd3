/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_SHARE_H
#define ARROW_ENGINE_QEMU_SHARE_H

#include "engine/engine.h"

/*
 * QEMU's 9p server exports directories only. A share that is one file gets a small read-only tmpfs
 * in QEMU's own mount namespace, on which the file is bound: the guest reaches that file and
 * nothing beside it.
 */

/* The path that QEMU exports for a share; owned by the caller; NULL when out of memory. */
char *qemu_share_path(const struct arrow_vm_config *config, unsigned int index);

/*
 * In the child, before exec: makes those mounts, if any share is a file. Needs CAP_SYS_ADMIN in
 * the current user namespace. Returns 0 or a negative errno, with errno set.
 */
int qemu_shares_mount(const struct arrow_vm_config *config);

#endif
