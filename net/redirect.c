// SPDX-License-Identifier: Apache-2.0
#include "net/redirect.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "net/link.h"
#include "util/cleanup.h"

int net_namespace_enter(const char *path)
{
	_cleanup_close_ int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (before < 0 || fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return -errno;
	return steal_fd(&before);
}

void net_namespace_leave(int before)
{
	/* In the wrong namespace everything that follows would be wrong. */
	if (setns(before, CLONE_NEWNET) < 0)
		_exit(125);
	close(before);
}

void net_redirect_undo(const char *path, const char *device)
{
	int before = net_namespace_enter(path);
	struct net_link link;

	if (before < 0)
		return;
	if (net_link_find(device, &link) == 0)
		net_link_unredirect(link.index);
	net_namespace_leave(before);
}
