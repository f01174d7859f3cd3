// SPDX-License-Identifier: Apache-2.0
#include "fs/state.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FILES_OTHER 64u /* descriptors for neither nodes, handles nor locks */

static int state_open_root(struct fs_state *s, uint32_t fds_max)
{
	int fd = fcntl(s->root, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : nodes_init(&s->nodes, fd, fds_max);
}

int state_init(struct fs_state *s, const struct fs_options *o)
{
	uint32_t nodes = o->files_max / 4, others = o->files_max / 8 + FILES_OTHER, handles;
	int r;

	if (nodes > FS_NODE_FDS_MAX)
		nodes = FS_NODE_FDS_MAX;
	if (others > FS_OWNERS_MAX + FS_WAITS_MAX + FS_JOBS_MAX)
		others = FS_OWNERS_MAX + FS_WAITS_MAX + FS_JOBS_MAX;
	handles = o->files_max > nodes + others ? o->files_max - nodes - others : 1;
	if (handles > FS_HANDLES_MAX)
		handles = FS_HANDLES_MAX;
	*s = (struct fs_state){.root = o->root,
		.share_signal = o->share_signal,
		.exclusive = o->exclusive,
		.handles.max = handles};
	r = channel_init(&s->channel, o->socket);
	if (r < 0)
		return r;
	work_init(&s->work, &s->channel);
	waits_init(&s->waits, &s->channel, o->interrupt_signal);
	s->locks = (struct fs_locks){.nodes = &s->nodes, .work = &s->work, .waits = &s->waits};
	caller_init(&s->caller);
	return state_open_root(s, nodes);
}

static void state_forget(struct fs_state *s)
{
	waits_cancel_all(&s->waits);
	for (uint32_t i = 1; i < s->handles.n; i++) {
		struct fs_handle *h = s->handles.slots[i].thing;

		if (h) {
			locks_release(&s->locks, h);
			handle_close(&s->handles, &s->nodes, h);
		}
	}
	nodes_release(&s->nodes);
}

int state_reset(struct fs_state *s)
{
	s->ready = false;
	state_forget(s);
	return state_open_root(s, s->nodes.fds_max);
}

void state_release(struct fs_state *s)
{
	state_forget(s);
	work_release(&s->work);
	slots_release(&s->handles);
	channel_release(&s->channel);
	close(s->channel.fd);
	close(s->root);
}
