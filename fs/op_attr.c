// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/entry.h"

#define NS_PER_S 1000000000u

/* The handle that a request names beside its node; NULL if it names none, or one of no use. */
static struct fs_handle *attr_handle(const struct fs_state *s, bool given, uint64_t fh)
{
	struct fs_handle *h = given ? handle_get(&s->handles, fh, false) : NULL;

	return h || !given ? h : handle_get(&s->handles, fh, true);
}

static int attr_stat(
	struct fs_state *s, struct fs_node *n, const struct fs_handle *h, struct statx *x)
{
	return h ? fs_stat(h->fd, "", x) : node_stat(&s->nodes, n, x);
}

static int attr_reply(
	struct fs_state *s, struct fs_node *n, const struct fs_handle *h, struct fs_reply *out)
{
	struct fuse_attr_out reply = {0};
	struct statx x;
	int r = attr_stat(s, n, h, &x);

	if (r < 0)
		return r;
	reply.attr_valid = fs_keep(s);
	fs_fill_attr(s, &x, &reply.attr);
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

int op_getattr(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_getattr_in in;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	return attr_reply(
		s, r->node, attr_handle(s, in.getattr_flags & FUSE_GETATTR_FH, in.fh), out);
}

/* FUSE's answer is statx(2)'s structure as far as the numbers of devices, with zeros after them. */
int op_statx(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct {
		uint64_t valid;
		uint32_t valid_nsec, flags;
		uint64_t spare[2];
		struct statx x;
	} reply = {0};
	const size_t end = offsetof(struct statx, stx_dev_minor) + sizeof(reply.x.stx_dev_minor);
	struct fuse_statx_in in;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	e = attr_stat(
		s, r->node, attr_handle(s, in.getattr_flags & FUSE_GETATTR_FH, in.fh), &reply.x);
	if (e < 0)
		return e;
	reply.valid = fs_keep(s);
	reply.x.stx_mask &= STATX_BASIC_STATS | STATX_BTIME;
	reply.x.stx_ino =
		fs_number(s, reply.x.stx_dev_major, reply.x.stx_dev_minor, reply.x.stx_ino);
	memset((char *)&reply.x + end, 0, sizeof(reply.x) - end);
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

static int attr_truncate(struct fs_state *s, struct fs_node *n, const struct fs_handle *h,
	const struct fuse_setattr_in *in)
{
	int fd, r = 0;

	if (in->size > INT64_MAX)
		return -EINVAL;
	caller_keep_suid(&s->caller, !(in->valid & FATTR_KILL_SUIDGID));
	if (h && ftruncate(h->fd, (off_t)in->size) == 0)
		return 0;
	/* A handle that only reads is of no use. */
	if (h && errno != EINVAL && errno != EBADF)
		return -errno;
	fd = fs_open(s, h ? h->node : n, O_WRONLY, true);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)in->size) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int attr_time(
	struct timespec *t, uint32_t set, uint32_t now, uint64_t seconds, uint32_t nsec)
{
	if (nsec >= NS_PER_S)
		return -EINVAL;
	/* Seconds may be negative. */
	t->tv_sec = (time_t)seconds;
	t->tv_nsec = now ? UTIME_NOW : set ? (long)nsec : UTIME_OMIT;
	return 0;
}

static int attr_set_times(int fd, const struct fuse_setattr_in *in)
{
	struct timespec t[2];

	if (attr_time(&t[0], in->valid & FATTR_ATIME, in->valid & FATTR_ATIME_NOW, in->atime,
		    in->atimensec) < 0 ||
		attr_time(&t[1], in->valid & FATTR_MTIME, in->valid & FATTR_MTIME_NOW, in->mtime,
			in->mtimensec) < 0)
		return -EINVAL;
	return utimensat(fd, "", t, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* By a descriptor, which is right for a file that is removed, too. */
static int attr_set(struct fs_state *s, struct fs_node *n, const struct fs_handle *h,
	const struct fuse_setattr_in *in)
{
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;
	int fd = h ? h->fd : node_fd(&s->nodes, n), r;
	char path[FS_PATH_MAX];

	if (fd < 0)
		return fd;
	/* In this order: each may change what the next one sets. */
	if (in->valid & (FATTR_UID | FATTR_GID) && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (in->valid & FATTR_MODE) {
		fs_path(fd, path);
		if (fchmodat(AT_FDCWD, path, in->mode & 07777, 0) < 0)
			return -errno;
	}
	if (in->valid & FATTR_SIZE) {
		r = attr_truncate(s, n, h, in);
		if (r < 0)
			return r;
	}
	if (in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW))
		return attr_set_times(fd, in);
	return 0;
}

int op_setattr(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_setattr_in in;
	const struct fs_handle *h;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	h = attr_handle(s, in.valid & FATTR_FH, in.fh);
	e = attr_set(s, r->node, h, &in);
	return e < 0 ? e : attr_reply(s, r->node, h, out);
}
