// SPDX-License-Identifier: Apache-2.0
/*
 * A template's memory, for a QEMU that must not change it. QEMU opens such a file for reading and
 * writing even where it maps it private, so to give it the file at all is to give it the memory of
 * every later clone. Here the one call that does so, openat(AT_FDCWD, ..., O_RDWR) and no flag
 * beside, waits for the keeper, which answers it with a descriptor that can only be read.
 */
#include "engine/jail_ram.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"

union rights {
	struct cmsghdr head;
	char room[CMSG_SPACE(2 * sizeof(int))];
};

int arrow_jail_hand_over(int socket, int listener, int ram)
{
	const int fds[2] = {listener, ram};
	char byte = 0;
	struct iovec part = {&byte, 1};
	union rights rights = {.head = {.cmsg_len = CMSG_LEN(sizeof(fds)),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights)};

	memcpy(CMSG_DATA(&rights.head), fds, sizeof(fds));
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Takes what the child handed over: from then on it is the listener that is watched. */
static int ram_take_over(struct arrow_jail_watch *w)
{
	char byte;
	struct iovec part = {&byte, 1};
	union rights rights = {0};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights)};
	int fds[2];
	ssize_t n = recvmsg(w->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != 1 || rights.head.cmsg_len != CMSG_LEN(sizeof(fds)))
		return -EPIPE;
	memcpy(fds, CMSG_DATA(&rights.head), sizeof(fds));
	close(w->fd);
	w->fd = fds[0];
	w->ram = fds[1];
	return 0;
}

int arrow_jail_answer(struct arrow_jail_watch *w)
{
	struct seccomp_notif call = {0};
	struct seccomp_notif_addfd answer = {0};

	if (w->ram < 0)
		return ram_take_over(w);
	if (ioctl(w->fd, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	answer.id = call.id;
	answer.flags = SECCOMP_ADDFD_FLAG_SEND;
	answer.srcfd = (uint32_t)w->ram;
	/* One that was killed meanwhile needs no answer. */
	if (ioctl(w->fd, SECCOMP_IOCTL_NOTIF_ADDFD, &answer) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

void arrow_jail_watch_release(struct arrow_jail_watch *w)
{
	close_keep_errno(w->fd);
	close_keep_errno(w->ram);
	w->fd = w->ram = -1;
}
