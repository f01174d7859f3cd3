// SPDX-License-Identifier: Apache-2.0
/*
 * The program of the rehearsal (warm.c): does a little of what programs do when they start and end,
 * so that the kernel's ways for it have been gone once. Nothing of it matters.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void look(const char *path)
{
	char buf[512];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		fstat(fd, &st);
		lseek(fd, 0, SEEK_SET);
		close(fd);
	}
	if (readlink(path, buf, sizeof(buf)) < 0 && access(path, R_OK) < 0)
		stat(path, &st);
}

static void files(void)
{
	static const char *const paths[] = {"/etc/passwd", "/etc/hosts", "/etc/localtime",
		"/proc/self/status", "/proc/self/exe", "/proc/meminfo", "/proc/cpuinfo",
		"/sys/devices/system/cpu/online", "/dev/urandom", "/usr/lib/none", "/"};
	char *map;
	int fd;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (strcmp(paths[i], "/dev/urandom") != 0)
			look(paths[i]);
	fd = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write(fd, "text", 4) == 4 && ftruncate(fd, 65536) == 0) {
		map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map != MAP_FAILED) {
			map[5000] = 1;
			munmap(map, 65536);
		}
	}
	close(fd);
	rename("/tmp/file", "/tmp/other");
	unlink("/tmp/other");
}

static void *thread(void *arg)
{
	return arg;
}

static void processes(char **argv)
{
	struct sigaction action = {.sa_handler = SIG_IGN};
	struct timespec nap = {.tv_nsec = 1000};
	struct pollfd p = {.events = POLLIN};
	char *const child[] = {argv[0], (char *)"child", NULL};
	int fds[2], status;
	char byte = 0;
	pthread_t t;
	pid_t pid;

	sigaction(SIGPIPE, &action, NULL);
	if (pthread_create(&t, NULL, thread, NULL) == 0)
		pthread_join(t, NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		if (write(fds[1], &byte, 1) == 1)
			execv(argv[0], child);
		_exit(0);
	}
	p.fd = fds[0];
	if (poll(&p, 1, 10000) == 1 && read(fds[0], &byte, 1) == 1)
		nanosleep(&nap, NULL);
	waitpid(pid, &status, 0);
	close(fds[0]);
	close(fds[1]);
}

int main(int argc, char **argv)
{
	struct timespec now;
	struct utsname name;
	struct rlimit limit;
	char *memory, line[64];

	if (argc > 1)
		return 0;
	while (fgets(line, sizeof(line), stdin))
		;
	memory = malloc(300000);
	if (memory && getrandom(memory, 64, 0) == 64)
		memset(memory, 1, 300000);
	memory = realloc(memory, 600000);
	free(memory);
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_MONOTONIC, &now);
	uname(&name);
	getrlimit(RLIMIT_STACK, &limit);
	files();
	processes(argv);
	printf("%s %ld %d\n", name.release, (long)now.tv_sec, getuid() + getpid());
	fflush(stdout);
	fprintf(stderr, "%s\n", getenv("PATH"));
	return 0;
}
