// SPDX-License-Identifier: Apache-2.0
#include "fs/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int handle_open(
	struct fs_slots *t, struct fs_node *n, int fd, bool directory, struct fs_handle **opened)
{
	struct fs_handle *h = calloc(1, sizeof(*h));
	int r = h ? slots_add(t, h, &h->id) : -ENOMEM;

	if (r < 0) {
		free(h);
		close(fd);
		return r;
	}
	h->fd = fd;
	h->directory = directory;
	h->node = n;
	h->next = n->handles;
	n->handles = h;
	node_ref(n);
	*opened = h;
	return 0;
}

struct fs_handle *handle_get(const struct fs_slots *t, uint64_t id, bool directory)
{
	struct fs_handle *h = slots_get(t, id);

	return h && h->directory == directory ? h : NULL;
}

void handle_close(struct fs_slots *t, struct fs_nodes *nodes, struct fs_handle *h)
{
	struct fs_handle **at = &h->node->handles;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	node_unref(nodes, h->node);
	slots_remove(t, h->id);
	close(h->fd);
	free(h);
}
