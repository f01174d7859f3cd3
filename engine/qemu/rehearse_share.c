// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/rehearse_share.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "util/io.h"

#define REQUEST_MAX 8192u /* of what a rehearsal asks */

/* As the server of volumes has it, as far as it leads the guest other ways. */
#define INIT_FLAGS                                                                                 \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |              \
		FUSE_DONT_MASK | FUSE_FLOCK_LOCKS | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |        \
		FUSE_POSIX_ACL | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT |    \
		FUSE_AUTO_INVAL_DATA)

struct reply {
	struct fuse_out_header head;
	union {
		struct fuse_init_out init;
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
	};
};

static void share_fill_attr(struct fuse_attr *attr, uint64_t node)
{
	*attr = (struct fuse_attr){
		.ino = node, .mode = S_IFDIR | 0755, .nlink = 2, .blksize = 4096};
}

/* The name of a look-up is behind the header. The volume is "0", and nothing is in it. */
static int share_look_up(struct reply *reply, const struct fuse_in_header *in, const char *name)
{
	if (in->nodeid != FUSE_ROOT_ID || strcmp(name, "0") != 0)
		return -ENOENT;
	reply->entry.nodeid = FUSE_ROOT_ID + 1;
	share_fill_attr(&reply->entry.attr, reply->entry.nodeid);
	return sizeof(reply->entry);
}

/* Fills in what answers a request. Returns its size, or a negative errno to answer with. */
static int share_answer(struct reply *reply, const struct fuse_in_header *in, const char *argument)
{
	switch (in->opcode) {
	case FUSE_INIT:
		reply->init = (struct fuse_init_out){.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.max_readahead = 131072,
			.flags = INIT_FLAGS,
			.max_background = 64,
			.congestion_threshold = 48,
			.max_write = 1u << 20,
			.time_gran = 1,
			.max_pages = 256};
		return sizeof(reply->init);
	case FUSE_LOOKUP:
		return share_look_up(reply, in, argument);
	case FUSE_GETATTR:
		share_fill_attr(&reply->attr.attr, in->nodeid);
		return sizeof(reply->attr);
	case FUSE_DESTROY:
		return 0;
	default:
		return -ENOSYS;
	}
}

int qemu_rehearse_share(int fd)
{
	/* A NUL is behind whatever is in it. */
	union {
		struct fuse_in_header in;
		char data[REQUEST_MAX + 1];
	} request = {0};
	struct reply reply = {0};
	int n;

	if (recv(fd, &request.in, sizeof(request.in), MSG_WAITALL) != (ssize_t)sizeof(request.in))
		return -EPIPE;
	if (request.in.len < sizeof(request.in) || request.in.len > REQUEST_MAX)
		return -EPROTO;
	n = (int)(request.in.len - sizeof(request.in));
	if (n && recv(fd, request.data + sizeof(request.in), (size_t)n, MSG_WAITALL) != n)
		return -EPIPE;
	if (request.in.opcode == FUSE_FORGET || request.in.opcode == FUSE_BATCH_FORGET)
		return 0;
	n = share_answer(&reply, &request.in, request.data + sizeof(request.in));
	reply.head.unique = request.in.unique;
	reply.head.error = n < 0 ? n : 0;
	reply.head.len = (uint32_t)sizeof(reply.head) + (uint32_t)(n > 0 ? n : 0);
	return write_full(fd, &reply, reply.head.len);
}
