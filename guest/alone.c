// SPDX-License-Identifier: Apache-2.0
/*
 * The loader of an exported Arrow: no host speaks to it. Its job is the file /job of the initramfs,
 * its program's streams are the virtio console, and when the program has ended so does the VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest/identity.h"
#include "guest/network.h"
#include "guest/root.h"
#include "guest/start.h"
#include "util/io.h"

#define CONSOLE "/dev/hvc0"
#define CONSOLE_DEADLINE_MS 30000u
#define ORPHANS_MS 100 /* how often the end of the program is looked for */

/* The console appears on its own time, after the kernel has started init. */
static int alone_open_console(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t deadline = now_ms() + CONSOLE_DEADLINE_MS;
	struct termios modes;
	int fd;

	while ((fd = open(CONSOLE, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		if (now_ms() > deadline)
			return -errno;
		nanosleep(&pause, NULL);
	}
	/* Bytes as they are: the terminal is at the other end. */
	if (tcgetattr(fd, &modes) == 0) {
		cfmakeraw(&modes);
		tcsetattr(fd, TCSANOW, &modes);
	}
	return fd;
}

static void __attribute__((noreturn)) alone_end(int console, const char *text)
{
	if (text)
		dprintf(console >= 0 ? console : STDERR_FILENO, "arrow: %s\r\n", text);
	sync();
	if (console >= 0)
		tcdrain(console);
	reboot(RB_AUTOBOOT);
	_exit(1);
}

static int alone_do_job(struct stage *stage, struct process *program, struct failure *failure)
{
	static struct job job; /* large */
	const char *why;
	char *data;
	size_t size;
	int r = read_file(AT_FDCWD, "/job", ARROW_JOB_MAX, &data, &size);

	if (r < 0)
		return fail(failure, 125, -r, "cannot read the job: %m");
	r = job_decode((uint8_t *)data, size, &job, &why);
	if (r < 0)
		return fail(failure, 125, -r, "the job is malformed: %s", why);
	/* What is in a file is no secret, and old: both are the machine's own. */
	job.clock.seconds = 0;
	if (getrandom(job.seed, sizeof(job.seed), 0) != (ssize_t)sizeof(job.seed))
		return fail(failure, 125, errno, "cannot get random numbers: %m");
	r = identity_unique(&job, failure);
	if (r == 0)
		r = network_configure(stage, &job, failure);
	if (r == 0)
		r = identity_sysctls(stage, &job, failure);
	if (r == 0)
		r = root_enter(stage, &job, failure);
	return r == 0 ? start_process(stage, &job, true, program, failure) : r;
}

/* Copies what is there. False at the end of it. */
static bool alone_copy(int from, int to)
{
	char buf[8192];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	return n > 0 && write_full(to, buf, (size_t)n) == 0;
}

/* Carries the streams until the program has ended and all that it wrote is out. */
static int alone_carry(const struct process *program, int console)
{
	struct pollfd fds[3] = {{program->out[0].fd, POLLIN, 0}, {program->out[1].fd, POLLIN, 0},
		{program->in.fd >= 0 ? console : -1, POLLIN, 0}};
	bool alive = true;
	int status = 0, ended = 0;
	pid_t pid;

	while (alive || fds[0].fd >= 0 || fds[1].fd >= 0) {
		int n = poll(fds, 3, ORPHANS_MS);

		for (int i = 0; n > 0 && i < 2; i++)
			if (fds[i].revents && !alone_copy(fds[i].fd, console))
				fds[i].fd = -1;
		/* A program that reads slowly holds the console's input up, and nothing else. */
		if (n > 0 && fds[2].revents && !alone_copy(console, program->in.fd))
			fds[2].fd = -1;
		while ((pid = waitpid(-1, &ended, WNOHANG)) > 0) {
			if (pid != program->pid)
				continue;
			alive = false;
			status = ended;
			fds[2].fd = -1;
			/* What it left behind would hold its output open. */
			kill(-1, SIGKILL);
		}
	}
	return status;
}

int main(void)
{
	static struct process program;
	static struct stage stage;
	struct failure failure = {0};
	const char *what = "";
	char text[64];
	int console, status, r;

	if (getpid() != 1) {
		dprintf(STDERR_FILENO, "the loader runs as PID 1 of an Arrow only\n");
		return 125;
	}
	r = stage_prepare(&stage, &what);
	if (r < 0)
		alone_end(-1, what);
	if (identity_prepare() < 0)
		alone_end(-1, "there is no /dev/urandom");
	identity_loopback();
	network_prepare(&stage);
	console = alone_open_console();
	if (console < 0)
		alone_end(-1, "there is no " CONSOLE);
	if (alone_do_job(&stage, &program, &failure) < 0)
		alone_end(console, failure.text);
	status = alone_carry(&program, console);
	if (status == 0)
		alone_end(console, NULL);
	snprintf(text, sizeof(text), "the program ended with %s %d",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	alone_end(console, text);
}
