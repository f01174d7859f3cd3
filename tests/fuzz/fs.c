// SPDX-License-Identifier: Apache-2.0

/*
 * What a hostile guest can send to the server of volumes. The input is a list of requests: a byte
 * for the operation, one for the node that it names, one for the length of what follows, and that.
 * In it, the bytes N H (0x4e 0x48) and one more stand for eight bytes: a number that the server
 * gave, so that nodes and handles are found. Everything is done on a small tree, by a user who owns
 * nothing else.
 */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/bounds.h"
#include "fs/server.h"
#include "util/io.h"

#define NOBODY 65534
#define NUMBERS 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char tree[] = "/tmp/arrow-fuzz-fs-XXXXXX";
static int parent = -1, pair[2];
static uint64_t numbers[NUMBERS] = {FUSE_ROOT_ID, FS_WAITS_ID};

static void fuzz_interrupted(int number)
{
}

/* Replies are read and forgotten, so that the server never waits for a reader. */
static void *fuzz_drain(void *arg)
{
	static char buffer[1 << 20];

	while (read(pair[1], buffer, sizeof(buffer)) > 0)
		;
	return NULL;
}

static void fuzz_remove(void)
{
	if (chdir("/") == 0)
		(void)!remove_tree(AT_FDCWD, tree);
}

static void fuzz_begin(void)
{
	const struct sigaction interrupt = {.sa_handler = fuzz_interrupted};
	const struct rlimit small = {1 << 20, 1 << 20}, files = {512, 512};
	pthread_t thread;

	if (!mkdtemp(tree) || (getuid() == 0 && chown(tree, NOBODY, NOBODY) < 0))
		abort();
	parent = open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
	signal(SIGXFSZ, SIG_IGN);
	if (parent < 0 || sigaction(SIGUSR1, &interrupt, NULL) < 0 ||
		setrlimit(RLIMIT_FSIZE, &small) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0 ||
		chdir("/proc/self/fd") < 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
		pthread_create(&thread, NULL, fuzz_drain, NULL) != 0)
		abort();
	atexit(fuzz_remove);
}

/* The tree that each input finds. What the last one left may be closed to nobody. */
static int fuzz_plant(void)
{
	static const char *const names[] = {".", "d", "f", "l", "p"};
	static unsigned int count;
	char name[32];
	int root, fd;

	snprintf(name, sizeof(name), "root%u", count++);
	(void)!remove_tree(parent, name);
	snprintf(name, sizeof(name), "root%u", count);
	if (mkdirat(parent, name, 0700) < 0)
		abort();
	root = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || mkdirat(root, "d", 0700) < 0 || symlinkat("../..", root, "l") < 0 ||
		mknodat(root, "p", S_IFIFO | 0600, 0) < 0)
		abort();
	fd = openat(root, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "text", 4) != 4)
		abort();
	close(fd);
	for (size_t i = 0; getuid() == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (fchownat(root, names[i], NOBODY, NOBODY, AT_SYMLINK_NOFOLLOW) < 0)
			abort();
	return root;
}

static void fuzz_note(uint64_t number)
{
	memmove(numbers + 3, numbers + 2, (NUMBERS - 3) * sizeof(numbers[0]));
	numbers[2] = number;
}

/* Puts the body together. Returns its size. */
static size_t fuzz_expand(const uint8_t *from, size_t n, uint8_t *to)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++) {
		if (i + 2 < n && from[i] == 'N' && from[i + 1] == 'H') {
			memcpy(to + size, &numbers[from[i + 2] % NUMBERS], 8);
			size += 8;
			i += 2;
		} else {
			to[size++] = from[i];
		}
	}
	return size;
}

static void fuzz_do(
	struct fs_state *s, uint32_t opcode, uint64_t node, const uint8_t *body, size_t size)
{
	struct fs_request r = {.in = {.len = (uint32_t)(sizeof(r.in) + size),
				       .opcode = opcode,
				       .unique = 7,
				       .nodeid = node,
				       .uid = geteuid(),
				       .gid = getegid()}};

	r.next = body;
	r.left = size;
	memset(s->channel.out, 0, 256);
	server_do(s, &r);
	/* The number of an entry, or of a handle. */
	if (opcode == FUSE_LOOKUP || opcode == FUSE_OPEN || opcode == FUSE_OPENDIR ||
		opcode == FUSE_CREATE || opcode == FUSE_MKDIR || opcode == FUSE_MKNOD ||
		opcode == FUSE_TMPFILE)
		fuzz_note(*(uint64_t *)(void *)s->channel.out);
	if (opcode == FUSE_CREATE || opcode == FUSE_TMPFILE)
		fuzz_note(*(uint64_t *)(void *)(s->channel.out + sizeof(struct fuse_entry_out)));
}

struct input {
	const uint8_t *data;
	size_t size;
	int root;
};

/* In a thread of its own, which is nobody: the system calls themselves leave the other threads as
 * they are. */
static void *fuzz_run(void *arg)
{
	const struct input *input = arg;
	const uint8_t *data = input->data;
	size_t size = input->size;
	const struct fuse_init_in init = {.major = 7, .minor = 38, .flags = ~0u, .flags2 = ~0u};
	struct fs_options o = {
		.interrupt_signal = SIGUSR1, .files_max = 256, .exclusive = size % 2};
	struct fs_state s;

	/* Should a name lead out of the tree after all, there is nothing that this user may do. */
	if (getuid() == 0 && (syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) < 0 ||
				     syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) < 0))
		abort();
	o.root = input->root;
	o.socket = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
	if (o.socket < 0 || state_init(&s, &o) < 0)
		abort();
	for (unsigned int i = 2; i < NUMBERS; i++)
		numbers[i] = i;
	fuzz_do(&s, FUSE_INIT, 0, (const uint8_t *)&init, sizeof(init));
	while (size >= 3) {
		uint8_t body[256 * 8];
		/* Beyond the last operation are few; 0 to 63 has all of them. */
		uint32_t opcode = data[0] % 64;
		uint64_t node = numbers[data[1] % NUMBERS];
		size_t n = data[2] < size - 3 ? data[2] : size - 3, length;
		uint8_t *copy;

		length = fuzz_expand(data + 3, n, body);
		/* Exactly so long, for the sanitizer to see what is read beyond. */
		copy = malloc(length ? length : 1);
		if (!copy)
			abort();
		memcpy(copy, body, length);
		fuzz_do(&s, opcode, node, copy, length);
		free(copy);
		data += 3 + n;
		size -= 3 + n;
	}
	state_release(&s);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {.data = data, .size = size};
	pthread_t thread;

	if (parent < 0)
		fuzz_begin();
	input.root = fuzz_plant();
	if (pthread_create(&thread, NULL, fuzz_run, &input) != 0 || pthread_join(thread, NULL) != 0)
		abort();
	return 0;
}
