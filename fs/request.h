/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_REQUEST_H
#define ARROW_FS_REQUEST_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/*
 * The decoder of requests (struct fuse_in_header and what follows, <linux/fuse.h>). The guest's
 * kernel may be hostile: nothing is read beyond what arrived, no string without its NUL, and no
 * name that is not that of one entry of a directory.
 */

#ifndef FUSE_STATX
#define FUSE_STATX 52 /* since 7.39 of the protocol */

struct fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};
#endif

struct fs_node;

struct fs_request {
	struct fuse_in_header in;
	struct fs_node *node; /* that in.nodeid means */
	const uint8_t *next;  /* what is not taken yet */
	size_t left;          /* bytes of it */
};

/*
 * An operation fills data, of which size bytes are sent, and returns 0, or returns a negative
 * errno, which is sent alone. FS_LATER: somebody else answers, or nobody has to.
 */
struct fs_reply {
	void *data; /* FS_DATA_MAX bytes */
	size_t size;
};

#define FS_LATER 1

/* Takes a structure. Returns 0 or -EINVAL if the request is too short. */
int request_take(struct fs_request *r, void *to, size_t size) ARROW_MUST_CHECK;

/* Takes a string with its NUL. Returns NULL if there is no NUL. */
const char *request_string(struct fs_request *r) ARROW_MUST_CHECK;

/*
 * Takes the name of an entry of a directory: not empty, without a slash, neither "." nor "..".
 * Returns 0, -EINVAL or -ENAMETOOLONG.
 */
int request_name(struct fs_request *r, const char **name) ARROW_MUST_CHECK;

#endif
