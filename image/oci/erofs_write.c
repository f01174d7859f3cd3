// SPDX-License-Identifier: Apache-2.0
/*
 * A tree as an EROFS image: block 0 with the superblock, the content of files, the blocks of large
 * directories, then all inodes in the order of a walk, each followed by its xattrs and what is
 * small enough to go inline. Content starts on a block, for DAX.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/erofs_format.h"
#include "image/oci/rootfs.h"
#include "image/uniform.h"
#include "util/cleanup.h"
#include "util/io.h"

#define ROOT_POSITION 64u /* in the inode area: 0 is no inode number that readers like */

struct writer {
	struct rootfs *fs;
	uint64_t position; /* in the inode area */
	uint8_t *meta;     /* the inode area; owned */
	uint64_t base;     /* what numbers of inodes begin with on disk */
	uint32_t number;   /* of inodes */
};

static uint64_t erofs_align(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static size_t xattr_size(const struct rootfs_inode *inode)
{
	size_t size = sizeof(struct erofs_xattrs);

	if (inode->n_xattrs == 0)
		return 0;
	for (size_t i = 0; i < inode->n_xattrs; i++)
		size += erofs_align(sizeof(struct erofs_xattr) + strlen(inode->xattrs[i].name) +
					    inode->xattrs[i].size,
			4);
	return size;
}

static int by_prefix(const void *a, const void *b)
{
	const struct rootfs_xattr *x = a, *y = b;

	return x->prefix != y->prefix ? x->prefix - y->prefix : strcmp(x->name, y->name);
}

static int by_entry_name(const void *a, const void *b)
{
	return strcmp(((const struct rootfs_name *)a)->name, ((const struct rootfs_name *)b)->name);
}

/* The children in order; "." and ".." have no entries in the tree and sort like all others. */
static int sort_children(struct rootfs_inode *d)
{
	_cleanup_free_ struct rootfs_entry **children = rootfs_children(d);

	d->sorted = calloc(d->n_children + 2, sizeof(*d->sorted));
	if (!children || !d->sorted)
		return -ENOMEM;
	for (size_t i = 0; children[i]; i++)
		d->sorted[i] = (struct rootfs_name){children[i]->name, children[i]->inode};
	d->sorted[d->n_children] = (struct rootfs_name){".", d};
	d->sorted[d->n_children + 1] = (struct rootfs_name){"..", d->parent ? d->parent : d};
	qsort(d->sorted, d->n_children + 2, sizeof(*d->sorted), by_entry_name);
	return 0;
}

static bool is_child(const struct rootfs_inode *d, size_t i)
{
	return strcmp(d->sorted[i].name, ".") != 0 && strcmp(d->sorted[i].name, "..") != 0;
}

/* How many entries from one on fit into a block, and the bytes that they take there. */
static size_t fit_block(const struct rootfs_inode *d, size_t from, size_t *bytes)
{
	size_t count = d->n_children + 2, n = 0;

	*bytes = 0;
	while (from + n < count) {
		size_t size = sizeof(struct erofs_dirent) + strlen(d->sorted[from + n].name);

		if (*bytes + size > ROOTFS_BLOCK)
			break;
		*bytes += size;
		n++;
	}
	return n;
}

static uint64_t directory_size(const struct rootfs_inode *d)
{
	uint64_t size = 0;
	size_t bytes, n;

	for (size_t at = 0; (n = fit_block(d, at, &bytes)) > 0; at += n)
		size = erofs_align(size, ROOTFS_BLOCK) + bytes;
	return size;
}

/* Gives an inode its number, and room for what is not inline. */
static int place_inode(struct writer *w, struct rootfs_inode *inode)
{
	size_t head = sizeof(struct erofs_inode) + xattr_size(inode), tail = 0;

	if (S_ISDIR(inode->mode)) {
		int e = sort_children(inode);

		if (e < 0)
			return e;
		inode->size = directory_size(inode);
	} else if (S_ISLNK(inode->mode)) {
		inode->size = strlen(inode->target);
	}
	if (inode->n_xattrs > 1)
		qsort(inode->xattrs, inode->n_xattrs, sizeof(*inode->xattrs), by_prefix);

	w->position = erofs_align(w->position, sizeof(struct erofs_inode));
	if ((S_ISDIR(inode->mode) || S_ISLNK(inode->mode)) && inode->size < ROOTFS_BLOCK) {
		tail = inode->size;
		/* What is inline must not cross a block. */
		if ((w->position + head) % ROOTFS_BLOCK + tail > ROOTFS_BLOCK)
			w->position = erofs_align(w->position, ROOTFS_BLOCK);
		inode->inlined = (w->position + head) % ROOTFS_BLOCK + tail <= ROOTFS_BLOCK;
	}
	if (!inode->inlined && (S_ISDIR(inode->mode) || S_ISLNK(inode->mode))) {
		tail = 0;
		inode->block = w->fs->next_block;
		w->fs->next_block += erofs_align(inode->size, ROOTFS_BLOCK) / ROOTFS_BLOCK;
	}
	inode->nid = w->position / EROFS_SLOT;
	w->position += head + tail;
	return 0;
}

static int place_tree(struct writer *w, struct rootfs_inode *d)
{
	int e = place_inode(w, d);

	for (size_t i = 0; e == 0 && i < d->n_children + 2; i++) {
		struct rootfs_inode *inode = d->sorted[i].inode;

		/* The other names of a hard link lead to where the first one is. */
		if (!is_child(d, i) || inode->nid)
			continue;
		e = S_ISDIR(inode->mode) ? place_tree(w, inode) : place_inode(w, inode);
	}
	return e;
}

static uint8_t type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	case S_IFSOCK:
		return 6;
	default:
		return 7; /* a symbolic link */
	}
}

/* One block of a directory: its entries, then their names. */
static void fill_block(
	uint64_t base, const struct rootfs_inode *d, size_t from, size_t n, uint8_t *out)
{
	size_t offset = n * sizeof(struct erofs_dirent);

	for (size_t i = 0; i < n; i++) {
		const struct rootfs_inode *inode = d->sorted[from + i].inode;
		const char *name = d->sorted[from + i].name;
		const struct erofs_dirent entry = {.nid = base + inode->nid,
			.name_offset = (uint16_t)offset,
			.type = type_of(inode->mode)};

		memcpy(out + i * sizeof(entry), &entry, sizeof(entry));
		memcpy(out + offset, name, strlen(name));
		offset += strlen(name);
	}
}

static int write_at(const struct writer *w, uint64_t offset, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size > 0) {
		ssize_t n = pwrite(w->fs->fd, p, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int fill_directory(const struct writer *w, const struct rootfs_inode *d, uint8_t *tail)
{
	uint64_t offset = d->block * ROOTFS_BLOCK;
	uint8_t block[ROOTFS_BLOCK];
	size_t bytes, n;

	for (size_t at = 0; (n = fit_block(d, at, &bytes)) > 0; at += n) {
		int e;

		if (d->inlined) {
			fill_block(w->base, d, at, n, tail);
			return 0;
		}
		memset(block, 0, sizeof(block));
		fill_block(w->base, d, at, n, block);
		e = write_at(w, offset, block, sizeof(block));
		if (e < 0)
			return e;
		offset += ROOTFS_BLOCK;
	}
	return 0;
}

static uint8_t *fill_xattrs(const struct rootfs_inode *inode, uint8_t *out)
{
	if (inode->n_xattrs == 0)
		return out;
	out += sizeof(struct erofs_xattrs);
	for (size_t i = 0; i < inode->n_xattrs; i++) {
		const struct rootfs_xattr *x = &inode->xattrs[i];
		const struct erofs_xattr head = {
			(uint8_t)strlen(x->name), x->prefix, (uint16_t)x->size};

		memcpy(out, &head, sizeof(head));
		memcpy(out + sizeof(head), x->name, head.name_size);
		memcpy(out + sizeof(head) + head.name_size, x->value, x->size);
		out += erofs_align(sizeof(head) + head.name_size + x->size, 4);
	}
	return out;
}

static uint32_t link_count(const struct rootfs_inode *inode)
{
	uint32_t links = 2;

	if (!S_ISDIR(inode->mode))
		return inode->links;
	for (size_t i = 0; i < inode->n_children + 2; i++)
		links += is_child(inode, i) && S_ISDIR(inode->sorted[i].inode->mode);
	return links;
}

static int fill_inode(struct writer *w, const struct rootfs_inode *inode)
{
	uint8_t *out = w->meta + inode->nid * EROFS_SLOT;
	size_t xattrs = xattr_size(inode);
	struct erofs_inode raw = {
		.format = EROFS_INODE_EXTENDED |
			  (inode->inlined ? EROFS_LAYOUT_INLINE : EROFS_LAYOUT_PLAIN),
		.xattr_count =
			xattrs ? (uint16_t)(1 + (xattrs - sizeof(struct erofs_xattrs)) / 4) : 0,
		.mode = (uint16_t)inode->mode,
		.size = inode->size,
		.block_or_rdev = (uint32_t)inode->block,
		.number = ++w->number,
		.uid = inode->uid,
		.gid = inode->gid,
		.mtime = (uint64_t)inode->mtime,
		.mtime_nsec = inode->mtime_nsec,
		.links = link_count(inode),
	};

	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		raw.block_or_rdev = inode->rdev;
	memcpy(out, &raw, sizeof(raw));
	out = fill_xattrs(inode, out + sizeof(raw));
	if (S_ISDIR(inode->mode))
		return fill_directory(w, inode, out);
	if (!S_ISLNK(inode->mode))
		return 0;
	if (!inode->inlined)
		return write_at(w, inode->block * ROOTFS_BLOCK, inode->target, inode->size);
	memcpy(out, inode->target, inode->size);
	return 0;
}

/* In the order of the numbers; what was filled already has a number in the area. */
static int fill_tree(struct writer *w, const struct rootfs_inode *d)
{
	int e = fill_inode(w, d);

	for (size_t i = 0; e == 0 && i < d->n_children + 2; i++) {
		const struct rootfs_inode *inode = d->sorted[i].inode;

		if (!is_child(d, i))
			continue;
		if (S_ISDIR(inode->mode))
			e = fill_tree(w, inode);
		else if (((struct erofs_inode *)(w->meta + inode->nid * EROFS_SLOT))->links == 0)
			e = fill_inode(w, inode);
	}
	return e;
}

static void fill_super(const struct writer *w, const char *digest, uint64_t meta_block,
	uint64_t blocks, uint8_t block[ROOTFS_BLOCK])
{
	struct erofs_super super = {
		.magic = EROFS_SUPER_MAGIC,
		.feature_compat = EROFS_COMPAT_MTIME,
		.block_bits = EROFS_BLOCK_BITS,
		.root_nid = w->base ? 0 : (uint16_t)w->fs->root->nid,
		.inodes = w->number,
		.blocks = (uint32_t)blocks,
		.meta_block = w->base ? 0 : (uint32_t)meta_block,
	};

	for (size_t i = 0; i < sizeof(super.uuid); i++) {
		const char pair[] = {digest[2 * i], digest[2 * i + 1], '\0'};

		super.uuid[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	memset(block, 0, ROOTFS_BLOCK);
	memcpy(block + EROFS_SUPER_OFFSET, &super, sizeof(super));
}

int rootfs_write(struct rootfs *fs, const char *digest)
{
	struct writer w = {.fs = fs, .position = ROOT_POSITION};
	uint64_t meta_block, blocks, size;
	uint8_t block[ROOTFS_BLOCK];
	int e = place_tree(&w, fs->root);

	if (e < 0)
		return e;
	meta_block = fs->next_block;
	size = erofs_align(w.position, ROOTFS_BLOCK);
	blocks = meta_block + size / ROOTFS_BLOCK;
	if (blocks > UINT32_MAX)
		return -EFBIG;
	/* In a uniform image all numbers are of places in the image, and the root gets a copy in
	 * front. */
	if (fs->root->size <= EROFS_UNIFORM_ROOT)
		w.base = meta_block * ROOTFS_BLOCK / EROFS_SLOT;
	w.meta = calloc(1, size);
	if (!w.meta)
		return -ENOMEM;
	e = fill_tree(&w, fs->root);
	if (e == 0)
		e = write_at(&w, meta_block * ROOTFS_BLOCK, w.meta, size);
	free(w.meta);
	if (e < 0)
		return e;
	fill_super(&w, digest, meta_block, blocks, block);
	e = write_at(&w, 0, block, sizeof(block));
	if (e == 0 && ftruncate(fs->fd, (off_t)(blocks * ROOTFS_BLOCK)) < 0)
		e = -errno;
	if (e == 0 && w.base)
		e = erofs_make_uniform_at(fs->fd, w.base + fs->root->nid);
	return e;
}
