// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/entry.h"

#define VALUE_MAX 65536u /* XATTR_SIZE_MAX and XATTR_LIST_MAX of Linux */
#define NAME_LENGTH_MAX 255u

/*
 * The path of the file, by its descriptor: there are no such system calls for an O_PATH one. Which
 * attributes may be set is decided by the guest's kernel for its programs, and by ours for us.
 */
static int xattr_path(struct fs_state *s, struct fs_request *r, char path[FS_PATH_MAX])
{
	int fd = node_fd(&s->nodes, r->node);

	if (fd < 0)
		return fd;
	fs_path(fd, path);
	return 0;
}

static int xattr_name(struct fs_request *r, const char **name)
{
	*name = request_string(r);
	if (!*name || !**name)
		return -EINVAL;
	return strlen(*name) > NAME_LENGTH_MAX ? -ERANGE : 0;
}

int op_setxattr(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_setxattr_in in = {0};
	char path[FS_PATH_MAX];
	const char *name;
	int e = request_take(r, &in, s->setxattr_ext ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE);

	if (e == 0)
		e = xattr_name(r, &name);
	if (e == 0)
		e = xattr_path(s, r, path);
	if (e < 0)
		return e;
	if (in.size > r->left)
		return -EINVAL;
	if (in.size > VALUE_MAX)
		return -E2BIG;
	caller_keep_suid(&s->caller, !(in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID));
	return setxattr(path, name, r->next, in.size, (int)in.flags) < 0 ? -errno : 0;
}

/* What was read, or its size if that was the question. */
static int xattr_reply(ssize_t n, uint32_t asked, struct fs_reply *out)
{
	struct fuse_getxattr_out size = {0};

	if (n < 0)
		return -errno;
	out->size = (size_t)n;
	if (asked == 0) {
		size.size = (uint32_t)n;
		memcpy(out->data, &size, sizeof(size));
		out->size = sizeof(size);
	}
	return 0;
}

int op_getxattr(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_getxattr_in in;
	char path[FS_PATH_MAX];
	const char *name;
	int e = request_take(r, &in, sizeof(in));

	if (e == 0)
		e = xattr_name(r, &name);
	if (e == 0)
		e = xattr_path(s, r, path);
	if (e < 0)
		return e;
	return xattr_reply(getxattr(path, name, in.size ? out->data : NULL,
				   in.size < VALUE_MAX ? in.size : VALUE_MAX),
		in.size, out);
}

int op_listxattr(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_getxattr_in in;
	char path[FS_PATH_MAX];
	int e = request_take(r, &in, sizeof(in));

	if (e == 0)
		e = xattr_path(s, r, path);
	if (e < 0)
		return e;
	return xattr_reply(listxattr(path, in.size ? out->data : NULL,
				   in.size < VALUE_MAX ? in.size : VALUE_MAX),
		in.size, out);
}

int op_removexattr(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	char path[FS_PATH_MAX];
	const char *name;
	int e = xattr_name(r, &name);

	if (e == 0)
		e = xattr_path(s, r, path);
	if (e < 0)
		return e;
	return removexattr(path, name) < 0 ? -errno : 0;
}
