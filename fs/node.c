// SPDX-License-Identifier: Apache-2.0
#include "fs/node.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/handle.h"
#include "fs/bounds.h"
#include "util/cleanup.h"

#define BUCKETS_FIRST 256u

/* The order of those whose descriptor may be closed. */

static void nodes_unlist(struct fs_nodes *t, struct fs_node *n)
{
	if (!n->newer && !n->older && t->newest != n)
		return;
	*(n->newer ? &n->newer->older : &t->newest) = n->older;
	*(n->older ? &n->older->newer : &t->oldest) = n->newer;
	n->newer = n->older = NULL;
}

static void nodes_list(struct fs_nodes *t, struct fs_node *n)
{
	n->older = t->newest;
	if (t->newest)
		t->newest->newer = n;
	else
		t->oldest = n;
	t->newest = n;
}

static void node_close(struct fs_nodes *t, struct fs_node *n)
{
	if (n->fd < 0)
		return;
	nodes_unlist(t, n);
	close(n->fd);
	n->fd = -1;
	t->fds--;
}

/* Makes room for another descriptor. The one at hand is not closed for it. */
static void nodes_close_oldest(struct fs_nodes *t, const struct fs_node *but)
{
	struct fs_node *n = t->oldest;

	if (n == but && n)
		n = n->newer;
	if (n)
		node_close(t, n);
}

static void node_set_fd(struct fs_nodes *t, struct fs_node *n, int fd)
{
	if (t->fds >= t->fds_max)
		nodes_close_oldest(t, n);
	n->fd = fd;
	t->fds++;
	if (n->name)
		nodes_list(t, n);
}

/* The table by identity. */

static struct fs_node **nodes_bucket(const struct fs_nodes *t, const struct fs_identity *i)
{
	uint64_t h = i->ino ^ (uint64_t)i->minor << 48 ^ (uint64_t)i->major << 40 ^ i->mount << 24;

	/* Fibonacci's: numbers of files that were made together differ in few bits. */
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return &t->buckets[(h >> 32) & (t->n_buckets - 1)];
}

static void nodes_hash(struct fs_nodes *t, struct fs_node *n)
{
	struct fs_node **at = nodes_bucket(t, &n->identity);

	n->same = *at;
	*at = n;
	n->hashed = true;
	t->n++;
}

static void nodes_unhash(struct fs_nodes *t, struct fs_node *n)
{
	struct fs_node **at = nodes_bucket(t, &n->identity);

	if (!n->hashed)
		return;
	while (*at != n)
		at = &(*at)->same;
	*at = n->same;
	n->same = NULL;
	n->hashed = false;
	t->n--;
}

/* Without memory it stays as it is, and finding takes longer. */
static void nodes_grow(struct fs_nodes *t)
{
	struct fs_node **old = t->buckets, **larger;
	uint32_t n = t->n_buckets;

	if (t->n < n)
		return;
	larger = calloc(n * 2ul, sizeof(struct fs_node *));
	if (!larger)
		return;
	t->buckets = larger;
	t->n_buckets = n * 2;
	t->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		for (struct fs_node *p = old[i], *next; p; p = next) {
			next = p->same;
			nodes_hash(t, p);
		}
	}
	free(old);
}

/* Numbers are used again when a file is gone: what is not held may be another one by now. */
static bool node_is(const struct fs_node *n, const struct fs_identity *i)
{
	if (n->fd < 0 && !n->handles)
		return fs_identity_equal(&n->identity, i);
	return n->identity.ino == i->ino && n->identity.mount == i->mount &&
	       n->identity.major == i->major && n->identity.minor == i->minor;
}

/* Any that has this number, or NULL. */
static struct fs_node *nodes_find(const struct fs_nodes *t, const struct fs_identity *i)
{
	struct fs_node *n = *nodes_bucket(t, i);

	while (n && (n->identity.ino != i->ino || n->identity.mount != i->mount ||
			    n->identity.major != i->major || n->identity.minor != i->minor))
		n = n->same;
	return n;
}

struct fs_node *node_find(const struct fs_nodes *t, const struct statx *x)
{
	struct fs_identity i = fs_identify(x);
	struct fs_node *n = nodes_find(t, &i);

	return n && node_is(n, &i) ? n : NULL;
}

struct fs_node *node_get(const struct fs_nodes *t, uint64_t id)
{
	return slots_get(&t->slots, id);
}

/* References. */

void node_ref(struct fs_node *n)
{
	n->refs++;
}

void node_unref(struct fs_nodes *t, struct fs_node *n)
{
	while (n && --n->refs == 0) {
		struct fs_node *parent = n->parent;

		/* A handle refers to its node, and what it locks goes with it. */
		assert(!n->handles && !n->owners);
		node_close(t, n);
		nodes_unhash(t, n);
		free(n->name);
		free(n);
		n = parent;
	}
}

static void node_drop_name(struct fs_nodes *t, struct fs_node *n)
{
	struct fs_node *parent = n->parent;

	/* Without a name it could not be opened again. */
	nodes_unlist(t, n);
	free(n->name);
	n->name = NULL;
	n->parent = NULL;
	node_unref(t, parent);
}

void node_forget(struct fs_nodes *t, struct fs_node *n, uint64_t lookups)
{
	if (n->id == FUSE_ROOT_ID || n->lookups == 0)
		return;
	n->lookups -= lookups < n->lookups ? lookups : n->lookups;
	if (n->lookups > 0)
		return;
	slots_remove(&t->slots, n->id);
	nodes_unhash(t, n);
	node_close(t, n);
	node_drop_name(t, n);
	node_unref(t, n);
}

/* Opening. */

static int node_base(struct fs_nodes *t, struct fs_node *n)
{
	if (n->fd >= 0) {
		if (n->name && t->newest != n) {
			nodes_unlist(t, n);
			nodes_list(t, n);
		}
		return n->fd;
	}
	return n->handles ? n->handles->fd : -1;
}

static int node_open_at(struct fs_nodes *t, struct fs_node *n, int parent)
{
	_cleanup_close_ int fd = openat(parent, n->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct fs_identity i;
	struct statx x;
	int r;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		nodes_close_oldest(t, n->parent);
		fd = openat(parent, n->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	r = fs_stat(fd, "", &x);
	if (r < 0)
		return r;
	i = fs_identify(&x);
	if (!fs_identity_equal(&n->identity, &i))
		return -ESTALE;
	node_set_fd(t, n, steal_fd(&fd));
	return 0;
}

/* Opens one directory after the other, from one that is open down to the file. */
static int node_open_down(struct fs_nodes *t, struct fs_node *n)
{
	for (;;) {
		struct fs_node *child = n;
		int fd, r;

		for (uint32_t depth = 0;; depth++) {
			if (!child->name || depth > FS_DEPTH_MAX)
				return -ESTALE;
			fd = node_base(t, child->parent);
			if (fd >= 0)
				break;
			child = child->parent;
		}
		r = node_open_at(t, child, fd);
		if (r < 0)
			return r;
		if (child == n)
			return n->fd;
	}
}

int node_fd(struct fs_nodes *t, struct fs_node *n)
{
	int fd = node_base(t, n);

	return fd >= 0 ? fd : node_open_down(t, n);
}

int node_fds(struct fs_nodes *t, struct fs_node *a, struct fs_node *b, int *fd_a, int *fd_b)
{
	/* So deep a path that opening the one closes the other is opened once more, from farther
	 * down. */
	for (int i = 0; i < 2; i++) {
		*fd_a = node_fd(t, a);
		if (*fd_a < 0)
			return *fd_a;
		*fd_b = node_fd(t, b);
		if (*fd_b < 0)
			return *fd_b;
		if (node_base(t, a) == *fd_a)
			return 0;
	}
	return -ENFILE;
}

int node_stat(struct fs_nodes *t, struct fs_node *n, struct statx *x)
{
	int fd = node_base(t, n), r;
	struct fs_identity i;

	if (fd >= 0)
		return fs_stat(fd, "", x);
	if (!n->name)
		return -ESTALE;
	fd = node_fd(t, n->parent);
	if (fd < 0)
		return fd;
	r = fs_stat(fd, n->name, x);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? -ESTALE : r;
	i = fs_identify(x);
	return fs_identity_equal(&n->identity, &i) ? 0 : -ESTALE;
}

/* Names. */

void node_move(struct fs_nodes *t, struct fs_node *n, struct fs_node *parent, const char *name)
{
	char *copy;

	if (n->parent == parent && n->name && !strcmp(n->name, name))
		return;
	copy = strdup(name);
	if (!copy) {
		node_hold(t, n);
		node_lose_name(t, n);
		return;
	}
	node_ref(parent);
	if (n->name)
		node_drop_name(t, n);
	n->name = copy;
	n->parent = parent;
	if (n->fd >= 0)
		nodes_list(t, n);
}

void node_hold(struct fs_nodes *t, struct fs_node *n)
{
	char path[32];
	int fd;

	if (n->fd >= 0)
		return;
	if (n->handles) {
		snprintf(path, sizeof(path), "%d", n->handles->fd);
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			node_set_fd(t, n, fd);
		return;
	}
	/* Where this fails it will be stale, as if it had been forgotten. */
	(void)!node_fd(t, n);
}

void node_lose_name(struct fs_nodes *t, struct fs_node *n)
{
	if (n->id == FUSE_ROOT_ID)
		return;
	node_drop_name(t, n);
	if (n->fd < 0 && !n->handles)
		nodes_unhash(t, n);
}

static int node_add(struct fs_nodes *t, const struct fs_identity *i, struct fs_node **added)
{
	struct fs_node *n = calloc(1, sizeof(*n));
	int r = n ? slots_add(&t->slots, n, &n->id) : -ENOMEM;

	if (r < 0) {
		free(n);
		return r;
	}
	n->identity = *i;
	n->fd = -1;
	n->refs = 1;
	nodes_grow(t);
	nodes_hash(t, n);
	*added = n;
	return 0;
}

int node_look_up(struct fs_nodes *t, struct fs_node *parent, const char *name,
	const struct statx *x, int fd, struct fs_node **found)
{
	struct fs_identity i = fs_identify(x);
	struct fs_node *n = nodes_find(t, &i);
	char path[32];
	int r;

	if (n && !node_is(n, &i)) {
		nodes_unhash(t, n);
		n = NULL;
	}
	if (!n) {
		r = node_add(t, &i, &n);
		if (r < 0)
			return r;
	}
	n->lookups++;
	if (name && n->id != FUSE_ROOT_ID) {
		node_move(t, n, parent, name);
	} else if (!name && n->fd < 0) {
		snprintf(path, sizeof(path), "%d", fd);
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			node_set_fd(t, n, fd);
	}
	*found = n;
	return 0;
}

int nodes_init(struct fs_nodes *t, int fd, uint32_t fds_max)
{
	struct fs_identity i;
	struct fs_node *root;
	struct statx x;
	int r;

	*t = (struct fs_nodes){.slots.max = FS_NODES_MAX, .fds_max = fds_max};
	r = fs_stat(fd, "", &x);
	if (r == 0) {
		t->buckets = calloc(BUCKETS_FIRST, sizeof(struct fs_node *));
		t->n_buckets = t->buckets ? BUCKETS_FIRST : 0;
		r = t->buckets ? 0 : -ENOMEM;
	}
	if (r == 0) {
		i = fs_identify(&x);
		r = node_add(t, &i, &root);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	root->lookups = 1;
	node_set_fd(t, root, fd);
	return 0;
}

void nodes_release(struct fs_nodes *t)
{
	/* Known ones hold what is above them. */
	for (uint32_t i = t->slots.n; i-- > 1;) {
		struct fs_node *n = t->slots.slots[i].thing;

		if (n && n->id != FUSE_ROOT_ID)
			node_forget(t, n, UINT64_MAX);
		else if (n)
			node_unref(t, n);
	}
	slots_release(&t->slots);
	free(t->buckets);
	t->buckets = NULL;
	t->n_buckets = 0;
}
