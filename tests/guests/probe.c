// SPDX-License-Identifier: Apache-2.0
/* A static program that does one thing that a test asks for: probe WHAT [ARG...]. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <sys/xattr.h>
#include <unistd.h>

static int print_args(int n, char **v)
{
	for (int i = 0; i < n; i++)
		printf("<%s>\n", v[i]);
	return 0;
}

static void *count(void *arg)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&lock);
		++*(long *)arg;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

/* Eight threads and a shared counter. */
static int threads(void)
{
	pthread_t t[8];
	long total = 0;

	for (int i = 0; i < 8; i++)
		if (pthread_create(&t[i], NULL, count, &total))
			return 1;
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	printf("%ld\n", total);
	return total == 8000 ? 0 : 1;
}

static volatile sig_atomic_t caught;

static void note(int sig)
{
	caught = sig;
}

/* Says "ready", then prints the first signal that arrives and exits with its number. */
static int signals(void)
{
	for (int s = 1; s < 32; s++)
		signal(s, note);
	printf("ready\n");
	fflush(stdout);
	while (!caught)
		pause();
	printf("got %d\n", (int)caught);
	return caught;
}

/* Takes memory for ever. */
static int eat(void)
{
	for (;;) {
		char *p = malloc(1 << 20);

		if (!p)
			return 3;
		memset(p, 1, 1 << 20);
	}
}

/* Processes that ended and that nobody has waited for. */
static int zombies(void)
{
	int count = 0;

	for (int pid = 2; pid < 200; pid++) {
		char path[64], line[256] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		f = fopen(path, "r");
		if (f && fgets(line, sizeof(line), f) && strstr(line, ") Z "))
			count++;
		if (f)
			fclose(f);
	}
	return count;
}

/* An orphan outlives its parent and must be reaped by PID 1, soon: within 30 s here. */
static int orphans(void)
{
	for (int i = 0; i < 20; i++) {
		if (fork() == 0) {
			if (fork() == 0)
				_exit(0);
			_exit(0);
		}
		wait(NULL);
	}
	for (int i = 0; i < 300 && zombies() > 0; i++)
		usleep(100000);
	printf("zombies %d\n", zombies());
	return 0;
}

static int limits(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	printf("nofile %llu %llu\n", (unsigned long long)r.rlim_cur,
		(unsigned long long)r.rlim_max);
	getrlimit(RLIMIT_CORE, &r);
	printf("core %lld\n", (long long)r.rlim_cur);
	return 0;
}

/* Different bytes on both outputs, at the same time. */
static int both(void)
{
	for (int i = 0; i < 1000; i++) {
		printf("out %d\n", i);
		fflush(stdout);
		fprintf(stderr, "err %d\n", i);
	}
	return 0;
}

/* Prints an extended attribute. */
static int xattr(const char *path, const char *name)
{
	char value[256];
	ssize_t n = getxattr(path, name, value, sizeof(value));

	if (n < 0) {
		perror(path);
		return 1;
	}
	printf("%.*s\n", (int)n, value);
	return 0;
}

/*
 * A connection to itself, from a port or any: how its first sequence number is ahead of the clock,
 * in units of a quarter of a second. The kernel adds the clock, in units of 64 ns, to a hash of
 * addresses and ports with its secret. Takes CAP_NET_ADMIN. Returns -1 where it cannot be told.
 */
static int tcp_ahead(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in from = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1, queue = 2; /* TCP_SEND_QUEUE, which musl has not */
	unsigned int number = 0;
	socklen_t size = sizeof(number);
	struct timespec now;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return -1;
	clock_gettime(CLOCK_REALTIME, &now);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ||
		getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &number, &size) < 0)
		return -1;
	size = sizeof(from);
	if (getsockname(fd, (struct sockaddr *)&from, &size) < 0)
		return -1;
	*port = ntohs(from.sin_port);
	/* Closed while it is under repair: nothing of it stays. */
	close(fd);
	number -= (unsigned int)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 6);
	return (int)(number >> 22);
}

/* What follows from the secret of the kernel for TCP, the same as often as it is asked for. */
static void tcp(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, any = 0;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listener, 8) < 0)
		return;
	printf("tcp_secret");
	for (int port = 1001; port < 1007; port++)
		printf(" %d", tcp_ahead(&port));
	printf("\n");
	if (tcp_ahead(&any) >= 0)
		printf("port %d\n", any);
	close(listener);
}

static void print_file(const char *path)
{
	char line[64] = "";
	FILE *f = fopen(path, "re");

	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = 0;
	if (f)
		fclose(f);
	printf(" %s", line);
}

/* What must differ from clone to clone, and the clocks. */
static int unique(void)
{
	const uint64_t *random = (const uint64_t *)getauxval(AT_RANDOM);
	struct timespec real, mono;
	uint64_t bytes[2], device[2];
	FILE *urandom = fopen("/dev/urandom", "re");
	char name[65] = "";
	int local;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes) || !urandom ||
		fread(device, sizeof(device), 1, urandom) != 1 ||
		gethostname(name, sizeof(name) - 1))
		return 1;
	fclose(urandom);
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	printf("at_random %016llx%016llx\n", (unsigned long long)random[0],
		(unsigned long long)random[1]);
	printf("getrandom %016llx%016llx\n", (unsigned long long)bytes[0],
		(unsigned long long)bytes[1]);
	printf("urandom %016llx%016llx\n", (unsigned long long)device[0],
		(unsigned long long)device[1]);
	printf("hostname %s\nboot_id", name);
	print_file("/proc/sys/kernel/random/boot_id");
	printf("\nuuid");
	print_file("/proc/sys/kernel/random/uuid");
	printf("\nmachine_id");
	print_file("/etc/machine-id");
	printf("\nstack %p\n", (void *)&local);
	printf("map %p\n", mmap(NULL, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	printf("program %p\n", (void *)unique);
	tcp();
	printf("time %lld.%03ld\n", (long long)real.tv_sec, real.tv_nsec / 1000000);
	printf("monotonic %lld\n", (long long)mono.tv_sec);
	return 0;
}

/* Answers each byte of stdin with the time of day in nanoseconds. */
static int answer_time(void)
{
	struct timespec now;

	while (getchar() != EOF) {
		clock_gettime(CLOCK_REALTIME, &now);
		printf("%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
		fflush(stdout);
	}
	return 0;
}

/* Ten times a second: a number, who this is by name, machine and boot id, and something random. */
static int tally(void)
{
	for (int i = 1;; i++) {
		char name[65] = "";
		uint64_t bytes[2];

		gethostname(name, sizeof(name) - 1);
		printf("%d %s", i, name);
		print_file("/etc/machine-id");
		print_file("/proc/sys/kernel/random/boot_id");
		if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
			return 1;
		printf(" %016llx%016llx\n", (unsigned long long)bytes[0],
			(unsigned long long)bytes[1]);
		fflush(stdout);
		usleep(100000);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "args"))
		return print_args(argc - 2, argv + 2);
	if (!strcmp(what, "exit"))
		return atoi(argv[2]);
	if (!strcmp(what, "kill"))
		return kill(getpid(), atoi(argv[2]));
	if (!strcmp(what, "threads"))
		return threads();
	if (!strcmp(what, "signals"))
		return signals();
	if (!strcmp(what, "eat"))
		return eat();
	if (!strcmp(what, "orphans"))
		return orphans();
	if (!strcmp(what, "limits"))
		return limits();
	if (!strcmp(what, "both"))
		return both();
	if (!strcmp(what, "clock"))
		return answer_time();
	if (!strcmp(what, "tally"))
		return tally();
	if (!strcmp(what, "unique"))
		return unique();
	if (!strcmp(what, "reboot"))
		return reboot(RB_AUTOBOOT);
	if (!strcmp(what, "xattr") && argc > 3)
		return xattr(argv[2], argv[3]);
	fprintf(stderr, "usage: probe WHAT\n");
	return 2;
}
