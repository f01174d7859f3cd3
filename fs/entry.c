// SPDX-License-Identifier: Apache-2.0
#include "fs/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* For a guest that has its files to itself; core/keeper/server.c waits longer. */
#define KEEP_S 1u

void fs_path(int fd, char path[FS_PATH_MAX])
{
	snprintf(path, FS_PATH_MAX, "%d", fd);
}

uint64_t fs_keep(struct fs_state *s)
{
	sigset_t pending;

	if (s->exclusive && sigpending(&pending) == 0 && sigismember(&pending, s->share_signal))
		s->exclusive = false;
	return s->exclusive ? KEEP_S : 0;
}

static uint32_t entry_device(uint32_t major, uint32_t minor)
{
	return major << 20 | minor;
}

uint64_t fs_number(const struct fs_state *s, uint32_t major, uint32_t minor, uint64_t ino)
{
	if (!s->first_device)
		return ino;
	return ino ^ (uint64_t)(entry_device(major, minor) ^ s->first_device) << 32;
}

void fs_fill_attr(const struct fs_state *s, const struct statx *x, struct fuse_attr *attr)
{
	fs_attributes(x, attr);
	attr->ino = fs_number(s, x->stx_dev_major, x->stx_dev_minor, x->stx_ino);
}

int fs_entry(struct fs_state *s, struct fs_node *parent, const char *name, const struct statx *x,
	int fd, struct fuse_entry_out *entry, struct fs_node **node)
{
	int r = node_look_up(&s->nodes, parent, name, x, fd, node);
	uint64_t keep;

	if (r < 0)
		return r;
	keep = fs_keep(s);
	*entry = (struct fuse_entry_out){
		.nodeid = (*node)->id, .entry_valid = keep, .attr_valid = keep};
	if (!s->first_device)
		s->first_device = entry_device(x->stx_dev_major, x->stx_dev_minor);
	fs_fill_attr(s, x, &entry->attr);
	return 0;
}

int fs_reply_entry(
	struct fs_state *s, struct fs_node *parent, const char *name, struct fs_reply *out)
{
	int fd = node_fd(&s->nodes, parent), r;
	struct fuse_entry_out entry;
	struct fs_node *node;
	struct statx x;

	if (fd < 0)
		return fd;
	r = fs_stat(fd, name, &x);
	if (r == 0)
		r = fs_entry(s, parent, name, &x, -1, &entry, &node);
	if (r < 0)
		return r;
	memcpy(out->data, &entry, sizeof(entry));
	out->size = sizeof(entry);
	return 0;
}

int fs_open_flags(uint32_t flags)
{
	/* O_DIRECT would need aligned memory; O_SYNC is done by a thread after the write. */
	return (int)(flags & (O_ACCMODE | O_APPEND | O_TRUNC | O_NOATIME)) | O_CLOEXEC | O_NOCTTY;
}

int fs_open(struct fs_state *s, struct fs_node *n, uint32_t flags, bool keep_suid)
{
	char path[FS_PATH_MAX];
	int fd;

	if (!S_ISREG(n->identity.type))
		return S_ISDIR(n->identity.type)   ? -EISDIR
		       : S_ISLNK(n->identity.type) ? -ELOOP
						   : -ENXIO;
	fd = node_fd(&s->nodes, n);
	if (fd < 0)
		return fd;
	fs_path(fd, path);
	if (flags & O_TRUNC)
		caller_keep_suid(&s->caller, keep_suid);
	fd = open(path, fs_open_flags(flags));
	return fd < 0 ? -errno : fd;
}

int fs_open_handle(
	struct fs_state *s, struct fs_node *n, int fd, uint32_t flags, struct fuse_open_out *open)
{
	struct fs_handle *h;
	int r = handle_open(&s->handles, n, fd, false, &h);

	if (r < 0)
		return r;
	h->append = flags & O_APPEND;
	h->written = flags & O_TRUNC;
	/*
	 * Also for a guest that has its files to itself: what is open in its page cache stays
	 * there, and is read again only when the time or size differs, whoever changes the file by
	 * then.
	 */
	*open = (struct fuse_open_out){
		.fh = h->id, .open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};
	return 0;
}
