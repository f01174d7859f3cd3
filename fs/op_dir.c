// SPDX-License-Identifier: Apache-2.0
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/entry.h"

/* What getdents64(2) gives. */
struct dir_entry {
	uint64_t ino;
	int64_t next;
	uint16_t length; /* of all of it */
	uint8_t type;
	char name[];
};

#define ENTRY_HEAD offsetof(struct dir_entry, name)
#define LISTING_MAX 32768u /* bytes of a reply */

/*
 * The least entry of the host and what becomes of it. If so much less is read than there is room,
 * all of it fits into the reply, and reading goes on where it ended.
 */
#define HOST_LEAST 24u
#define PLAIN_LEAST 32u
#define PLUS_LEAST 160u

int op_opendir(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	int fd = node_fd(&s->nodes, r->node), e;
	struct fuse_open_out reply = {
		.open_flags = s->exclusive ? FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE : 0};
	char path[FS_PATH_MAX];
	struct fs_handle *h;

	if (fd < 0)
		return fd;
	if (!S_ISDIR(r->node->identity.type))
		return -ENOTDIR;
	fs_path(fd, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	e = handle_open(&s->handles, r->node, fd, true, &h);
	if (e < 0)
		return e;
	reply.fh = h->id;
	memcpy(out->data, &reply, sizeof(reply));
	out->size = sizeof(reply);
	return 0;
}

int op_releasedir(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	struct fuse_release_in in;
	struct fs_handle *h;
	int e = request_take(r, &in, sizeof(in));

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, true);
	if (!h)
		return -EBADF;
	handle_close(&s->handles, &s->nodes, h);
	return 0;
}

/* The attributes beside an entry. What cannot be found has the number 0, and is looked up later. */
static void dir_look_up(struct fs_state *s, const struct fs_handle *h, const char *name,
	struct fuse_entry_out *entry)
{
	struct fs_node *n;
	struct statx x;

	memset(entry, 0, sizeof(*entry));
	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && fs_stat(h->fd, name, &x) == 0 &&
		fs_entry(s, h->node, name, &x, -1, entry, &n) < 0)
		memset(entry, 0, sizeof(*entry));
}

static size_t dir_put(struct fs_state *s, const struct fs_handle *h, const struct dir_entry *e,
	uint8_t *to, bool plus)
{
	size_t length = strlen(e->name), size = FUSE_NAME_OFFSET + length, used = 0;
	const struct fs_identity *i = &h->node->identity;
	struct fuse_dirent d = {.ino = fs_number(s, i->major, i->minor, e->ino),
		.off = (uint64_t)e->next,
		.namelen = (uint32_t)length,
		.type = e->type};
	struct fuse_entry_out entry;

	if (plus) {
		dir_look_up(s, h, e->name, &entry);
		memcpy(to, &entry, sizeof(entry));
		used = sizeof(entry);
	}
	memcpy(to + used, &d, FUSE_NAME_OFFSET);
	memcpy(to + used + FUSE_NAME_OFFSET, e->name, length);
	memset(to + used + size, 0, FUSE_DIRENT_ALIGN(size) - size);
	return used + FUSE_DIRENT_ALIGN(size);
}

static int dir_read(struct fs_state *s, struct fs_request *r, struct fs_reply *out, bool plus)
{
	_Alignas(struct dir_entry) char buffer[LISTING_MAX];
	struct fuse_read_in in;
	struct fs_handle *h;
	int e = request_take(r, &in, sizeof(in));
	size_t room;
	long n;

	if (e < 0)
		return e;
	h = handle_get(&s->handles, in.fh, true);
	if (!h)
		return -EBADF;
	if (in.offset != h->position && lseek(h->fd, (off_t)in.offset, SEEK_SET) < 0)
		return -errno;
	h->position = in.offset;
	room = in.size < LISTING_MAX ? in.size : LISTING_MAX;
	room = room * HOST_LEAST / (plus ? PLUS_LEAST : PLAIN_LEAST);
	n = syscall(SYS_getdents64, h->fd, buffer, room);
	if (n < 0)
		return -errno;
	for (long at = 0; at + (long)ENTRY_HEAD < n;) {
		const struct dir_entry *entry = (const void *)(buffer + at);

		out->size += dir_put(s, h, entry, (uint8_t *)out->data + out->size, plus);
		h->position = (uint64_t)entry->next;
		at += entry->length;
	}
	return 0;
}

int op_readdir(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return dir_read(s, r, out, false);
}

int op_readdirplus(struct fs_state *s, struct fs_request *r, struct fs_reply *out)
{
	return dir_read(s, r, out, true);
}
