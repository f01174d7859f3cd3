/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_OPS_H
#define ARROW_FS_OPS_H

#include "fs/state.h"

/*
 * The operations of FUSE: one function for each, named as there (<linux/fuse.h>), and grouped by
 * file. Each decodes its request (r->node is checked already), and returns as struct fs_reply says.
 */

typedef int fs_operation(struct fs_state *s, struct fs_request *r, struct fs_reply *out);

/* op_session.c */
fs_operation op_init, op_destroy, op_interrupt, op_statfs, op_syncfs;
/* op_lookup.c */
fs_operation op_lookup, op_forget, op_batch_forget, op_readlink;
/* op_attr.c */
fs_operation op_getattr, op_setattr, op_statx;
/* op_create.c */
fs_operation op_mknod, op_mkdir, op_symlink, op_link, op_create, op_tmpfile;
/* op_remove.c */
fs_operation op_unlink, op_rmdir, op_rename, op_rename2;
/* op_file.c */
fs_operation op_open, op_read, op_write, op_flush, op_release, op_fsync, op_fsyncdir;
/* op_space.c */
fs_operation op_fallocate, op_lseek, op_copy_file_range;
/* op_dir.c */
fs_operation op_opendir, op_readdir, op_readdirplus, op_releasedir;
/* op_xattr.c */
fs_operation op_setxattr, op_getxattr, op_listxattr, op_removexattr;
/* op_lock.c */
fs_operation op_getlk, op_setlk, op_setlkw;
/* op_waits.c: every operation on .arrow-waits */
fs_operation op_waits;

#endif
