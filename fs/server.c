// SPDX-License-Identifier: Apache-2.0
#include "fs/server.h"

#include <errno.h>

#include "fs/ops.h"

/* What stands before an operation. */
enum server_need {
	NEED_NODE = 1,   /* nodeid is that of a file */
	NEED_CALLER = 2, /* it is done as the user who asks for it */
	NO_REPLY = 4,    /* the guest waits for no answer */
};

struct server_operation {
	fs_operation *run;
	unsigned int needs;
};

static const struct server_operation server_operations[] = {
	[FUSE_LOOKUP] = {op_lookup, NEED_NODE | NEED_CALLER},
	[FUSE_FORGET] = {op_forget, NO_REPLY},
	[FUSE_GETATTR] = {op_getattr, NEED_NODE},
	[FUSE_SETATTR] = {op_setattr, NEED_NODE | NEED_CALLER},
	[FUSE_READLINK] = {op_readlink, NEED_NODE},
	[FUSE_SYMLINK] = {op_symlink, NEED_NODE | NEED_CALLER},
	[FUSE_MKNOD] = {op_mknod, NEED_NODE | NEED_CALLER},
	[FUSE_MKDIR] = {op_mkdir, NEED_NODE | NEED_CALLER},
	[FUSE_UNLINK] = {op_unlink, NEED_NODE | NEED_CALLER},
	[FUSE_RMDIR] = {op_rmdir, NEED_NODE | NEED_CALLER},
	[FUSE_RENAME] = {op_rename, NEED_NODE | NEED_CALLER},
	[FUSE_LINK] = {op_link, NEED_NODE | NEED_CALLER},
	[FUSE_OPEN] = {op_open, NEED_NODE | NEED_CALLER},
	[FUSE_READ] = {op_read, NEED_NODE},
	[FUSE_WRITE] = {op_write, NEED_NODE},
	[FUSE_STATFS] = {op_statfs, NEED_NODE},
	[FUSE_RELEASE] = {op_release, 0},
	[FUSE_FSYNC] = {op_fsync, NEED_NODE},
	[FUSE_SETXATTR] = {op_setxattr, NEED_NODE | NEED_CALLER},
	[FUSE_GETXATTR] = {op_getxattr, NEED_NODE | NEED_CALLER},
	[FUSE_LISTXATTR] = {op_listxattr, NEED_NODE | NEED_CALLER},
	[FUSE_REMOVEXATTR] = {op_removexattr, NEED_NODE | NEED_CALLER},
	[FUSE_FLUSH] = {op_flush, 0},
	[FUSE_INIT] = {op_init, 0},
	[FUSE_OPENDIR] = {op_opendir, NEED_NODE | NEED_CALLER},
	[FUSE_READDIR] = {op_readdir, NEED_NODE},
	[FUSE_RELEASEDIR] = {op_releasedir, 0},
	[FUSE_FSYNCDIR] = {op_fsyncdir, NEED_NODE},
	[FUSE_GETLK] = {op_getlk, NEED_NODE},
	[FUSE_SETLK] = {op_setlk, NEED_NODE},
	[FUSE_SETLKW] = {op_setlkw, NEED_NODE},
	[FUSE_CREATE] = {op_create, NEED_NODE | NEED_CALLER},
	[FUSE_INTERRUPT] = {op_interrupt, NO_REPLY},
	[FUSE_DESTROY] = {op_destroy, 0},
	[FUSE_BATCH_FORGET] = {op_batch_forget, NO_REPLY},
	[FUSE_FALLOCATE] = {op_fallocate, NEED_NODE},
	[FUSE_READDIRPLUS] = {op_readdirplus, NEED_NODE | NEED_CALLER},
	[FUSE_RENAME2] = {op_rename2, NEED_NODE | NEED_CALLER},
	[FUSE_LSEEK] = {op_lseek, NEED_NODE},
	[FUSE_COPY_FILE_RANGE] = {op_copy_file_range, NEED_NODE},
	[FUSE_SYNCFS] = {op_syncfs, NEED_NODE},
	[FUSE_TMPFILE] = {op_tmpfile, NEED_NODE | NEED_CALLER},
	[FUSE_STATX] = {op_statx, NEED_NODE},
};

#define OPERATIONS (sizeof(server_operations) / sizeof(server_operations[0]))

static int server_check(struct fs_state *s, struct fs_request *r, struct fs_reply *reply)
{
	const struct server_operation *o;

	if (r->in.opcode >= OPERATIONS || !server_operations[r->in.opcode].run)
		return -ENOSYS; /* the guest does without */
	o = &server_operations[r->in.opcode];
	if (!s->ready && r->in.opcode != FUSE_INIT)
		return o->needs & NO_REPLY ? FS_LATER : -EIO;
	if (r->in.nodeid == FS_WAITS_ID)
		return op_waits(s, r, reply);
	if (o->needs & NEED_NODE) {
		r->node = node_get(&s->nodes, r->in.nodeid);
		if (!r->node)
			return -ESTALE;
	}
	if (o->needs & NEED_CALLER) {
		caller_become(&s->caller, r->in.uid, r->in.gid);
		caller_keep_suid(&s->caller, true);
	}
	return o->run(s, r, reply);
}

void server_do(struct fs_state *s, struct fs_request *r)
{
	struct fs_reply reply = {.data = s->channel.out};
	int e;

	r->node = NULL;
	e = server_check(s, r, &reply);
	if (e != FS_LATER)
		channel_reply(&s->channel, r->in.unique, e, reply.data, e == 0 ? reply.size : 0);
}

int server_run(struct fs_state *s)
{
	struct fs_request r;
	int e;

	while ((e = channel_next(&s->channel, &r)) > 0)
		server_do(s, &r);
	return e;
}
