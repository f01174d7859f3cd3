// SPDX-License-Identifier: Apache-2.0
#include "image/uniform.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/erofs_format.h"

#define BLOCK (1u << EROFS_BLOCK_BITS)
#define ROOT_NID 2u /* 0 is no number that readers like */
#define ROOT_OFFSET (ROOT_NID * EROFS_SLOT)
#define ENTRIES_OFFSET (ROOT_OFFSET + (unsigned int)sizeof(struct erofs_inode))
#define ENTRIES_SIZE EROFS_UNIFORM_ROOT
#define ENTRIES_MAX (ENTRIES_SIZE / sizeof(struct erofs_dirent))

_Static_assert(ENTRIES_OFFSET + ENTRIES_SIZE == EROFS_SUPER_OFFSET, "all that is free");

/* Reads a part of the file. Returns 0, or -EINVAL where it ends before. */
static int read_at(int fd, uint64_t offset, void *data, size_t size)
{
	ssize_t n = pread(fd, data, size, (off_t)offset);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EINVAL;
}

/* All that the kernel keeps, but for names and counts that it only shows. */
static bool super_is_uniform(const struct erofs_super *s)
{
	return s->magic == EROFS_SUPER_MAGIC && s->feature_compat == EROFS_COMPAT_MTIME &&
	       s->block_bits == EROFS_BLOCK_BITS && s->extension_slots == 0 &&
	       s->root_nid == ROOT_NID && s->build_time == 0 && s->build_time_nsec == 0 &&
	       s->meta_block == 0 && s->xattr_block == 0 && s->feature_incompat == 0 &&
	       s->compression == 0 && s->extra_devices == 0 && s->device_slots == 0 &&
	       s->directory_block_bits == 0 && s->xattr_prefix_count == 0 &&
	       s->xattr_prefix_start == 0 && s->packed_nid == 0 && s->reserved[0] == 0;
}

bool erofs_is_uniform(int fd)
{
	uint8_t block[EROFS_SUPER_OFFSET + sizeof(struct erofs_super)];
	struct erofs_super super;
	struct erofs_inode root;

	if (read_at(fd, 0, block, sizeof(block)) < 0)
		return false;
	memcpy(&super, block + EROFS_SUPER_OFFSET, sizeof(super));
	memcpy(&root, block + ROOT_OFFSET, sizeof(root));
	return super_is_uniform(&super) &&
	       root.format == (EROFS_INODE_EXTENDED | EROFS_LAYOUT_INLINE) &&
	       root.xattr_count == 0 && S_ISDIR(root.mode) && root.size == ENTRIES_SIZE;
}

/*
 * A directory: its inode, as an extended one, and where its entries are. Returns 0 or a negative
 * errno.
 */
static int read_directory(int fd, const struct erofs_super *super, uint64_t nid,
	struct erofs_inode *inode, uint64_t *entries)
{
	uint64_t at = ((uint64_t)super->meta_block << EROFS_BLOCK_BITS) + nid * EROFS_SLOT;
	struct erofs_inode_compact compact;
	size_t head = sizeof(*inode);
	int e = read_at(fd, at, &compact, sizeof(compact));

	if (e < 0)
		return e;
	if (compact.format & EROFS_INODE_EXTENDED) {
		e = read_at(fd, at, inode, sizeof(*inode));
	} else {
		head = sizeof(compact);
		*inode = (struct erofs_inode){.format = compact.format,
			.xattr_count = compact.xattr_count,
			.mode = compact.mode,
			.size = compact.size,
			.block_or_rdev = compact.block_or_rdev,
			.number = compact.number,
			.uid = compact.uid,
			.gid = compact.gid,
			.mtime = super->build_time,
			.mtime_nsec = super->build_time_nsec,
			.links = compact.links};
	}
	if (e < 0)
		return e;
	if (!S_ISDIR(inode->mode))
		return -ENOTDIR;
	if (inode->xattr_count > 0)
		head += sizeof(struct erofs_xattrs) + 4u * (inode->xattr_count - 1u);
	*entries = (uint64_t)inode->block_or_rdev << EROFS_BLOCK_BITS;
	if ((inode->format & EROFS_LAYOUT_MASK) == EROFS_LAYOUT_INLINE && inode->size < BLOCK)
		*entries = at + head;
	else if ((inode->format & EROFS_LAYOUT_MASK) != EROFS_LAYOUT_PLAIN)
		return -EINVAL;
	return 0;
}

int erofs_read_root(int fd, uint32_t *mode, uint32_t *uid, uint32_t *gid)
{
	struct erofs_super super;
	struct erofs_inode root;
	uint64_t entries;
	int e = read_at(fd, EROFS_SUPER_OFFSET, &super, sizeof(super));

	if (e == 0 && super.magic != EROFS_SUPER_MAGIC)
		e = -EINVAL;
	if (e == 0)
		e = read_directory(fd, &super, super.root_nid, &root, &entries);
	if (e < 0)
		return e;
	*mode = root.mode;
	*uid = root.uid;
	*gid = root.gid;
	return 0;
}

static size_t count_entries(const uint8_t *block, size_t size)
{
	struct erofs_dirent first;

	if (size < sizeof(first))
		return 0;
	memcpy(&first, block, sizeof(first));
	return first.name_offset <= size ? first.name_offset / sizeof(first) : 0;
}

/* Where in the image a directory names its parent. Returns 0, or -EINVAL where it is hard to find.
 */
static int find_parent_entry(
	int fd, const struct erofs_super *super, uint64_t nid, uint64_t *offset)
{
	struct erofs_inode inode;
	uint8_t block[BLOCK];
	uint64_t entries;
	size_t size;
	int e = read_directory(fd, super, nid, &inode, &entries);

	if (e < 0)
		return e;
	size = inode.size < BLOCK ? (size_t)inode.size : BLOCK;
	e = read_at(fd, entries, block, size);
	for (size_t i = 0, n = count_entries(block, size); e == 0 && i < n; i++) {
		struct erofs_dirent entry, next = {.name_offset = (uint16_t)size};

		memcpy(&entry, block + i * sizeof(entry), sizeof(entry));
		if (i + 1 < n)
			memcpy(&next, block + (i + 1) * sizeof(next), sizeof(next));
		if (next.name_offset > size || next.name_offset != entry.name_offset + 2u ||
			memcmp(block + entry.name_offset, "..", 2) != 0)
			continue;
		*offset = entries + i * sizeof(entry);
		return 0;
	}
	return e < 0 ? e : -EINVAL;
}

/* What is written: the root in front, and where its children name it. */
struct change {
	uint8_t front[EROFS_SUPER_OFFSET + sizeof(struct erofs_super)];
	uint64_t children[ENTRIES_MAX]; /* offsets of such entries */
	size_t count;
};

/* Gives the root its new number, in its own entries, and finds those of its children. */
static int number_root(int fd, const struct erofs_super *super, uint64_t old, struct change *change)
{
	uint8_t *block = change->front + ENTRIES_OFFSET;
	int e = 0;

	for (size_t i = 0, n = count_entries(block, ENTRIES_SIZE); e == 0 && i < n; i++) {
		struct erofs_dirent entry;

		memcpy(&entry, block + i * sizeof(entry), sizeof(entry));
		if (entry.nid == old)
			entry.nid = ROOT_NID;
		else if (entry.type == EROFS_TYPE_DIRECTORY)
			e = find_parent_entry(
				fd, super, entry.nid, &change->children[change->count++]);
		memcpy(block + i * sizeof(entry), &entry, sizeof(entry));
	}
	return e;
}

static int write_change(int fd, const struct change *change)
{
	const uint64_t nid = ROOT_NID;

	errno = EIO; /* of a short write */
	for (size_t i = 0; i < change->count; i++)
		if (pwrite(fd, &nid, sizeof(nid), (off_t)change->children[i]) !=
			(ssize_t)sizeof(nid))
			return -errno;
	return pwrite(fd, change->front, sizeof(change->front), 0) == (ssize_t)sizeof(change->front)
		       ? 0
		       : -errno;
}

int erofs_make_uniform(int fd)
{
	struct erofs_super super;
	int e = read_at(fd, EROFS_SUPER_OFFSET, &super, sizeof(super));

	return e < 0 ? e : erofs_make_uniform_at(fd, super.root_nid);
}

int erofs_make_uniform_at(int fd, uint64_t nid)
{
	struct change change = {.count = 0};
	struct erofs_super super;
	struct erofs_inode root;
	uint64_t entries;
	int e = read_at(fd, EROFS_SUPER_OFFSET, &super, sizeof(super));

	if (e < 0)
		return e;
	if (super.magic != EROFS_SUPER_MAGIC || super.block_bits != EROFS_BLOCK_BITS)
		return -EINVAL;
	e = read_directory(fd, &super, nid, &root, &entries);
	if (e == 0 && root.size <= ENTRIES_SIZE)
		e = read_at(fd, entries, change.front + ENTRIES_OFFSET, (size_t)root.size);
	else if (e == 0)
		e = -EINVAL;
	if (e == 0)
		e = number_root(fd, &super, nid, &change);
	if (e < 0)
		return e == -EINVAL ? 0 : e; /* as it is, it can be mounted, too */

	root.format = EROFS_INODE_EXTENDED | EROFS_LAYOUT_INLINE;
	root.xattr_count = 0; /* the writable layer is what shows its own */
	root.size = ENTRIES_SIZE;
	root.block_or_rdev = 0;
	super.root_nid = ROOT_NID;
	super.feature_compat &= ~EROFS_COMPAT_CHECKSUM;
	super.checksum = 0;
	super.build_time = 0;
	super.build_time_nsec = 0;
	if (!super_is_uniform(&super))
		return 0;
	memcpy(change.front + ROOT_OFFSET, &root, sizeof(root));
	memcpy(change.front + EROFS_SUPER_OFFSET, &super, sizeof(super));
	return write_change(fd, &change);
}
