// SPDX-License-Identifier: Apache-2.0

/*
 * fuse_relay [--no-interrupt] DIR MOUNTPOINT SERVER [OPTION]: mounts DIR of the host by way of
 * arrow-fs and this machine's own kernel, in the place of a guest: what /dev/fuse says goes to the
 * server, and back. Says "ready" and ends when the mount is gone. --no-interrupt: FUSE_INTERRUPT is
 * dropped, as virtio-fs does.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#define ROOM ((1u << 20) + 65536u)

static char buffer[ROOM], replies[ROOM];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int start_server(const char *dir, char **argv)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	switch (fork()) {
	case -1:
		die("fork");
		break;
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chdir(dir) < 0)
			die(dir);
		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		else if (dup2(pair[1], 3) < 0)
			die("dup2");
		execv(argv[0], argv);
		die(argv[0]);
	}
	close(pair[1]);
	return pair[0];
}

static void send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0)
			die("write to the server");
		data += n;
		size -= (size_t)n;
	}
}

/* Passes on whole replies; what is left of the last one is kept. */
static void pass_replies(int server, int dev)
{
	static size_t have;
	struct fuse_out_header h;
	size_t at = 0;
	ssize_t n = read(server, replies + have, ROOM - have);

	if (n <= 0) {
		fprintf(stderr, "the server has ended\n");
		exit(1);
	}
	have += (size_t)n;
	while (have - at >= sizeof(h)) {
		memcpy(&h, replies + at, sizeof(h));
		if (have - at < h.len)
			break;
		/* ENOENT: the request was interrupted meanwhile. */
		if (write(dev, replies + at, h.len) < 0 && errno != ENOENT && errno != ENODEV)
			perror("write to /dev/fuse");
		at += h.len;
	}
	memmove(replies, replies + at, have - at);
	have -= at;
}

int main(int argc, char **argv)
{
	bool interrupt = argc < 2 || strcmp(argv[1], "--no-interrupt") != 0;
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC), server;
	char options[128];

	argv += !interrupt;
	argc -= !interrupt;
	if (argc < 4)
		return 2;
	if (dev < 0)
		die("/dev/fuse");
	server = start_server(argv[1], argv + 3);
	snprintf(options, sizeof(options),
		"fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", dev);
	if (mount("arrow-fs", argv[2], "fuse", 0, options) < 0)
		die("mount");
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd p[2] = {{dev, POLLIN, 0}, {server, POLLIN, 0}};
		struct fuse_in_header h;
		ssize_t n;

		if (poll(p, 2, -1) < 0)
			die("poll");
		if (p[1].revents)
			pass_replies(server, dev);
		if (!p[0].revents)
			continue;
		n = read(dev, buffer, ROOM);
		if (n < 0 && errno == ENODEV)
			return 0;
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < 0)
			die("read from /dev/fuse");
		memcpy(&h, buffer, sizeof(h));
		if (interrupt || h.opcode != FUSE_INTERRUPT)
			send_all(server, buffer, (size_t)n);
	}
}
