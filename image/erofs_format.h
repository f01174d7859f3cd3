/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_EROFS_FORMAT_H
#define ARROW_IMAGE_EROFS_FORMAT_H

/*
 * The on-disk format of EROFS, as far as Arrow writes it: without compression, and but for roots
 * that mkfs.erofs made with extended inodes only. After Linux 6.12, fs/erofs/erofs_fs.h and
 * Documentation/filesystems/erofs.rst. All numbers are little endian.
 */

#include <stdint.h>

#define EROFS_SUPER_OFFSET 1024u
#define EROFS_SUPER_MAGIC 0xE0F5E1E2u
#define EROFS_BLOCK_BITS 12u
#define EROFS_COMPAT_CHECKSUM 0x1u
#define EROFS_COMPAT_MTIME 0x2u
#define EROFS_SLOT 32u /* an inode's number is its offset in these */

#define EROFS_INODE_EXTENDED 1u
#define EROFS_LAYOUT_MASK 0xeu
#define EROFS_LAYOUT_PLAIN (0u << 1)
#define EROFS_LAYOUT_INLINE (2u << 1)

#define EROFS_TYPE_DIRECTORY 2u

#define EROFS_XATTR_INDEX_USER 1u
#define EROFS_XATTR_INDEX_ACL_ACCESS 2u
#define EROFS_XATTR_INDEX_ACL_DEFAULT 3u
#define EROFS_XATTR_INDEX_TRUSTED 4u
#define EROFS_XATTR_INDEX_SECURITY 6u

struct erofs_super {
	uint32_t magic, checksum, feature_compat;
	uint8_t block_bits, extension_slots;
	uint16_t root_nid;
	uint64_t inodes, build_time;
	uint32_t build_time_nsec, blocks, meta_block, xattr_block;
	uint8_t uuid[16], volume_name[16];
	uint32_t feature_incompat;
	uint16_t compression, extra_devices, device_slots;
	uint8_t directory_block_bits, xattr_prefix_count;
	uint32_t xattr_prefix_start;
	uint64_t packed_nid;
	uint8_t reserved[24];
} __attribute__((packed));

struct erofs_inode {
	uint16_t format, xattr_count, mode, reserved;
	uint64_t size;
	uint32_t block_or_rdev, number, uid, gid;
	uint64_t mtime;
	uint32_t mtime_nsec, links;
	uint8_t reserved2[16];
} __attribute__((packed));

struct erofs_inode_compact {
	uint16_t format, xattr_count, mode, links;
	uint32_t size, reserved, block_or_rdev, number;
	uint16_t uid, gid;
	uint32_t reserved2;
} __attribute__((packed));

struct erofs_xattrs {
	uint32_t reserved;
	uint8_t shared_count, reserved2[7];
} __attribute__((packed));

struct erofs_xattr {
	uint8_t name_size, prefix;
	uint16_t value_size;
} __attribute__((packed));

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_offset;
	uint8_t type, reserved;
} __attribute__((packed));

_Static_assert(sizeof(struct erofs_super) == 128, "erofs_super");
_Static_assert(sizeof(struct erofs_inode) == 64, "erofs_inode");
_Static_assert(sizeof(struct erofs_inode_compact) == 32, "erofs_inode_compact");
_Static_assert(sizeof(struct erofs_xattrs) == 12, "erofs_xattrs");
_Static_assert(sizeof(struct erofs_xattr) == 4, "erofs_xattr");
_Static_assert(sizeof(struct erofs_dirent) == 12, "erofs_dirent");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "EROFS is little endian");

#endif
