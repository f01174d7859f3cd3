// SPDX-License-Identifier: Apache-2.0
#include "guest/waits.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define NAME ".arrow-waits"
#define LOOK_MS 30 /* between two looks, while somebody waits */
#define TEXT_SIZE 4096
#define STACK_SIZE 32768

struct watch {
	int waits, proc;
	char lines[TEXT_SIZE], status[TEXT_SIZE];
	_Alignas(16) char stack[STACK_SIZE];
};

/*
 * The thread shares all of the loader's memory, also what the C library has for a thread, such as
 * errno: so it calls the kernel by itself, and of the library only what needs nothing of that.
 */
static long watch_call(long number, long a, long b, long c, long d)
{
	register long fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
}

/* Decimal, or with base 16 hexadecimal in small letters. */
static uint64_t watch_parse_number(const char **at, unsigned int base)
{
	uint64_t n = 0;

	for (;; (*at)++) {
		unsigned int digit = (unsigned char)**at;

		digit = digit >= 'a' ? digit - 'a' + 10 : digit - '0';
		if (digit >= base)
			return n;
		n = n * base + digit;
	}
}

/* A set of signals behind a name of /proc/PID/status; empty where it is not found. */
static uint64_t watch_find_set(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at)
		return 0;
	at += strlen(name);
	return watch_parse_number(&at, 16);
}

static char *watch_append_number(char *at, uint64_t n)
{
	char digits[20], *first = digits + sizeof(digits);

	do
		*--first = (char)('0' + n % 10);
	while ((n /= 10));
	memcpy(at, first, (size_t)(digits + sizeof(digits) - first));
	return at + (digits + sizeof(digits) - first);
}

static uint64_t watch_find_number(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at)
		return 0;
	at += strlen(name);
	return watch_parse_number(&at, 10);
}

/*
 * Whether a signal waits for a process or thread, which it does not block. One that was sent to a
 * whole process is taken by one thread, of which Linux prefers the first: another one whose wait
 * ended would get an error of the kernel's own, as it has no signal.
 */
static bool watch_has_signal(struct watch *w, uint64_t pid)
{
	uint64_t pending;
	char path[32];
	long fd, n;

	strcpy(watch_append_number(path, pid), "/status");
	fd = watch_call(SYS_openat, w->proc, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = watch_call(SYS_read, fd, (long)w->status, sizeof(w->status) - 1, 0);
	watch_call(SYS_close, fd, 0, 0, 0);
	w->status[n > 0 ? n : 0] = '\0';
	pending = watch_find_set(w->status, "\nSigPnd:\t");
	if (watch_find_number(w->status, "\nTgid:\t") == pid)
		pending |= watch_find_set(w->status, "\nShdPnd:\t");
	return (pending & ~watch_find_set(w->status, "\nSigBlk:\t")) != 0;
}

static void watch_look(struct watch *w)
{
	const char *at = w->lines;

	while (*at) {
		uint64_t number = watch_parse_number(&at, 10), pid;
		char line[24], *end;

		at += *at == ' ';
		pid = watch_parse_number(&at, 10);
		if (*at != '\n')
			return;
		at++;
		if (pid == 0 || !watch_has_signal(w, pid))
			continue;
		end = watch_append_number(line, number);
		*end++ = '\n';
		watch_call(SYS_write, w->waits, (long)line, end - line, 0);
	}
}

static int watch_main(void *argument)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
	struct watch *w = argument;
	long n;

	while ((n = watch_call(SYS_read, w->waits, (long)w->lines, sizeof(w->lines) - 1, 0)) > 0) {
		w->lines[n] = '\0';
		watch_look(w);
		watch_call(SYS_nanosleep, (long)&pause, 0, 0, 0);
	}
	return 0;
}

void waits_watch(const char *dir)
{
	static struct watch watch; /* one share is all that there is */
	char path[128];

	snprintf(path, sizeof(path), "%s/" NAME, dir);
	watch.waits = open(path, O_RDWR | O_CLOEXEC);
	watch.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (watch.waits >= 0 && watch.proc >= 0 &&
		clone(watch_main, watch.stack + sizeof(watch.stack),
			CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				CLONE_SYSVSEM,
			&watch) > 0)
		return;
	close_keep_errno(watch.waits);
	close_keep_errno(watch.proc);
	errno = 0;
}
