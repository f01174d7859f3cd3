// SPDX-License-Identifier: Apache-2.0
#include "fs/locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* The locks of one process on one file. */
struct fs_owner {
	struct fs_owner *next;
	uint64_t owner;  /* the guest's number of the process, or of its open file */
	uint64_t handle; /* by which it was last used */
	uint32_t pid;
	int fd;
};

static int locks_owner_open(struct fs_locks *l, struct fs_node *n)
{
	char path[32];
	int fd = node_fd(l->nodes, n), r;

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "%d", fd);
	r = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (r < 0) /* enough for a lock that is shared */
		r = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

static struct fs_owner *locks_owner(const struct fs_node *n, uint64_t owner)
{
	struct fs_owner *o = n->owners;

	while (o && o->owner != owner)
		o = o->next;
	return o;
}

static int locks_owner_add(
	struct fs_locks *l, const struct fs_lock_request *r, struct fs_owner **added)
{
	struct fs_node *n = r->handle->node;
	struct fs_owner *o;
	int fd;

	if (l->n >= FS_OWNERS_MAX)
		return -ENOLCK;
	fd = locks_owner_open(l, n);
	if (fd < 0)
		return fd;
	o = calloc(1, sizeof(*o));
	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	*o = (struct fs_owner){.next = n->owners, .owner = r->owner, .fd = fd};
	n->owners = o;
	l->n++;
	*added = o;
	return 0;
}

static void locks_owner_remove(struct fs_locks *l, struct fs_owner **at)
{
	struct fs_owner *o = *at;

	*at = o->next;
	close(o->fd);
	free(o);
	l->n--;
}

static int locks_wait(struct fs_job *job)
{
	int r;

	do {
		if (!waits_may_wait(job->waits, job->wait)) {
			r = -EINTR;
			break;
		}
		r = job->mode ? flock(job->fd, job->mode)
			      : fcntl(job->fd, F_OFD_SETLKW, &job->lock);
		r = r < 0 ? -errno : 0;
	} while (r == -EINTR);
	waits_end(job->waits, job->wait);
	return r;
}

/* The lock is held by another: a thread waits for it. mode: of flock(2), or 0. */
static int locks_wait_for(
	struct fs_locks *l, const struct fs_lock_request *r, int fd, int mode, const void *owner)
{
	struct fs_job *job = work_job(r->unique, fd, locks_wait);
	struct fs_wait *wait;
	int e;

	if (!job)
		return -ENOLCK;
	wait = waits_add(l->waits, r->unique, r->caller, owner);
	if (!wait) {
		work_free(job);
		return -ENOLCK;
	}
	job->mode = mode;
	job->lock = r->lock;
	job->waits = l->waits;
	job->wait = wait;
	e = work_start(l->work, job);
	if (e < 0)
		waits_end(l->waits, wait);
	return e;
}

static int locks_set_flock(struct fs_locks *l, const struct fs_lock_request *r)
{
	int mode = r->lock.l_type == F_RDLCK   ? LOCK_SH
		   : r->lock.l_type == F_WRLCK ? LOCK_EX
					       : LOCK_UN;

	if (flock(r->handle->fd, mode | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK || !r->wait)
		return -errno;
	return locks_wait_for(l, r, r->handle->fd, mode, r->handle);
}

int locks_set(struct fs_locks *l, const struct fs_lock_request *r)
{
	struct fs_owner *o;
	struct flock lock = r->lock;
	int e;

	if (r->flock)
		return locks_set_flock(l, r);
	o = locks_owner(r->handle->node, r->owner);
	if (!o && lock.l_type == F_UNLCK)
		return 0;
	if (!o) {
		e = locks_owner_add(l, r, &o);
		if (e < 0)
			return e;
	}
	o->handle = r->handle->id;
	o->pid = r->pid;
	if (fcntl(o->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if ((errno != EAGAIN && errno != EACCES) || !r->wait)
		return errno == EACCES ? -EAGAIN : -errno;
	return locks_wait_for(l, r, o->fd, 0, o);
}

/*
 * Linux does not say whose lock of an open file it is: it is that of the owner who meets nothing
 * there. 0 if it is not of this guest, as a process of another PID namespace is 0.
 */
static uint32_t locks_find_pid(const struct fs_node *n, uint64_t but, const struct flock *found)
{
	for (const struct fs_owner *o = n->owners; o; o = o->next) {
		struct flock probe = *found;

		probe.l_type = F_WRLCK;
		probe.l_pid = 0;
		if (o->owner != but && fcntl(o->fd, F_OFD_GETLK, &probe) == 0 &&
			probe.l_type == F_UNLCK)
			return o->pid;
	}
	return 0;
}

int locks_test(struct fs_locks *l, struct fs_lock_request *r)
{
	const struct fs_owner *o = locks_owner(r->handle->node, r->owner);

	/* Who has no locks meets those of all, and a handle has none of this kind. */
	if (fcntl(o ? o->fd : r->handle->fd, F_OFD_GETLK, &r->lock) < 0)
		return -errno;
	r->pid = 0;
	if (r->lock.l_type != F_UNLCK)
		r->pid = locks_find_pid(r->handle->node, r->owner, &r->lock);
	return 0;
}

void locks_flush(struct fs_locks *l, struct fs_node *n, uint64_t owner)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	for (struct fs_owner **at = &n->owners; *at; at = &(*at)->next) {
		if ((*at)->owner != owner)
			continue;
		/* What another thread of it waits for now, it will have. */
		if (waits_any(l->waits, *at))
			(void)fcntl((*at)->fd, F_OFD_SETLK, &all);
		else
			locks_owner_remove(l, at);
		return;
	}
}

void locks_release(struct fs_locks *l, const struct fs_handle *h)
{
	struct fs_owner **at = &h->node->owners;

	while (*at) {
		if ((*at)->handle == h->id)
			locks_owner_remove(l, at);
		else
			at = &(*at)->next;
	}
}
