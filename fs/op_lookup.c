// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "fs/entry.h"

int op_lookup(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_entry_out none = {0};
	const char *name;
	int e = request_name(r, &name);

	if (e < 0)
		return e;
	if (r->in.nodeid == FUSE_ROOT_ID && !strcmp(name, FS_WAITS_NAME))
		return op_waits(s, r, out);
	e = fs_reply_entry(s, r->node, name, out);
	if (e != -ENOENT)
		return e;
	none.entry_valid = fs_keep(s);
	if (none.entry_valid == 0)
		return e;
	/* A number of 0 is remembered as an entry that is not there. */
	memcpy(out->data, &none, sizeof(none));
	out->size = sizeof(none);
	return 0;
}

int op_forget(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fs_node *n = node_get(&s->nodes, r->in.nodeid);
	struct fuse_forget_in in;

	if (n && request_take(r, &in, sizeof(in)) == 0)
		node_forget(&s->nodes, n, in.nlookup);
	return FS_LATER;
}

int op_batch_forget(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_batch_forget_in in;
	struct fuse_forget_one one;

	if (request_take(r, &in, sizeof(in)) < 0)
		return FS_LATER;
	for (uint32_t i = 0; i < in.count && request_take(r, &one, sizeof(one)) == 0; i++) {
		struct fs_node *n = node_get(&s->nodes, one.nodeid);

		if (n)
			node_forget(&s->nodes, n, one.nlookup);
	}
	return FS_LATER;
}

int op_readlink(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	int fd = node_fd(&s->nodes, r->node);
	ssize_t n;

	if (fd < 0)
		return fd;
	if (!S_ISLNK(r->node->identity.type))
		return -EINVAL;
	n = readlinkat(fd, "", out->data, PATH_MAX);
	if (n < 0)
		return -errno;
	out->size = (size_t)n;
	return 0;
}
