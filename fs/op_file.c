// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/entry.h"

#define LARGE 65536u /* bytes from which on memory is given back later */

int op_open(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_open_out reply;
	struct fuse_open_in in;
	int e = request_take(r, &in, sizeof(in)), fd;

	if (e < 0)
		return e;
	fd = fs_open(s, r->node, in.flags, !(in.open_flags & FUSE_OPEN_KILL_SUIDGID));
	if (fd < 0)
		return fd;
	e = fs_open_handle(s, r->node, fd, in.flags, &reply);
	if (e < 0)
		return e;
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

int op_read(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_read_in in;
	const struct fs_handle *h;
	int e = request_take(r, &in, sizeof(in));
	ssize_t n;

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, false);
	if (!h)
		return -EBADF;
	n = pread(
		h->fd, out->data, in.size < FS_DATA_MAX ? in.size : FS_DATA_MAX, (off_t)in.offset);
	if (n < 0)
		return -errno;
	if (n >= LARGE)
		s->channel.touched = true;
	out->size = (size_t)n;
	return 0;
}

static int file_sync(struct fs_job *job)
{
	int r = job->mode ? fdatasync(job->fd) : fsync(job->fd);

	return r < 0 ? -errno : 0;
}

/* A program may set O_APPEND when the file is open; what the guest had cached has its place. */
static int file_set_append(struct fs_handle *h, bool append)
{
	int flags;

	if (append == h->append)
		return 0;
	flags = fcntl(h->fd, F_GETFL);
	if (flags < 0 || fcntl(h->fd, F_SETFL, append ? flags | O_APPEND : flags & ~O_APPEND) < 0)
		return -errno;
	h->append = append;
	return 0;
}

int op_write(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_write_out reply = {0};
	struct fuse_write_in in;
	struct fs_handle *h;
	struct fs_job *job;
	int e = request_take(r, &in, sizeof(in));
	ssize_t n;

	if (e < 0)
		return e;
	if (in.size > r->left)
		return -EINVAL;
	h = handle_get(&s->handles, in.fh, false);
	if (!h)
		return -EBADF;
	e = file_set_append(h, !(in.write_flags & FUSE_WRITE_CACHE) && in.flags & O_APPEND);
	if (e < 0)
		return e;
	caller_keep_suid(&s->caller, !(in.write_flags & FUSE_WRITE_KILL_SUIDGID));
	n = pwrite(h->fd, r->next, in.size, (off_t)in.offset);
	if (n < 0)
		return -errno;
	h->written = true;
	reply.size = (uint32_t)n;
	if (!(in.flags & O_DSYNC)) {
		memcpy(out->data, &reply, sizeof(reply));
		out->size = sizeof(reply);
		return 0;
	}
	/* O_SYNC has this bit and one more. */
	job = work_job(r->in.unique, h->fd, file_sync);
	if (!job)
		return -ENOMEM;
	job->mode = (in.flags & O_SYNC) != O_SYNC;
	job->out = reply;
	job->out_size = sizeof(reply);
	return work_start(&s->work, job);
}

int op_flush(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_flush_in in;
	struct fs_handle *h;
	int e = request_take(r, &in, sizeof(in)), fd;

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, false);
	if (!h)
		return -EBADF;
	locks_flush(&s->locks, h->node, in.lock_owner);
	if (!h->written)
		return 0;
	/* Network file systems tell of a full disk when a file is closed. */
	h->written = false;
	fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 3);
	return fd >= 0 && close(fd) < 0 ? -errno : 0;
}

int op_release(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_release_in in;
	struct fs_handle *h;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, false);
	if (!h)
		return -EBADF;
	locks_release(&s->locks, h);
	handle_close(&s->handles, &s->nodes, h);
	return 0;
}

static int file_start_sync(struct fs_state *s, struct fs_request *r, bool directory)
{
	const struct fs_handle *h;
	struct fuse_fsync_in in;
	struct fs_job *job;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, directory);
	if (!h)
		return -EBADF;
	job = work_job(r->in.unique, h->fd, file_sync);
	if (!job)
		return -ENOMEM;
	job->mode = in.fsync_flags & FUSE_FSYNC_FDATASYNC;
	return work_start(&s->work, job);
}

int op_fsync(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return file_start_sync(s, r, false);
}

int op_fsyncdir(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return file_start_sync(s, r, true);
}
