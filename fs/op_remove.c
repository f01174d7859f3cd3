// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/entry.h"

#define RENAME_FLAGS 7u /* NOREPLACE, EXCHANGE, WHITEOUT of renameat2(2) */
#define RENAME_EXCHANGING 2u

/* The node of this entry, if the guest knows it. */
static struct fs_node *remove_find(const struct fs_state *s, int fd, const char *name)
{
	struct statx x;

	return fs_stat(fd, name, &x) == 0 ? node_find(&s->nodes, &x) : NULL;
}

/* The entry is gone. A file with several names may be known by another one. */
static void remove_name(
	struct fs_state *s, struct fs_node *n, const struct fs_node *parent, const char *name)
{
	if (n->parent == parent && n->name && !strcmp(n->name, name))
		node_lose_name(&s->nodes, n);
}

static int remove_entry(struct fs_state *s, struct fs_request *r, int flags)
{
	struct fs_node *n;
	const char *name;
	int e = request_name(r, &name), fd;

	if (e < 0)
		return e;
	fd = node_fd(&s->nodes, r->node);
	if (fd < 0)
		return fd;
	n = remove_find(s, fd, name);
	if (n) {
		/* The guest may have it open, or stand in it. */
		node_hold(&s->nodes, n);
		fd = node_fd(&s->nodes, r->node);
		if (fd < 0)
			return fd;
	}
	if (unlinkat(fd, name, flags) < 0)
		return -errno;
	if (n)
		remove_name(s, n, r->node, name);
	return 0;
}

int op_unlink(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return remove_entry(s, r, 0);
}

int op_rmdir(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return remove_entry(s, r, AT_REMOVEDIR);
}

static int remove_rename(struct fs_state *s, struct fs_request *r, uint64_t newdir, uint32_t flags)
{
	struct fs_node *to = node_get(&s->nodes, newdir), *n, *other;
	const char *name, *name_to;
	int e = request_name(r, &name), fd, fd_to;

	if (e == 0)
		e = request_name(r, &name_to);
	if (e < 0)
		return e;
	if (flags & ~RENAME_FLAGS)
		return -EINVAL;
	if (!to)
		return -ESTALE;
	e = node_fds(&s->nodes, r->node, to, &fd, &fd_to);
	if (e < 0)
		return e;
	n = remove_find(s, fd, name);
	other = remove_find(s, fd_to, name_to);
	if (other && other != n) {
		node_hold(&s->nodes, other);
		e = node_fds(&s->nodes, r->node, to, &fd, &fd_to);
		if (e < 0)
			return e;
	}
	if (syscall(SYS_renameat2, fd, name, fd_to, name_to, flags) < 0)
		return -errno;
	if (n == other) /* two names of one file, which stay */
		return 0;
	if (other && flags & RENAME_EXCHANGING)
		node_move(&s->nodes, other, r->node, name);
	else if (other)
		remove_name(s, other, to, name_to);
	if (n)
		node_move(&s->nodes, n, to, name_to);
	return 0;
}

int op_rename(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_rename_in in;
	int e = request_take(r, &in, sizeof(in));

	return e < 0 ? e : remove_rename(s, r, in.newdir, 0);
}

int op_rename2(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_rename2_in in;
	int e = request_take(r, &in, sizeof(in));

	return e < 0 ? e : remove_rename(s, r, in.newdir, in.flags);
}
