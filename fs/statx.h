/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_STATX_H
#define ARROW_FS_STATX_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Older versions of musl have no statx(2). */
#ifndef STATX_BASIC_STATS
#include <linux/stat.h>
#endif
#ifndef AT_STATX_SYNC_AS_STAT
#define AT_STATX_SYNC_AS_STAT 0
#endif

#include "util/error.h"

/* What tells one file from every other, as long as the server lives. */
struct fs_identity {
	uint64_t ino;
	uint64_t mount; /* stx_mnt_id: the same file in two volumes is two, one may be read-only */
	int64_t born;   /* nanoseconds, 0 if the file system does not say: numbers are used again */
	uint32_t major, minor; /* of the file system */
	uint32_t type;         /* S_IFMT */
};

/*
 * Attributes of an entry of a directory, or with the name "" of an open file. No link is followed,
 * nothing is mounted. Returns 0 or a negative errno.
 */
int fs_stat(int fd, const char *name, struct statx *x) ARROW_MUST_CHECK;

struct fs_identity fs_identify(const struct statx *x);

bool fs_identity_equal(const struct fs_identity *a, const struct fs_identity *b);

/* As FUSE has them. The flags are 0. */
void fs_attributes(const struct statx *x, struct fuse_attr *attr);

/* A device number as FUSE has it, and back. */
uint32_t fs_device_encode(uint32_t major, uint32_t minor);
dev_t fs_device_decode(uint32_t rdev);

#endif
