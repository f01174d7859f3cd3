// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include "fs/statx.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000u
#endif

#define NS_PER_S INT64_C(1000000000)

int fs_stat(int fd, const char *name, struct statx *x)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT;

	if (!*name)
		flags |= AT_EMPTY_PATH;
	if (syscall(SYS_statx, fd, name, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, x) <
		0)
		return -errno;
	return 0;
}

struct fs_identity fs_identify(const struct statx *x)
{
	struct fs_identity id = {
		.ino = x->stx_ino,
		.major = x->stx_dev_major,
		.minor = x->stx_dev_minor,
		.type = x->stx_mode & S_IFMT,
	};

	if (x->stx_mask & STATX_MNT_ID)
		id.mount = x->stx_mnt_id;
	if (x->stx_mask & STATX_BTIME)
		id.born =
			(int64_t)((uint64_t)x->stx_btime.tv_sec * NS_PER_S + x->stx_btime.tv_nsec);
	return id;
}

bool fs_identity_equal(const struct fs_identity *a, const struct fs_identity *b)
{
	return a->ino == b->ino && a->mount == b->mount && a->born == b->born &&
	       a->major == b->major && a->minor == b->minor && a->type == b->type;
}

void fs_attributes(const struct statx *x, struct fuse_attr *attr)
{
	*attr = (struct fuse_attr){
		.ino = x->stx_ino,
		.size = x->stx_size,
		.blocks = x->stx_blocks,
		.atime = (uint64_t)x->stx_atime.tv_sec,
		.mtime = (uint64_t)x->stx_mtime.tv_sec,
		.ctime = (uint64_t)x->stx_ctime.tv_sec,
		.atimensec = x->stx_atime.tv_nsec,
		.mtimensec = x->stx_mtime.tv_nsec,
		.ctimensec = x->stx_ctime.tv_nsec,
		.mode = x->stx_mode,
		.nlink = x->stx_nlink,
		.uid = x->stx_uid,
		.gid = x->stx_gid,
		.rdev = fs_device_encode(x->stx_rdev_major, x->stx_rdev_minor),
		.blksize = x->stx_blksize,
	};
}

uint32_t fs_device_encode(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

dev_t fs_device_decode(uint32_t rdev)
{
	return makedev(rdev >> 8 & 0xfff, (rdev & 0xff) | (rdev >> 12 & 0xfff00));
}
