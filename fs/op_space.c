// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FALLOCATE_MODES 0x7bu /* all of fallocate(2) but NO_HIDE_STALE */

/* Two numbers that Linux takes as signed ones. */
static bool space_is_range(uint64_t offset, uint64_t length)
{
	return offset <= INT64_MAX && length <= INT64_MAX - offset;
}

static int space_fallocate(struct fs_job *job)
{
	return fallocate(job->fd, job->mode, (off_t)job->offset, (off_t)job->length) < 0 ? -errno
											 : 0;
}

int op_fallocate(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_fallocate_in in;
	struct fs_handle *h;
	struct fs_job *job;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, false);
	if (!h)
		return -EBADF;
	if (in.mode & ~FALLOCATE_MODES)
		return -EOPNOTSUPP;
	if (!space_is_range(in.offset, in.length))
		return -EFBIG;
	job = work_job(r->in.unique, h->fd, space_fallocate);
	if (!job)
		return -ENOMEM;
	h->written = true;
	job->mode = (int)in.mode;
	job->offset = in.offset;
	job->length = in.length;
	return work_start(&s->work, job);
}

int op_lseek(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_lseek_out reply;
	const struct fs_handle *h;
	struct fuse_lseek_in in;
	int e = request_take(r, &in, sizeof(in));
	off_t offset;

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, false);
	if (!h)
		return -EBADF;
	/* All other kinds the guest does by itself. */
	if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE)
		return -EINVAL;
	offset = lseek(h->fd, (off_t)in.offset, (int)in.whence);
	if (offset < 0)
		return -errno;
	reply.offset = (uint64_t)offset;
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

static int space_copy(struct fs_job *job)
{
	int64_t from = (int64_t)job->offset, to = (int64_t)job->other_offset;
	long n = syscall(SYS_copy_file_range, job->fd, &from, job->other, &to, job->length, 0);

	if (n < 0)
		return -errno;
	job->out.size = (uint32_t)n;
	job->out_size = sizeof(job->out);
	return 0;
}

int op_copy_file_range(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_copy_file_range_in in;
	struct fs_handle *from, *to;
	struct fs_job *job;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	from = handle_get(&s->handles, in.fh_in, false);
	to = handle_get(&s->handles, in.fh_out, false);
	if (!from || !to)
		return -EBADF;
	/* Less than it asked for is right, and lets it be interrupted. */
	if (in.len > FS_COPY_MAX)
		in.len = FS_COPY_MAX;
	if (in.flags || !space_is_range(in.off_in, in.len) || !space_is_range(in.off_out, in.len))
		return -EINVAL;
	job = work_job(r->in.unique, from->fd, space_copy);
	if (!job)
		return -ENOMEM;
	job->other = fcntl(to->fd, F_DUPFD_CLOEXEC, 3);
	if (job->other < 0) {
		work_free(job);
		return -ENFILE;
	}
	to->written = true;
	job->offset = in.off_in;
	job->other_offset = in.off_out;
	job->length = in.len;
	return work_start(&s->work, job);
}
