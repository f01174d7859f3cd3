// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <string.h>

#define OFFSET_LAST ((uint64_t)INT64_MAX) /* "to the end" */

static int lock_take(struct fs_state *s, struct fs_request *r, struct fs_lock_request *l)
{
	struct fuse_lk_in in;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	*l = (struct fs_lock_request){
		.unique = r->in.unique,
		.owner = in.owner,
		.handle = handle_get(&s->handles, in.fh, false),
		.caller = r->in.pid,
		.pid = in.lk.pid,
		.flock = in.lk_flags & FUSE_LK_FLOCK,
	};
	if (!l->handle)
		return -EBADF;
	if ((in.lk.type != F_RDLCK && in.lk.type != F_WRLCK && in.lk.type != F_UNLCK) ||
		in.lk.start > in.lk.end || in.lk.end > OFFSET_LAST)
		return -EINVAL;
	l->lock.l_type = (short)in.lk.type;
	l->lock.l_whence = SEEK_SET;
	l->lock.l_start = (off_t)in.lk.start;
	l->lock.l_len = in.lk.end == OFFSET_LAST ? 0 : (off_t)(in.lk.end - in.lk.start + 1);
	return 0;
}

int op_getlk(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_lk_out reply = {0};
	struct fs_lock_request l;
	int e = lock_take(s, r, &l);

	if (e == 0)
		e = l.lock.l_type == F_UNLCK ? -EINVAL : locks_test(&s->locks, &l);
	if (e < 0)
		return e;
	reply.lk.type = (uint32_t)l.lock.l_type;
	if (l.lock.l_type != F_UNLCK) {
		reply.lk.start = (uint64_t)l.lock.l_start;
		reply.lk.end =
			l.lock.l_len ? (uint64_t)(l.lock.l_start + l.lock.l_len - 1) : OFFSET_LAST;
		reply.lk.pid = l.pid;
	}
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

static int lock_set(struct fs_state *s, struct fs_request *r, bool wait)
{
	struct fs_lock_request l;
	int e = lock_take(s, r, &l);

	l.wait = wait;
	return e < 0 ? e : locks_set(&s->locks, &l);
}

int op_setlk(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return lock_set(s, r, false);
}

int op_setlkw(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return lock_set(s, r, true);
}
