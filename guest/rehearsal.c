// SPDX-License-Identifier: Apache-2.0
/*
 * The program of the rehearsal (warm.c): does a little of what programs do when they start and end,
 * so that the kernel's ways for it have been gone once. Nothing of it matters.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void rehearse_look(const char *path)
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

static void rehearse_files(void)
{
	static const char *const paths[] = {"/etc/passwd", "/etc/hosts", "/etc/localtime",
		"/proc/self/status", "/proc/self/exe", "/proc/meminfo", "/proc/cpuinfo",
		"/sys/devices/system/cpu/online", "/usr/lib/none", "/"};
	char *map;
	int fd;

	fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!read(fd, &map, sizeof(map));
		fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC);
		close(fd);
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		rehearse_look(paths[i]);
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

/*
 * As large as many programs are: so that the kernel reads ahead of it in pieces of all sizes, as it
 * does for those.
 */
#define BULK (384 * 1024)
static const volatile char bulk[BULK] = {1};

static void rehearse_read_ahead(void)
{
	static const int pages[] = {0, 5, 40, 41, 42, 80, 11, 60, 94, 23, 95};

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		(void)bulk[pages[i] * 4096];
}

/* What the linker of glibc does to libraries: pieces of a file, of which one is written to. */
static void rehearse_map_pieces(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), prot = PROT_READ | PROT_WRITE;
	char head[832], *map;

	if (fd < 0)
		return;
	if (read(fd, head, sizeof(head)) > 0 && pread(fd, head, 784, 64) > 0)
		syscall(SYS_newfstatat, fd, "", head, 0x1000 /* AT_EMPTY_PATH */);
	map = mmap(NULL, 40 * 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map != MAP_FAILED) {
		mmap(map + 4096, 8 * 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd,
			4096);
		mmap(map + 20 * 4096, 4 * 4096, prot, MAP_PRIVATE | MAP_FIXED, fd, 20 * 4096);
		mmap(map + 30 * 4096, 4 * 4096, prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1,
			0);
		map[20 * 4096] = map[22 * 4096 + 8] = map[30 * 4096] = map[4100];
		mprotect(map + 20 * 4096, 2 * 4096, PROT_READ);
		munmap(map, 40 * 4096);
	}
	close(fd);
}

/* As many mappings as a program with some libraries has. */
static void rehearse_map_many(void)
{
	enum { COUNT = 40 };
	char *maps[COUNT];

	for (int i = 0; i < COUNT; i++) {
		maps[i] = mmap(NULL, 4 * 4096, i % 3 ? PROT_READ | PROT_WRITE : PROT_READ,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (maps[i] != MAP_FAILED && i % 3)
			mprotect(maps[i] + 4096, 4096, PROT_READ);
	}
	for (int i = 0; i < COUNT; i++)
		if (maps[i] != MAP_FAILED)
			munmap(maps[i], 4 * 4096);
}

/* What glibc asks of the kernel before main(), and musl does not. */
static void rehearse_begin(void)
{
	static struct {
		void *next;
		long offset;
		void *pending;
	} robust = {.next = &robust};
	static struct {
		uint32_t cpu_id_start, cpu_id;
		uint64_t rseq_cs;
		uint32_t flags, padding[3];
	} __attribute__((aligned(32))) rseq;
	uint64_t word;
	struct rlimit limit;
	long top;

	syscall(SYS_set_robust_list, &robust, sizeof(robust));
	syscall(SYS_rseq, &rseq, sizeof(rseq), 0, 0x53053053);
	syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &limit);
	syscall(SYS_getrandom, &word, sizeof(word), 1 /* GRND_NONBLOCK */);
	top = syscall(SYS_brk, 0);
	if (syscall(SYS_brk, top + 0xd80) > top && syscall(SYS_brk, top + 0x22000) > top)
		*(volatile char *)top = *(volatile char *)(top + 0x21000) = 1;
}

static void *rehearse_in_thread(void *arg)
{
	return arg;
}

static void rehearse_processes(char **argv)
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
	if (pthread_create(&t, NULL, rehearse_in_thread, NULL) == 0)
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
	pid = fork();
	if (pid == 0) {
		execv("/linked", child);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

int main(int argc, char **argv)
{
	struct timespec now;
	struct utsname name;
	struct rlimit limit;
	char *memory, line[64];

	rehearse_begin();
	if (argc > 1 && strcmp(argv[1], "trial") == 0)
		puts("trial");
	if (argc > 1)
		return 0;
	rehearse_read_ahead();
	rehearse_map_pieces(argv[0]);
	rehearse_map_many();
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
	rehearse_files();
	rehearse_processes(argv);
	printf("%s %ld %d\n", name.release, (long)now.tv_sec, getuid() + getpid());
	fflush(stdout);
	fprintf(stderr, "%s\n", getenv("PATH"));
	return 0;
}
