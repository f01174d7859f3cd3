/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_UNIFORM_H
#define ARROW_IMAGE_UNIFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

/*
 * Uniform images: what a kernel keeps of an EROFS image once it is mounted (the superblock, and the
 * inode of the root) is the same for all of them. So a template's loader can mount the image of
 * the job to come before there is one, and what it mounted is that job's image in a clone.
 *
 * For that the root's inode and entries lie in the first 1024 bytes, which EROFS leaves free, and
 * the inode claims all that room as its size. An image whose root has more entries is not uniform,
 * and is mounted with the job.
 */

/* The most bytes that the entries of a uniform image's root can take. */
#define EROFS_UNIFORM_ROOT 896u

/*
 * Makes an image uniform that mkfs.erofs or rootfs_write() made, if it can be. Its compact inodes
 * have the time 0. Returns 0, also for one that stays as it is, or a negative errno.
 */
int erofs_make_uniform(int fd) ARROW_MUST_CHECK;

/* The same for a root of any number, which the superblock may have no room for. */
int erofs_make_uniform_at(int fd, uint64_t root_nid) ARROW_MUST_CHECK;

bool erofs_is_uniform(int fd);

/*
 * Mode, owner and group of the root of an image, which a mount that is older than the image does
 * not show. Returns 0 or a negative errno.
 */
int erofs_read_root(int fd, uint32_t *mode, uint32_t *uid, uint32_t *gid) ARROW_MUST_CHECK;

#endif
