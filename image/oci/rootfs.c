// SPDX-License-Identifier: Apache-2.0
#include "image/oci/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image/erofs_format.h"
#include "util/cleanup.h"

#define LINKS_FOLLOWED_MAX 40u /* as Linux */
#define ENTRY_COST 96u         /* bytes of an entry in the tree, about */
#define XATTR_COST 96u         /* bytes of an xattr beside name and value, about */

static int by_name(const void *a, const void *b)
{
	return strcmp(
		((const struct rootfs_entry *)a)->name, ((const struct rootfs_entry *)b)->name);
}

int rootfs_begin(struct rootfs *fs, int fd, const struct arrow_image_limits *limits,
	struct arrow_error *error)
{
	*fs = (struct rootfs){.fd = fd,
		.next_block = 1,
		.files = 1,
		.max_size = limits->max_size ? limits->max_size : IMAGE_MAX_SIZE,
		.max_files = limits->max_files ? limits->max_files : IMAGE_MAX_FILES,
		.max_memory = limits->max_memory ? limits->max_memory : IMAGE_MAX_MEMORY};
	fs->root = rootfs_inode(S_IFDIR | 0755);
	if (!fs->root)
		return arrow_no_memory(error);
	fs->root->links = 1;
	return 0;
}

struct rootfs_inode *rootfs_inode(uint32_t mode)
{
	struct rootfs_inode *inode = calloc(1, sizeof(*inode));

	if (inode)
		inode->mode = mode;
	return inode;
}

/* Texts are in memory twice: in the tree, and in the area of inodes when it is written. */
static uint64_t text_cost(size_t size)
{
	return 2 * (uint64_t)size;
}

static uint64_t xattr_cost(const struct rootfs_xattr *x)
{
	return XATTR_COST + text_cost(strlen(x->name) + x->size);
}

static int charge_memory(struct rootfs *fs, uint64_t bytes)
{
	if (bytes > fs->max_memory || fs->memory > fs->max_memory - bytes)
		return -EOVERFLOW;
	fs->memory += bytes;
	return 0;
}

static void clear_xattrs(struct rootfs *fs, struct rootfs_inode *inode)
{
	for (size_t i = 0; i < inode->n_xattrs; i++) {
		fs->memory -= xattr_cost(&inode->xattrs[i]);
		free(inode->xattrs[i].name);
		free(inode->xattrs[i].value);
	}
	free(inode->xattrs);
	inode->xattrs = NULL;
	inode->n_xattrs = 0;
}

void rootfs_inode_free(struct rootfs *fs, struct rootfs_inode *inode)
{
	if (!inode)
		return;
	clear_xattrs(fs, inode);
	if (inode->target)
		fs->memory -= text_cost(strlen(inode->target));
	free(inode->sorted);
	free(inode->target);
	free(inode);
}

static void drop_children(struct rootfs *fs, struct rootfs_inode *directory);

static uint64_t blocks_of(uint64_t size)
{
	return (size + ROOTFS_BLOCK - 1) / ROOTFS_BLOCK;
}

/* An entry less leads to an inode. The room of content that nothing leads to goes back. */
static void drop_inode(struct rootfs *fs, struct rootfs_inode *inode)
{
	if (--inode->links > 0)
		return;
	drop_children(fs, inode);
	fs->files--;
	/* On a file system without holes the bytes stay, and nobody reads them. */
	if (S_ISREG(inode->mode) && inode->size && fs->fd >= 0 &&
		fallocate(fs->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(inode->block * ROOTFS_BLOCK),
			(off_t)(blocks_of(inode->size) * ROOTFS_BLOCK)) == 0)
		fs->content -= blocks_of(inode->size) * ROOTFS_BLOCK;
	rootfs_inode_free(fs, inode);
}

static void free_entry(struct rootfs *fs, struct rootfs_entry *entry)
{
	drop_inode(fs, entry->inode);
	fs->memory -= ENTRY_COST + text_cost(strlen(entry->name));
	free(entry->name);
	free(entry);
}

static void drop_children(struct rootfs *fs, struct rootfs_inode *directory)
{
	while (directory->children) {
		struct rootfs_entry *entry = *(struct rootfs_entry **)directory->children;

		tdelete(entry, &directory->children, by_name);
		free_entry(fs, entry);
	}
	directory->n_children = 0;
}

void rootfs_release(struct rootfs *fs)
{
	/* Nothing need be given back to a file that is itself about to go. */
	fs->fd = -1;
	if (fs->root)
		drop_inode(fs, fs->root);
	fs->root = NULL;
}

struct rootfs_entry *rootfs_find(const struct rootfs_inode *directory, const char *name)
{
	const struct rootfs_entry key = {.name = (char *)name};
	void *const *found = tfind(&key, &directory->children, by_name);

	return found ? *found : NULL;
}

static void remove_entry(
	struct rootfs *fs, struct rootfs_inode *directory, struct rootfs_entry *entry)
{
	tdelete(entry, &directory->children, by_name);
	directory->n_children--;
	free_entry(fs, entry);
}

static int add_entry(struct rootfs *fs, struct rootfs_inode *directory, const char *name,
	struct rootfs_inode *inode, uint32_t layer)
{
	uint64_t cost = ENTRY_COST + text_cost(strlen(name));
	struct rootfs_entry *entry;
	int e = charge_memory(fs, cost);

	if (e < 0)
		return e;
	entry = calloc(1, sizeof(*entry));
	if (entry)
		entry->name = strdup(name);
	if (!entry || !entry->name || !tsearch(entry, &directory->children, by_name)) {
		fs->memory -= cost;
		free(entry ? entry->name : NULL);
		free(entry);
		return -ENOMEM;
	}
	entry->inode = inode;
	entry->layer = layer;
	directory->n_children++;
	inode->links++;
	if (S_ISDIR(inode->mode)) {
		inode->parent = directory;
		inode->depth = directory->depth + 1;
	}
	return 0;
}

/* A directory takes over the metadata of another. */
static void update_directory(
	struct rootfs *fs, struct rootfs_inode *old, struct rootfs_inode *fresh)
{
	clear_xattrs(fs, old);
	old->mode = fresh->mode;
	old->uid = fresh->uid;
	old->gid = fresh->gid;
	old->mtime = fresh->mtime;
	old->mtime_nsec = fresh->mtime_nsec;
	old->xattrs = STEAL(fresh->xattrs);
	old->n_xattrs = fresh->n_xattrs;
	fresh->n_xattrs = 0;
	rootfs_inode_free(fs, fresh);
}

int rootfs_put(struct rootfs *fs, struct rootfs_inode *directory, const char *name,
	struct rootfs_inode *fresh, uint32_t layer)
{
	struct rootfs_entry *old;
	bool is_new;
	int e;

	if (!*name) {
		if (directory->parent || !S_ISDIR(fresh->mode))
			return -EISDIR;
		update_directory(fs, directory, fresh);
		return 0;
	}
	if (strlen(name) > ROOTFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (S_ISDIR(fresh->mode) && directory->depth >= ROOTFS_DEPTH_MAX)
		return -ENAMETOOLONG;
	is_new = fresh->links == 0;
	if (is_new && fs->files >= fs->max_files)
		return -EFBIG;
	old = rootfs_find(directory, name);
	if (old && old->inode == fresh)
		return 0;
	if (old && S_ISDIR(old->inode->mode) && S_ISDIR(fresh->mode)) {
		update_directory(fs, old->inode, fresh);
		old->layer = layer;
		return 0;
	}
	/* What is linked to may lie below what it replaces: it is held meanwhile. */
	fresh->links++;
	if (old)
		remove_entry(fs, directory, old);
	e = add_entry(fs, directory, name, fresh, layer);
	if (e < 0 && !is_new)
		drop_inode(fs, fresh);
	else
		fresh->links--;
	if (e == 0 && is_new)
		fs->files++;
	return e;
}

struct listing {
	struct rootfs_entry **v;
	size_t n;
};

static void list_entry(const void *node, VISIT which, void *arg)
{
	struct listing *list = arg;

	if (which == postorder || which == leaf)
		list->v[list->n++] = *(struct rootfs_entry *const *)node;
}

struct rootfs_entry **rootfs_children(const struct rootfs_inode *directory)
{
	struct listing list = {calloc(directory->n_children + 1, sizeof(struct rootfs_entry *)), 0};

	if (list.v)
		twalk_r(directory->children, list_entry, &list);
	return list.v;
}

/* Removes an entry of lower layers; of a directory that this layer put something into, the rest. */
static int hide_entry(struct rootfs *fs, struct rootfs_inode *directory, struct rootfs_entry *entry,
	uint32_t layer)
{
	if (S_ISDIR(entry->inode->mode)) {
		int e = rootfs_hide(fs, entry->inode, NULL, layer);

		if (e < 0 || entry->inode->n_children > 0)
			return e;
	}
	if (entry->layer < layer)
		remove_entry(fs, directory, entry);
	return 0;
}

int rootfs_hide(struct rootfs *fs, struct rootfs_inode *directory, const char *name, uint32_t layer)
{
	_cleanup_free_ struct rootfs_entry **children = NULL;
	int e = 0;

	if (name) {
		struct rootfs_entry *entry = rootfs_find(directory, name);

		return entry ? hide_entry(fs, directory, entry, layer) : 0;
	}
	children = rootfs_children(directory);
	if (!children)
		return -ENOMEM;
	for (size_t i = 0; e == 0 && children[i]; i++)
		e = hide_entry(fs, directory, children[i], layer);
	return e;
}

/* One component of a path. */
static int rootfs_step(struct rootfs *fs, struct rootfs_inode **at, const char *name, bool create,
	uint32_t layer, unsigned int *followed);

static int rootfs_descend(struct rootfs *fs, struct rootfs_inode **at, const char *path,
	bool create, uint32_t layer, unsigned int *followed)
{
	char name[ROOTFS_NAME_MAX + 1];

	if (path[0] == '/')
		*at = fs->root;
	for (;;) {
		size_t n;
		int e;

		path += strspn(path, "/");
		if (!*path)
			return 0;
		n = strcspn(path, "/");
		if (n > ROOTFS_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		e = rootfs_step(fs, at, name, create, layer, followed);
		if (e < 0)
			return e;
	}
}

static int rootfs_step(struct rootfs *fs, struct rootfs_inode **at, const char *name, bool create,
	uint32_t layer, unsigned int *followed)
{
	struct rootfs_entry *entry;
	struct rootfs_inode *fresh;
	int e;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		if ((*at)->parent)
			*at = (*at)->parent;
		return 0;
	}
	entry = rootfs_find(*at, name);
	if (!entry && !create)
		return -ENOENT;
	if (!entry) {
		fresh = rootfs_inode(S_IFDIR | 0755);
		e = fresh ? rootfs_put(fs, *at, name, fresh, layer) : -ENOMEM;
		if (e < 0) {
			rootfs_inode_free(fs, fresh);
			return e;
		}
		*at = fresh;
		return 0;
	}
	if (S_ISLNK(entry->inode->mode)) {
		if (++*followed > LINKS_FOLLOWED_MAX)
			return -ELOOP;
		return rootfs_descend(fs, at, entry->inode->target, create, layer, followed);
	}
	if (!S_ISDIR(entry->inode->mode))
		return -ENOTDIR;
	*at = entry->inode;
	return 0;
}

int rootfs_walk(struct rootfs *fs, const char *path, bool create, uint32_t layer,
	struct rootfs_inode **directory)
{
	unsigned int followed = 0;

	*directory = fs->root;
	return rootfs_descend(fs, directory, path, create, layer, &followed);
}

int rootfs_target(struct rootfs *fs, struct rootfs_inode *inode, const char *target)
{
	int e = charge_memory(fs, text_cost(strlen(target)));

	if (e < 0)
		return e;
	inode->target = strdup(target);
	if (inode->target)
		return 0;
	fs->memory -= text_cost(strlen(target));
	return -ENOMEM;
}

/* Takes an xattr out of an inode, if it is there. */
static void drop_xattr(
	struct rootfs *fs, struct rootfs_inode *inode, uint8_t prefix, const char *name)
{
	for (size_t i = 0; i < inode->n_xattrs; i++) {
		struct rootfs_xattr *x = &inode->xattrs[i];

		if (x->prefix != prefix || strcmp(x->name, name) != 0)
			continue;
		fs->memory -= xattr_cost(x);
		free(x->name);
		free(x->value);
		*x = inode->xattrs[--inode->n_xattrs];
		return;
	}
}

int rootfs_xattr(struct rootfs *fs, struct rootfs_inode *inode, const char *name, const void *value,
	size_t size)
{
	static const struct {
		const char *text;
		uint8_t index;
	} prefixes[] = {
		{"user.", EROFS_XATTR_INDEX_USER},
		{"trusted.", EROFS_XATTR_INDEX_TRUSTED},
		{"security.", EROFS_XATTR_INDEX_SECURITY},
		{"system.posix_acl_access", EROFS_XATTR_INDEX_ACL_ACCESS},
		{"system.posix_acl_default", EROFS_XATTR_INDEX_ACL_DEFAULT},
	};
	size_t total = size + strlen(name), i, n;
	struct rootfs_xattr *more;
	int e;

	/* What overlayfs kept its own books with. */
	if (strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0)
		return 0;
	for (i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		n = strlen(prefixes[i].text);
		if (strncmp(name, prefixes[i].text, n) == 0 &&
			(prefixes[i].text[n - 1] == '.') == (name[n] != '\0'))
			break;
	}
	if (i == sizeof(prefixes) / sizeof(*prefixes))
		return 0;
	drop_xattr(fs, inode, prefixes[i].index, name + n);
	for (size_t k = 0; k < inode->n_xattrs; k++)
		total += inode->xattrs[k].size + strlen(inode->xattrs[k].name);
	if (total > ROOTFS_XATTRS_MAX || strlen(name + n) > 255 || inode->n_xattrs >= 1024)
		return -E2BIG;
	more = reallocarray(inode->xattrs, inode->n_xattrs + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	inode->xattrs = more;
	more += inode->n_xattrs;
	*more = (struct rootfs_xattr){prefixes[i].index, strdup(name + n), malloc(size + 1), size};
	e = more->name && more->value ? charge_memory(fs, xattr_cost(more)) : -ENOMEM;
	if (e < 0) {
		free(more->name);
		free(more->value);
		return e;
	}
	if (size)
		memcpy(more->value, value, size);
	inode->n_xattrs++;
	return 0;
}

int rootfs_reserve(struct rootfs *fs, struct rootfs_inode *inode, uint64_t size)
{
	uint64_t blocks = blocks_of(size);

	if (size > fs->max_size || fs->content + blocks * ROOTFS_BLOCK > fs->max_size ||
		fs->next_block + blocks > UINT32_MAX)
		return -EFBIG;
	inode->block = blocks ? fs->next_block : 0;
	inode->size = size;
	fs->next_block += blocks;
	fs->content += blocks * ROOTFS_BLOCK;
	return 0;
}
