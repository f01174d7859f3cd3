// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "fs/entry.h"
#include "util/cleanup.h"

#define MODE_BITS 07777u

int op_mknod(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_mknod_in in;
	const char *name;
	int e = request_take(r, &in, sizeof(in)), fd;

	if (e == 0)
		e = request_name(r, &name);
	if (e < 0)
		return e;
	fd = node_fd(&s->nodes, r->node);
	if (fd < 0)
		return fd;
	caller_set_mask(&s->caller, in.umask);
	if (mknodat(fd, name, in.mode & (S_IFMT | MODE_BITS), fs_device_decode(in.rdev)) < 0)
		return -errno;
	return fs_reply_entry(s, r->node, name, out);
}

int op_mkdir(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_mkdir_in in;
	const char *name;
	int e = request_take(r, &in, sizeof(in)), fd;

	if (e == 0)
		e = request_name(r, &name);
	if (e < 0)
		return e;
	fd = node_fd(&s->nodes, r->node);
	if (fd < 0)
		return fd;
	caller_set_mask(&s->caller, in.umask);
	if (mkdirat(fd, name, in.mode & MODE_BITS) < 0)
		return -errno;
	return fs_reply_entry(s, r->node, name, out);
}

int op_symlink(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	const char *name, *target;
	int e = request_name(r, &name), fd;

	if (e < 0)
		return e;
	target = request_string(r);
	if (!target || !*target)
		return -EINVAL;
	if (strlen(target) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = node_fd(&s->nodes, r->node);
	if (fd < 0)
		return fd;
	if (symlinkat(target, fd, name) < 0)
		return -errno;
	return fs_reply_entry(s, r->node, name, out);
}

int op_link(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_link_in in;
	char path[FS_PATH_MAX];
	struct fs_node *old;
	const char *name;
	int e = request_take(r, &in, sizeof(in)), fd, fd_old;

	if (e == 0)
		e = request_name(r, &name);
	if (e < 0)
		return e;
	old = node_get(&s->nodes, in.oldnodeid);
	if (!old)
		return -ESTALE;
	e = node_fds(&s->nodes, r->node, old, &fd, &fd_old);
	if (e < 0)
		return e;
	/* That of /proc is followed; where it leads to a link, this one is not. */
	fs_path(fd_old, path);
	if (linkat(AT_FDCWD, path, fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return fs_reply_entry(s, r->node, name, out);
}

/* The reply to what is created and open. fd: taken. name: NULL for a file without. */
static int create_reply(struct fs_state *s, struct fs_request *r, const char *name, int fd,
	uint32_t flags, struct fs_reply *out)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} reply;
	struct fs_node *n;
	struct statx x;
	int e = fs_stat(fd, "", &x);

	if (e == 0)
		e = fs_entry(s, r->node, name, &x, fd, &reply.entry, &n);
	if (e < 0) {
		close(fd);
		return e;
	}
	e = fs_open_handle(s, n, fd, flags, &reply.open);
	if (e < 0) {
		node_forget(&s->nodes, n, 1);
		return e;
	}
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

/* Somebody else was faster, and the guest did not ask to be the first. */
static int create_open(struct fs_state *s, struct fs_request *r, const char *name,
	const struct fuse_create_in *in, struct fs_reply *out)
{
	struct fs_node *n;
	int e = fs_reply_entry(s, r->node, name, out), fd;

	if (e < 0)
		return e == -ENOENT ? -ESTALE : e;
	n = node_get(&s->nodes, ((struct fuse_entry_out *)out->data)->nodeid);
	/* The guest looks up what it is, and follows it if it is a link. */
	fd = S_ISREG(n->identity.type) || S_ISDIR(n->identity.type)
		     ? fs_open(s, n, in->flags, !(in->open_flags & FUSE_OPEN_KILL_SUIDGID))
		     : -ESTALE;
	e = fd < 0 ? fd : create_reply(s, r, name, fd, in->flags, out);
	node_forget(&s->nodes, n, 1);
	return e;
}

int op_create(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_create_in in;
	const char *name;
	int e = request_take(r, &in, sizeof(in)), fd;

	if (e == 0)
		e = request_name(r, &name);
	if (e < 0)
		return e;
	fd = node_fd(&s->nodes, r->node);
	if (fd < 0)
		return fd;
	caller_set_mask(&s->caller, in.umask);
	/* Exclusively: what is there already might be anything. */
	fd = openat(fd, name, (fs_open_flags(in.flags) & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW,
		in.mode & MODE_BITS);
	if (fd >= 0)
		return create_reply(s, r, name, fd, in.flags, out);
	if (errno != EEXIST || in.flags & O_EXCL)
		return -errno;
	return create_open(s, r, name, &in, out);
}

int op_tmpfile(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_create_in in;
	int e = request_take(r, &in, sizeof(in)), fd;

	/* The guest's kernel sends a name that is none. */
	if (e < 0)
		return e;
	fd = node_fd(&s->nodes, r->node);
	if (fd < 0)
		return fd;
	caller_set_mask(&s->caller, in.umask);
	fd = openat(fd, ".", (fs_open_flags(in.flags) & ~O_TRUNC) | O_TMPFILE, in.mode & MODE_BITS);
	if (fd < 0)
		return -errno;
	return create_reply(s, r, NULL, fd, in.flags, out);
}
