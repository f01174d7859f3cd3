/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_SERVER_H
#define ARROW_FS_SERVER_H

#include "fs/state.h"

/*
 * The file server of an Arrow: requests of the guest's virtio-fs driver (FUSE, <linux/fuse.h>) are
 * done on the files below one directory. docs/volumes.md says what is promised.
 */

/* Serves until the other side hangs up. Returns 0 or a negative errno (-EPROTO). */
int server_run(struct fs_state *s) ARROW_MUST_CHECK;

/* Does one request and answers it, unless that comes later. */
void server_do(struct fs_state *s, struct fs_request *r);

#endif
