/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_NODE_H
#define ARROW_FS_NODE_H

#include "fs/slots.h"
#include "fs/statx.h"

/*
 * Files that the guest knows by number. Each is known here by the directory and the name under
 * which it was seen last, and by its identity. Its descriptor (O_PATH) is opened when it is first
 * needed and may be closed again, so that many files need few descriptors: then it is opened by
 * name, and is ESTALE if another file is there by now, upon which the guest looks the name up
 * again. Never is more than one name opened at a time, and no link is followed.
 * The current directory is /proc/self/fd, where what is open can be opened anew by its number.
 *
 * A file that the guest removes keeps its descriptor as long as the guest knows it. What the guest
 * has open is reached by its handle, whatever became of the name.
 *
 *   known      lookups > 0: the guest may use the number
 *   forgotten  it is not found any more; the memory stays while children or handles refer to it
 *   nameless   name is NULL: removed (or never named); the descriptor stays open
 */

struct fs_handle;
struct fs_owner;

struct fs_node {
	uint64_t id; /* the guest's number; the first one is FUSE_ROOT_ID */
	uint64_t lookups;
	struct fs_identity identity;
	struct fs_node *parent;
	char *name;
	int fd;
	uint32_t refs;                 /* being known, children, handles */
	struct fs_handle *handles;     /* of handle.c */
	struct fs_owner *owners;       /* of locks.c */
	struct fs_node *same;          /* the next one in its bucket */
	struct fs_node *newer, *older; /* of those whose descriptor may be closed */
	bool hashed;
};

struct fs_nodes {
	struct fs_slots slots;
	struct fs_node **buckets;
	uint32_t n, n_buckets;
	struct fs_node *newest, *oldest;
	uint32_t fds, fds_max; /* descriptors that are open */
};

/* fd: the root, taken. Returns 0 or a negative errno. */
int nodes_init(struct fs_nodes *t, int fd, uint32_t fds_max) ARROW_MUST_CHECK;

/* Forgets everything. */
void nodes_release(struct fs_nodes *t);

/* The node that the guest means. Returns NULL if there is none: -ESTALE for the guest. */
struct fs_node *node_get(const struct fs_nodes *t, uint64_t id);

/*
 * A descriptor of the file, which stays open until the next call for another node: O_PATH, or that
 * of a handle. Returns it, or a negative errno.
 */
int node_fd(struct fs_nodes *t, struct fs_node *n) ARROW_MUST_CHECK;

/* Descriptors of two files at once. Returns 0 or a negative errno. */
int node_fds(struct fs_nodes *t, struct fs_node *a, struct fs_node *b, int *fd_a,
	int *fd_b) ARROW_MUST_CHECK;

/* Attributes. Returns 0 or a negative errno. */
int node_stat(struct fs_nodes *t, struct fs_node *n, struct statx *x) ARROW_MUST_CHECK;

/*
 * The node of a file that was found under a name in a directory, or that has none (NULL), with one
 * more lookup. x: its attributes. fd: a descriptor of a file without a name, not taken.
 * Returns 0 or a negative errno.
 */
int node_look_up(struct fs_nodes *t, struct fs_node *parent, const char *name,
	const struct statx *x, int fd, struct fs_node **n) ARROW_MUST_CHECK;

/* The same file, if the guest knows it, else NULL. */
struct fs_node *node_find(const struct fs_nodes *t, const struct statx *x);

/* The name will be gone, or be that of another file: the file is held by its descriptor. */
void node_hold(struct fs_nodes *t, struct fs_node *n);

/* The name is gone. */
void node_lose_name(struct fs_nodes *t, struct fs_node *n);

/* The file has another name. Where there is no memory for it, it has none. */
void node_move(struct fs_nodes *t, struct fs_node *n, struct fs_node *parent, const char *name);

/* The guest gives up so many lookups. */
void node_forget(struct fs_nodes *t, struct fs_node *n, uint64_t lookups);

/* Somebody else refers to it, or no longer does. */
void node_ref(struct fs_node *n);
void node_unref(struct fs_nodes *t, struct fs_node *n);

#endif
