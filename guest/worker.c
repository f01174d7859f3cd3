// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest/worker.h"
#include "util/cleanup.h"
#include "util/io.h"

#define COMMAND_MAX 4096 /* bytes of a command line that are told */
#define PASSWD_MAX (1u << 20)
#define TICKS 100ull /* a second, in what Linux tells programs */
#define PAGE 4096ull

/* What /proc/<pid>/stat says. */
struct status {
	unsigned long long pid;
	char name[64];
	char state;
	unsigned long long parent, terminal, threads;
	unsigned long long ticks, start, size, pages; /* clock ticks; bytes */
};

/* The number that is word n of a text, the first is 0; 0 where there is none. */
static unsigned long long worker_parse_number(const char *text, int n)
{
	text += strspn(text, " \t");
	for (; n > 0; n--) {
		text += strcspn(text, " \t\n");
		text += strspn(text, " \t");
	}
	return strtoull(text, NULL, 10);
}

static bool worker_read_status(const char *pid, struct status *s)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	const char *open, *close;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	if (read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return false; /* it has ended */
	/* The name may hold anything, so it ends at the last parenthesis. */
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open || strlen(close) < 3)
		return false;
	s->pid = worker_parse_number(pid, 0);
	snprintf(s->name, sizeof(s->name), "%.*s", (int)(close - open - 1), open + 1);
	close += 2; /* word 0 is now the third of proc(5) */
	s->state = *close;
	s->parent = worker_parse_number(close, 1);
	s->terminal = worker_parse_number(close, 4);
	s->ticks = worker_parse_number(close, 11) + worker_parse_number(close, 12);
	s->threads = worker_parse_number(close, 17);
	s->start = worker_parse_number(close, 19);
	s->size = worker_parse_number(close, 20);
	s->pages = worker_parse_number(close, 21);
	return true;
}

/* Not the loader, not its kernel's threads, and not this worker. */
static bool worker_is_of_user(const struct status *s)
{
	return s->pid != 1 && s->pid != 2 && s->parent != 2 &&
	       s->pid != (unsigned long long)getpid();
}

/* Calls each() for every process of the user's, in the order of the kernel: by number. */
static int worker_each_process(void (*each)(const struct status *s, void *arg), void *arg)
{
	_cleanup_closedir_ DIR *d = opendir("/proc");
	struct dirent *entry;

	if (!d)
		return 1;
	while ((entry = readdir(d))) {
		struct status s;

		if (isdigit((unsigned char)entry->d_name[0]) &&
			worker_read_status(entry->d_name, &s) && worker_is_of_user(&s))
			each(&s, arg);
	}
	return 0;
}

/* The name of a user in the root's /etc/passwd, or its number. */
static void worker_find_user(const char *passwd, unsigned int uid, char name[33])
{
	for (const char *line = passwd; line && *line;) {
		size_t length = strcspn(line, ":\n");
		const char *end = line + strcspn(line, "\n");
		const char *id = memchr(line, ':', (size_t)(end - line));

		id = id ? memchr(id + 1, ':', (size_t)(end - id - 1)) : NULL;
		if (id && length < 33 && strtoul(id + 1, NULL, 10) == uid &&
			isdigit((unsigned char)id[1])) {
			snprintf(name, 33, "%.*s", (int)length, line);
			return;
		}
		line = *end ? end + 1 : end;
	}
	snprintf(name, 33, "%u", uid);
}

struct printer {
	int out;
	bool failed; /* nobody reads any more */
	const char *passwd;
};

static void worker_print_process(const struct status *s, void *arg)
{
	struct printer *p = arg;
	char path[64], user[33], text[COMMAND_MAX + 512];
	_cleanup_close_ int fd = -1;
	struct stat st = {0};
	size_t length;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%llu/cmdline", s->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	worker_find_user(p->passwd, (unsigned int)st.st_uid, user);
	length = 1 + (size_t)snprintf(text, sizeof(text),
			     "%llu %llu %u %c %llu %llu %llu %llu %llu %s", s->pid, s->parent,
			     (unsigned int)st.st_uid, s->state, s->terminal, s->ticks, s->start,
			     s->size, s->pages * PAGE, user);
	length += 1 + (size_t)snprintf(text + length, sizeof(text) - length, "%s", s->name);
	n = read_full(fd, text + length, COMMAND_MAX);
	while (n > 0 && text[length + (size_t)n - 1] == '\0')
		n--;
	for (ssize_t i = 0; i < n; i++) {
		if (text[length + (size_t)i] == '\0')
			text[length + (size_t)i] = ' ';
	}
	if (n <= 0) /* a zombie has no command line */
		n = snprintf(text + length, sizeof(text) - length, "[%s]", s->name);
	text[length + (size_t)n] = '\0';
	p->failed |= write_full(p->out, text, length + (size_t)n + 1) < 0;
}

/* Microseconds since the guest's kernel started. */
static unsigned long long worker_read_uptime(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000;
}

/*
 * First "ticks a second, microseconds since the boot" and a NUL, then for each process three
 * strings with a NUL each: numbers and the user's name, the name, the command line.
 */
int worker_processes(int out)
{
	_cleanup_free_ char *passwd = NULL;
	struct printer p = {.out = out};
	char text[64];
	int r;

	if (read_file(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &passwd, NULL) < 0)
		passwd = NULL;
	p.passwd = passwd;
	r = snprintf(text, sizeof(text), "%llu %llu", TICKS, worker_read_uptime());
	if (write_full(out, text, (size_t)r + 1) < 0)
		return 1;
	r = worker_each_process(worker_print_process, &p);
	return p.failed ? 1 : r;
}

static void worker_count_threads(const struct status *s, void *arg)
{
	*(unsigned long long *)arg += s->threads;
}

/* The number behind a name of /proc/meminfo, in bytes. */
static unsigned long long worker_set_memory(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

struct report {
	size_t used;
	char text[512]; /* which is enough for all lines */
};

static void worker_add_line(struct report *report, const char *name, unsigned long long n)
{
	report->used += (size_t)snprintf(report->text + report->used,
		sizeof(report->text) - report->used, "%s %llu\n", name, n);
}

static void worker_report_cpu(struct report *report)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long busy = 0;

	if (read_file(AT_FDCWD, "/proc/stat", 1 << 20, &text, NULL) < 0)
		return;
	/* "cpu", user, nice, system, idle, iowait, irq, softirq */
	for (int i = 1; i <= 7; i++)
		busy += i == 4 || i == 5 ? 0 : worker_parse_number(text, i);
	worker_add_line(report, "cpu_us", busy * (1000000 / TICKS));
}

static void worker_report_network(struct report *report)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long in = 0, out = 0;
	char *state = NULL;

	if (read_file(AT_FDCWD, "/proc/net/dev", 1 << 20, &text, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		const char *colon = strchr(line, ':');
		const char *name = line + strspn(line, " ");

		if (!colon || strncmp(name, "lo:", 3) == 0)
			continue;
		in += worker_parse_number(colon + 1, 0);
		out += worker_parse_number(colon + 1, 8);
	}
	worker_add_line(report, "net_in", in);
	worker_add_line(report, "net_out", out);
}

static void worker_report_disks(struct report *report)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long in = 0, out = 0;
	char *state = NULL;

	if (read_file(AT_FDCWD, "/proc/diskstats", 1 << 20, &text, NULL) < 0)
		return;
	/* major, minor, name, reads, merged, sectors, ms, writes, merged, sectors */
	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		in += worker_parse_number(line, 5) * 512;
		out += worker_parse_number(line, 9) * 512;
	}
	worker_add_line(report, "block_in", in);
	worker_add_line(report, "block_out", out);
}

static int worker_report_usage(int out)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long total, threads = 0;
	struct report report = {0};

	worker_add_line(&report, "at_us", worker_read_uptime());
	worker_report_cpu(&report);
	if (read_file(AT_FDCWD, "/proc/meminfo", 1 << 16, &text, NULL) == 0) {
		total = worker_set_memory(text, "MemTotal:");
		worker_add_line(&report, "mem_total", total);
		worker_add_line(
			&report, "mem_used", total - worker_set_memory(text, "MemAvailable:"));
	}
	if (worker_each_process(worker_count_threads, &threads) == 0)
		worker_add_line(&report, "pids", threads);
	worker_report_network(&report);
	worker_report_disks(&report);
	report.text[report.used++] = '\n';
	return write_full(out, report.text, report.used) < 0;
}

/* Lines "name number" and an empty one, once or, with an interval, until nobody reads them. */
int worker_usage(int out, unsigned int interval_ms)
{
	struct timespec pause = {
		.tv_sec = interval_ms / 1000, .tv_nsec = (long)(interval_ms % 1000) * 1000000};
	int r;

	do {
		r = worker_report_usage(out);
	} while (r == 0 && interval_ms > 0 && nanosleep(&pause, NULL) == 0);
	return r;
}

static int worker_main_send(const struct stage *stage, int argc, char **argv)
{
	if (argc < 2)
		return 2;
	return worker_send(STDOUT_FILENO, argv[1], argc > 2 && strcmp(argv[2], "-L") == 0);
}

static int worker_main_look(const struct stage *stage, int argc, char **argv)
{
	return argc < 2 ? 2 : worker_look(STDOUT_FILENO, argv[1]);
}

static int worker_main_receive(const struct stage *stage, int argc, char **argv)
{
	return argc < 2 ? 2 : worker_receive(STDIN_FILENO, STDOUT_FILENO, argv[1]);
}

static int worker_main_changes(const struct stage *stage, int argc, char **argv)
{
	return worker_changes(STDOUT_FILENO, stage->upper, stage->lower);
}

static int worker_main_processes(const struct stage *stage, int argc, char **argv)
{
	return worker_processes(STDOUT_FILENO);
}

static int worker_main_usage(const struct stage *stage, int argc, char **argv)
{
	return worker_usage(STDOUT_FILENO, argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0);
}

/* limit MILLICPUS PIDS: 0 for none */
static int worker_main_limit(const struct stage *stage, int argc, char **argv)
{
	return argc < 3 ? 2
			: worker_limit(STDOUT_FILENO, (uint32_t)strtoul(argv[1], NULL, 10),
				  (uint32_t)strtoul(argv[2], NULL, 10));
}

static int worker_main_network(const struct stage *stage, int argc, char **argv)
{
	return worker_network(stage, STDIN_FILENO, STDOUT_FILENO);
}

worker_main *worker_find(const char *name)
{
	static const struct {
		const char *name;
		worker_main *main;
	} workers[] = {
		{"send", worker_main_send},
		{"look", worker_main_look},
		{"receive", worker_main_receive},
		{"changes", worker_main_changes},
		{"processes", worker_main_processes},
		{"usage", worker_main_usage},
		{"limit", worker_main_limit},
		{"network", worker_main_network},
	};

	for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++) {
		if (strcmp(name, workers[i].name) == 0)
			return workers[i].main;
	}
	return NULL;
}
