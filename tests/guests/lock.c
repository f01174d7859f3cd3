// SPDX-License-Identifier: Apache-2.0
/*
 * lock KIND FILE HOW: takes a lock of KIND (flock, posix, ofd) on the whole of FILE.
 *   try   says "free" or "busy"
 *   hold  waits for it: says "waits", then "locked", and keeps it
 *   alarm the same, and is interrupted after a second: says "interrupted"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int take(const char *kind, int fd, int wait)
{
	struct flock whole = {.l_type = F_WRLCK};

	if (strcmp(kind, "flock") == 0)
		return flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	if (strcmp(kind, "posix") == 0)
		return fcntl(fd, wait ? F_SETLKW : F_SETLK, &whole);
	return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &whole);
}

static void on_alarm(int number)
{
	(void)number;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_alarm};
	int fd, r;

	if (argc != 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0) {
		perror(argv[2]);
		return 1;
	}
	if (strcmp(argv[3], "try") == 0) {
		r = take(argv[1], fd, 0);
		puts(r == 0                                  ? "free"
			: errno == EAGAIN || errno == EACCES ? "busy"
							     : strerror(errno));
		return 0;
	}
	if (strcmp(argv[3], "alarm") == 0) {
		sigaction(SIGALRM, &action, NULL);
		alarm(1);
	}
	puts("waits");
	r = take(argv[1], fd, 1);
	puts(r == 0 ? "locked" : errno == EINTR ? "interrupted" : strerror(errno));
	while (r == 0)
		pause();
	return 0;
}
