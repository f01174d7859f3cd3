// SPDX-License-Identifier: Apache-2.0
/*
 * lock KIND FILE HOW: takes a lock of KIND (flock, posix, ofd) on the whole of FILE.
 *   try   says "free" or "busy"
 *   hold  waits for it: says "waits", then "locked", and keeps it
 *   alarm the same, and is interrupted after a second: says "interrupted"
 *   threads the same beside another thread, which has no signal and goes on waiting: says "the other waits"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

struct other {
	const char *kind, *path;
	volatile int done, error;
};

static void *wait_beside(void *arg)
{
	struct other *o = arg;
	int fd = open(o->path, O_RDWR | O_CLOEXEC);

	o->error = take(o->kind, fd, 1) == 0 ? 0 : errno;
	o->done = 1;
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct other other = {argv[1], argv[2], 0, 0};
	pthread_t thread;
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
	if (strcmp(argv[3], "threads") == 0 && pthread_create(&thread, NULL, wait_beside, &other) != 0)
		return 1;
	if (strcmp(argv[3], "alarm") == 0 || strcmp(argv[3], "threads") == 0) {
		sigaction(SIGALRM, &action, NULL);
		alarm(1);
	}
	puts("waits");
	r = take(argv[1], fd, 1);
	puts(r == 0 ? "locked" : errno == EINTR ? "interrupted" : strerror(errno));
	while (r == 0)
		pause();
	if (strcmp(argv[3], "threads") == 0) {
		sleep(1);
		printf("the other %s\n", other.done ? strerror(other.error) : "waits");
	}
	return 0;
}
