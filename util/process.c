// SPDX-License-Identifier: Apache-2.0
#include "util/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define OUTPUT_MAX (1024u * 1024u)
#define LINE_MAX_BYTES 4096u

/* One pipe of the child: split into lines, and kept whole if the caller wants it. */
struct reader {
	int fd;
	char line[LINE_MAX_BYTES];
	size_t used;
	char *whole; /* NULL if not wanted */
	size_t whole_size;
};

/* In the child: reports errno through the pipe and ends. */
static void __attribute__((noreturn)) child_fail(int report_fd)
{
	int err = errno;
	ssize_t n = write(report_fd, &err, sizeof(err));

	_exit(n < 0 ? 126 : 127);
}

static void __attribute__((noreturn))
child_run(const struct process_options *o, int out_fd, int err_fd, int report_fd, pid_t parent)
{
	int null_fd;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (o->cancel)
		setpgid(0, 0);

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0)
		child_fail(report_fd);
	if (o->cwd && chdir(o->cwd) < 0)
		child_fail(report_fd);
	if (o->userns_fd > 0 && (setns(o->userns_fd, CLONE_NEWUSER) < 0 || setresgid(0, 0, 0) < 0 ||
					setresuid(0, 0, 0) < 0))
		child_fail(report_fd);
	if (o->prepare && o->prepare(o->arg) < 0)
		child_fail(report_fd);

	/* Only now: the kernel forgets it when credentials change. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	for (size_t i = 0; o->env && o->env[i]; i++)
		if (putenv((char *)o->env[i]) != 0)
			child_fail(report_fd);

	execvp(o->argv[0], (char *const *)o->argv);
	child_fail(report_fd);
}

static void reader_line(struct reader *r, const struct process_options *o, char *last, size_t size)
{
	if (r->used == 0)
		return;
	r->line[r->used] = '\0';
	r->used = 0;
	snprintf(last, size, "%.*s", (int)size - 1, r->line);
	if (o->line)
		o->line(r->line, o->arg);
}

/* Takes what is there. Returns false at the end of the pipe. */
static bool reader_take(struct reader *r, const struct process_options *o, char *last, size_t size)
{
	char buf[8192];
	ssize_t n = read(r->fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n' || r->used == sizeof(r->line) - 1)
			reader_line(r, o, last, size);
		if (buf[i] != '\n')
			r->line[r->used++] = buf[i];
	}
	if (r->whole && n > 0 && r->whole_size + (size_t)n < OUTPUT_MAX) {
		memcpy(r->whole + r->whole_size, buf, (size_t)n);
		r->whole_size += (size_t)n;
		r->whole[r->whole_size] = '\0';
	}
	if (n == 0)
		reader_line(r, o, last, size);
	return n > 0;
}

/* A signal that sets *cancel may come just before poll(), which it then does not interrupt. */
#define CANCEL_LOOK_MS 200

/* Waits until nothing of a killed process group is left that could still write somewhere. */
static void wait_group(pid_t group)
{
	uint64_t end = now_ms() + 10000;

	while (kill(-group, 0) == 0 && now_ms() < end)
		usleep(2000);
}

/* Reads both pipes until they end. Returns 0, -ETIMEDOUT or -EINTR. */
static int read_output(
	struct reader readers[2], const struct process_options *o, char *last, size_t size)
{
	uint64_t end = now_ms() + o->deadline_ms;
	struct pollfd p[2] = {{readers[0].fd, POLLIN, 0}, {readers[1].fd, POLLIN, 0}};

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		uint64_t now = now_ms();
		int n, wait = -1;

		if (o->deadline_ms) {
			if (now >= end)
				return -ETIMEDOUT;
			wait = (int)(end - now);
		}
		if (o->cancel) {
			if (*o->cancel)
				return -EINTR;
			wait = wait < 0 || wait > CANCEL_LOOK_MS ? CANCEL_LOOK_MS : wait;
		}
		n = poll(p, 2, wait);
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; n > 0 && i < 2; i++)
			if (p[i].revents && !reader_take(&readers[i], o, last, size))
				p[i].fd = -1;
	}
	return 0;
}

int process_run(const struct process_options *o, struct arrow_error *error)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1};
	_cleanup_free_ struct reader *readers = calloc(2, sizeof(*readers));
	char last[512] = "";
	int status = 0, failed = 0, r;
	pid_t pid, self = getpid();

	if (!readers || (o->output && !(readers[0].whole = calloc(1, OUTPUT_MAX))))
		return arrow_fail(error, ENOMEM, "cannot run %s: out of memory", o->argv[0]);
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
		pipe2(report, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		r = arrow_fail(error, errno, "cannot run %s: %m", o->argv[0]);
		goto out;
	}
	if (pid == 0)
		child_run(o, out[1], err[1], report[1], self);
	if (o->cancel)
		setpgid(pid, pid); /* here too: whichever of the two comes first */

	close(out[1]);
	close(err[1]);
	close(report[1]);
	out[1] = err[1] = report[1] = -1;

	readers[0].fd = out[0];
	readers[1].fd = err[0];
	r = read_output(readers, o, last, sizeof(last));
	if (r < 0)
		kill(o->cancel ? -pid : pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0 && o->cancel)
		wait_group(pid);

	if (r == -EINTR)
		r = arrow_fail(error, EINTR, "%s was interrupted", o->argv[0]);
	else if (r < 0)
		r = arrow_fail(
			error, -r, "%s did not end within %u s", o->argv[0], o->deadline_ms / 1000);
	else if (read(report[0], &failed, sizeof(failed)) == (ssize_t)sizeof(failed))
		r = arrow_fail(error, failed, "cannot run %s: %m", o->argv[0]);
	else if (WIFSIGNALED(status))
		r = arrow_fail(
			error, EIO, "%s was killed by signal %d", o->argv[0], WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		r = arrow_fail(error, EIO, "%s failed with status %d: %s", o->argv[0],
			WEXITSTATUS(status), last[0] ? last : "it said nothing");
	else if (o->output)
		*o->output = STEAL(readers[0].whole);
out:
	free(readers[0].whole);
	for (int i = 0; i < 2; i++) {
		close_keep_errno(out[i]);
		close_keep_errno(err[i]);
		close_keep_errno(report[i]);
	}
	return r;
}

static bool is_program(const char *path)
{
	struct stat st;

	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 && stat(path, &st) == 0 &&
	       S_ISREG(st.st_mode);
}

char *process_find(const char *name)
{
	const char *dir = getenv("PATH");

	if (strchr(name, '/'))
		return is_program(name) ? strdup(name) : NULL;
	while (dir && *dir) {
		size_t size = strcspn(dir, ":");
		/* An empty entry is the current directory. */
		_cleanup_free_ char *path =
			path_format("%.*s%s%s", (int)size, dir, size ? "/" : "./", name);

		if (path && is_program(path))
			return STEAL(path);
		dir += size + (dir[size] == ':');
	}
	return NULL;
}
