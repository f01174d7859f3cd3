/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_USERNS_H
#define ARROW_CORE_USERNS_H

#include "util/error.h"

/*
 * A user namespace for an ordinary user's volumes and root directories, as rootless Podman has
 * it: the user is root in it, and the ids from 1 on are those of /etc/subuid and /etc/subgid, where
 * the user has any. Where not, only the user's own id can be given to files. fd: gets the
 * namespace, owned by the caller; -1 for root, who needs none
 */
int arrow_userns_create(int *fd, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
