// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "fs/entry.h"

#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ull << 36) /* since 7.39 of the protocol */
#endif

#define MINOR_LEAST 31u /* of what FUSE_MAX_PAGES needs */
#define INIT_IN_OLD offsetof(struct fuse_init_in, flags2)
#define PAGE 4096u

/* What both modes ask for, of what the guest has. */
static const uint64_t session_flags =
	FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
	FUSE_DONT_MASK | FUSE_FLOCK_LOCKS | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL |
	FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT |
	FUSE_AUTO_INVAL_DATA | FUSE_DIRECT_IO_ALLOW_MMAP;
/*
 * Not FUSE_WRITEBACK_CACHE: it holds for as long as the file system is mounted, and what a program
 * has written would be lost with its VM.
 */
static const uint64_t session_exclusive = FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;

int op_init(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_init_in in = {0};
	struct fuse_init_out reply;
	uint64_t flags;
	int e = request_take(r, &in, r->left < sizeof(in) ? INIT_IN_OLD : sizeof(in));

	if (e < 0)
		return e;
	if (in.major != FUSE_KERNEL_VERSION || in.minor < MINOR_LEAST)
		return -EPROTO;
	/* Another mount, or another kernel: it knows nothing of what was. */
	e = state_reset(s);
	if (e < 0)
		return e;
	flags = in.flags;
	if (in.flags & FUSE_INIT_EXT)
		flags |= (uint64_t)in.flags2 << 32;
	flags &= session_flags | (s->exclusive ? session_exclusive : 0);
	s->setxattr_ext = flags & FUSE_SETXATTR_EXT;
	s->ready = true;
	reply = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor =
			in.minor < FUSE_KERNEL_MINOR_VERSION ? in.minor : FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in.max_readahead < FS_DATA_MAX ? in.max_readahead : FS_DATA_MAX,
		.flags = (uint32_t)flags,
		.flags2 = (uint32_t)(flags >> 32),
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = FS_DATA_MAX,
		.max_pages = FS_DATA_MAX / PAGE,
		.time_gran = 1,
	};
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

int op_destroy(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return state_reset(s);
}

int op_interrupt(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_interrupt_in in;

	if (request_take(r, &in, sizeof(in)) == 0)
		waits_cancel(&s->waits, in.unique);
	return FS_LATER;
}

int op_statfs(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	int fd = node_fd(&s->nodes, r->node);
	struct fuse_statfs_out reply = {0};
	struct statfs f;

	if (fd < 0)
		return fd;
	if (fstatfs(fd, &f) < 0)
		return -errno;
	reply.st = (struct fuse_kstatfs){
		.blocks = f.f_blocks,
		.bfree = f.f_bfree,
		.bavail = f.f_bavail,
		.files = f.f_files,
		.ffree = f.f_ffree,
		.bsize = (uint32_t)f.f_bsize,
		.namelen = (uint32_t)f.f_namelen,
		.frsize = (uint32_t)f.f_frsize,
	};
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

static int session_syncfs(struct fs_job *job)
{
	return syncfs(job->fd) < 0 ? -errno : 0;
}

int op_syncfs(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	int fd = node_fd(&s->nodes, r->node);
	char path[FS_PATH_MAX];
	struct fs_job *job;

	if (fd < 0)
		return fd;
	if (!S_ISDIR(r->node->identity.type))
		return -ENOTDIR;
	fs_path(fd, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	job = work_job(r->in.unique, fd, session_syncfs);
	close(fd);
	return job ? work_start(&s->work, job) : -ENOMEM;
}
