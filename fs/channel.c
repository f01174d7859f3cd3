// SPDX-License-Identifier: Apache-2.0
#include "fs/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/bounds.h"

#define CHUNK 65536u /* bytes that are read at once, unless a request is known to be longer */
#define ROOM (FS_REQUEST_MAX + CHUNK)

int channel_init(struct fs_channel *c, int fd)
{
	int room = FS_REQUEST_MAX;
	uint8_t *p;

	*c = (struct fs_channel){.fd = fd, .lock = PTHREAD_MUTEX_INITIALIZER};
	/* Pages of it are taken as they are used. */
	p = mmap(NULL, ROOM + FS_DATA_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	c->in = p;
	c->out = p + ROOM;
	/* A reply should not have to wait for its reader; the kernel gives what it has. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return 0;
}

void channel_release(struct fs_channel *c)
{
	if (c->in)
		munmap(c->in, ROOM + FS_DATA_MAX);
	c->in = c->out = NULL;
}

static void channel_set_timeout(struct fs_channel *c, time_t seconds)
{
	struct timeval t = {.tv_sec = seconds};

	c->timed = setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0 && seconds > 0;
}

/* The guest has paused. */
static void channel_give_back(struct fs_channel *c)
{
	channel_set_timeout(c, 0);
	c->touched = false;
	if (c->begin == c->end)
		madvise(c->in, ROOM + FS_DATA_MAX, MADV_DONTNEED);
}

static ssize_t channel_read(struct fs_channel *c, size_t need)
{
	size_t have = c->end - c->begin, want = need - have;
	ssize_t n;

	if (have == 0) {
		c->begin = c->end = 0;
	} else if (c->begin > 0 && (ROOM - c->begin < need || ROOM - c->end < CHUNK)) {
		memmove(c->in, c->in + c->begin, have);
		c->begin = 0;
		c->end = have;
	}
	if (want < CHUNK)
		want = CHUNK < ROOM - c->end ? CHUNK : ROOM - c->end;
	else
		c->touched = true;
	if (c->touched && !c->timed) {
		channel_set_timeout(c, 1);
		c->touched = c->timed;
	}
	for (;;) {
		n = recv(c->fd, c->in + c->end, want, 0);
		if (n >= 0)
			return n;
		if (errno == EAGAIN && c->timed)
			channel_give_back(c);
		else if (errno == ECONNRESET) /* it hung up with replies to read */
			return 0;
		else if (errno != EINTR)
			return -errno;
	}
}

int channel_next(struct fs_channel *c, struct fs_request *r)
{
	for (;;) {
		size_t have = c->end - c->begin, need = sizeof(r->in);
		ssize_t n;

		if (have >= sizeof(r->in)) {
			memcpy(&r->in, c->in + c->begin, sizeof(r->in));
			need = r->in.len;
			if (need < sizeof(r->in) || need > FS_REQUEST_MAX)
				return -EPROTO;
			if (have >= need) {
				r->next = c->in + c->begin + sizeof(r->in);
				r->left = need - sizeof(r->in);
				c->begin += need;
				return 1;
			}
		}
		n = channel_read(c, need);
		if (n <= 0)
			return (int)n;
		c->end += (size_t)n;
	}
}

void channel_reply(struct fs_channel *c, uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + size), .error = error, .unique = unique};
	struct iovec parts[2] = {{&out, sizeof(out)}, {(void *)(uintptr_t)data, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = size > 0 ? 2 : 1};

	pthread_mutex_lock(&c->lock);
	while (message.msg_iovlen > 0) {
		ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			break; /* whoever reads next is told of the end, too */
		}
		while (message.msg_iovlen > 0 && (size_t)n >= message.msg_iov->iov_len) {
			n -= (ssize_t)message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen > 0) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
			message.msg_iov->iov_len -= (size_t)n;
		}
	}
	pthread_mutex_unlock(&c->lock);
}
