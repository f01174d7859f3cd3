/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TESTS_UNIT_FS_WORLD_H
#define ARROW_TESTS_UNIT_FS_WORLD_H

/* A server of the current directory in a process of its own, and its guest: raw messages. */

#include "tests/unit/fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fs/bounds.h"
#include "fs/server.h"

#define WORLD_REPLY (FS_DATA_MAX + 4096u)

struct world {
	int fd;
	pid_t server;
	uint64_t unique;
	struct fuse_out_header out; /* of the last reply */
	size_t size;                /* of what follows it, which is in data */
	_Alignas(8) uint8_t data[WORLD_REPLY];
};

static inline void world_interrupted(int number)
{
}

/* In the child. */
static inline void world_serve(int fd, uint32_t files_max, bool exclusive)
{
	const struct sigaction a = {.sa_handler = world_interrupted};
	struct fs_options o = {.socket = fd,
		.root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.interrupt_signal = SIGUSR1,
		.share_signal = SIGUSR2,
		.files_max = files_max,
		.exclusive = exclusive};
	struct rlimit limit;
	sigset_t share;
	struct fs_state s;
	int r;

	sigemptyset(&share);
	sigaddset(&share, SIGUSR2);
	sigprocmask(SIG_BLOCK, &share, NULL);
	sigaction(SIGUSR1, &a, NULL);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = files_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || chdir("/proc/self/fd") < 0 ||
		state_init(&s, &o) < 0)
		_exit(9);
	r = server_run(&s);
	state_release(&s);
	_exit(r < 0 ? -r : 0);
}

static inline struct world *world_begin(uint32_t files_max, bool exclusive)
{
	struct world *w = malloc(sizeof(*w));
	int pair[2];

	assert_non_null(w);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->unique = 100;
	w->fd = pair[0];
	w->server = fork();
	assert_true(w->server >= 0);
	if (w->server == 0) {
		close(pair[0]);
		world_serve(pair[1], files_max, exclusive);
	}
	close(pair[1]);
	return w;
}

/* Hangs up. Returns the status of the server: 0, or the errno with which it ended. */
static inline int world_end(struct world *w)
{
	int status;

	close(w->fd);
	assert_int_equal(waitpid(w->server, &status, 0), w->server);
	free(w);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void world_send(struct world *w, const void *data, size_t size)
{
	assert_int_equal(write_full(w->fd, data, size), 0);
}

/* Sends a request of two parts. Returns its number. */
static inline uint64_t world_ask(struct world *w, uint32_t op, uint64_t node, const void *body,
	size_t size, const void *more, size_t more_size)
{
	struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + size + more_size),
		.opcode = op,
		.unique = ++w->unique,
		.nodeid = node,
		.uid = geteuid(),
		.gid = getegid(),
		.pid = 77};

	world_send(w, &in, sizeof(in));
	world_send(w, body, size);
	world_send(w, more, more_size);
	return in.unique;
}

/* Whether a reply comes within so many ms. */
static inline bool world_answers(struct world *w, int ms)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* Waits for the next reply. Returns its error. */
static inline int world_reply(struct world *w)
{
	assert_true(world_answers(w, 60000));
	assert_int_equal(read_full(w->fd, &w->out, sizeof(w->out)), sizeof(w->out));
	assert_true(w->out.len >= sizeof(w->out) && w->out.len <= WORLD_REPLY);
	w->size = w->out.len - sizeof(w->out);
	assert_int_equal(read_full(w->fd, w->data, w->size), w->size);
	assert_true(w->out.error <= 0 && w->out.error > -4096);
	if (w->out.error)
		assert_int_equal(w->size, 0);
	return w->out.error;
}

/* One request and its reply. */
static inline int world_do2(struct world *w, uint32_t op, uint64_t node, const void *body,
	size_t size, const void *more, size_t more_size)
{
	uint64_t unique = world_ask(w, op, node, body, size, more, more_size);
	int r = world_reply(w);

	assert_int_equal(w->out.unique, unique);
	return r;
}

static inline int world_do(
	struct world *w, uint32_t op, uint64_t node, const void *body, size_t size)
{
	return world_do2(w, op, node, body, size, NULL, 0);
}

static inline int world_init(struct world *w, uint32_t flags, uint64_t wide_flags)
{
	struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 131072,
		.flags = flags | FUSE_INIT_EXT,
		.flags2 = (uint32_t)(wide_flags >> 32)};

	return world_do(w, FUSE_INIT, 0, &in, sizeof(in));
}

static inline struct world *world_begin_ready(uint32_t files_max)
{
	struct world *w = world_begin(files_max, false);

	assert_int_equal(world_init(w, ~0u, ~0ull), 0);
	return w;
}

/* Returns the number of the entry, or a negative errno. */
static inline int64_t world_look_up(struct world *w, uint64_t node, const char *name)
{
	int r = world_do(w, FUSE_LOOKUP, node, name, strlen(name) + 1);

	if (r < 0)
		return r;
	assert_int_equal(w->size, sizeof(struct fuse_entry_out));
	return (int64_t)((struct fuse_entry_out *)w->data)->nodeid;
}

/* Returns the handle, or 0 with the error in *error. */
static inline uint64_t world_open(
	struct world *w, uint32_t op, uint64_t node, uint32_t flags, int *error)
{
	struct fuse_open_in in = {.flags = flags};

	*error = world_do(w, op, node, &in, sizeof(in));
	if (*error < 0)
		return 0;
	assert_int_equal(w->size, sizeof(struct fuse_open_out));
	return ((struct fuse_open_out *)w->data)->fh;
}

static inline uint64_t world_open_file(struct world *w, const char *name, uint32_t flags)
{
	int64_t node = world_look_up(w, FUSE_ROOT_ID, name);
	uint64_t fh;
	int e;

	assert_true(node > 0);
	fh = world_open(w, FUSE_OPEN, (uint64_t)node, flags, &e);
	assert_int_equal(e, 0);
	return fh;
}

#endif
