// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <string.h>

static const struct fuse_attr waits_attr = {
	.ino = FS_WAITS_ID, .mode = S_IFREG | 0600, .nlink = 1, .blksize = 4096};

static void waits_reply(struct fs_reply *out, const void *data, size_t size)
{
	memcpy(out->data, data, size);
	out->size = size;
}

static int waits_do_read(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_read_in in;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	return waits_read(&s->waits, r->in.unique, out->data,
		in.size < FS_DATA_MAX ? in.size : FS_DATA_MAX, &out->size);
}

static int waits_do_write(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_write_in in;
	int e = request_take(r, &in, sizeof(in));

	if (e == 0)
		e = in.size <= r->left ? waits_write(&s->waits, r->next, in.size) : -EINVAL;
	if (e < 0)
		return e;
	waits_reply(out, &(struct fuse_write_out){.size = in.size}, sizeof(struct fuse_write_out));
	return 0;
}

int op_waits(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	const struct fuse_open_out open = {
		.fh = FS_WAITS_ID, .open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE};
	const struct fuse_entry_out entry = {.nodeid = FS_WAITS_ID, .attr = waits_attr};
	const struct fuse_attr_out attr = {.attr = waits_attr};

	switch (r->in.opcode) {
	case FUSE_LOOKUP:
		if (r->in.nodeid == FS_WAITS_ID)
			return -ENOTDIR;
		waits_reply(out, &entry, sizeof(entry));
		return 0;
	case FUSE_GETATTR:
	case FUSE_SETATTR: /* what a shell does to write to it */
		waits_reply(out, &attr, sizeof(attr));
		return 0;
	case FUSE_OPEN:
		if (r->in.uid != 0)
			return -EACCES;
		waits_reply(out, &open, sizeof(open));
		return 0;
	case FUSE_READ:
		return waits_do_read(s, r, out);
	case FUSE_WRITE:
		return waits_do_write(s, r, out);
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	case FUSE_FORGET:
		return FS_LATER;
	default: /* not ENOSYS: the guest would never ask again for any file */
		return -EOPNOTSUPP;
	}
}
