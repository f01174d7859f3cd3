// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/exec.h"
#include "guest/identity.h"
#include "guest/network.h"
#include "guest/restore.h"
#include "guest/root.h"
#include "guest/start.h"
#include "guest/stream.h"
#include "guest/tty.h"
#include "guest/warm.h"
#include "util/io.h"

#define PORT_DEADLINE_MS 30000u  /* the channel's port has to appear */
#define STUCK_DEADLINE_MS 10000u /* killed processes have to be gone */
#define LINGER_MS 5000u          /* the host has to end the VM after DONE */
#define RECEIVE_BUDGET (64u * 1024u)

#define WATCH_PORT UINT64_C(0x10000) /* streams are 16 bits wide */
#define WATCH_SIGNALS UINT64_C(0x10001)

/* Says why there can be no Arrow to the kernel's log, the only ear left, and ends the VM. */
static void loader_die(const char *what, int err)
{
	char line[256];
	int n = snprintf(
		line, sizeof(line), "arrow: loader: cannot %s: %s\n", what, strerror(-err));
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (write(fd >= 0 ? fd : STDERR_FILENO, line, (size_t)n) < 0)
		errno = 0;
	sync();
	reboot(RB_AUTOBOOT);
	_exit(1);
}

static void __attribute__((format(printf, 2, 3)))
tell_note(struct loader *loader, const char *fmt, ...)
{
	char text[ARROW_TEXT_MAX];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n > (int)sizeof(text) - 1)
		n = (int)sizeof(text) - 1;
	/* A note that finds no room is lost: nothing waits for it. */
	(void)channel_put(&loader->channel, ARROW_CONTROL, ARROW_NOTE, text, (size_t)n);
}

/* Microseconds since the guest's kernel started, the time that it was frozen left out. */
static uint64_t loader_read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void loader_tell_phase(struct loader *loader, const char *phase, uint64_t us)
{
	if (loader->notes)
		tell_note(loader, "%s at %u.%03u ms of the guest's time", phase,
			(unsigned int)(us / 1000), (unsigned int)(us % 1000));
}

/* Queues a frame that must not be lost: the reserve of the queue has room for all of a life. */
static void loader_tell_frame(
	struct loader *loader, uint16_t type, const void *payload, size_t size)
{
	if (channel_put(&loader->channel, ARROW_CONTROL, type, payload, size) < 0)
		loader_die("report to the host", -ENOBUFS);
}

static void loader_tell_failed(struct loader *loader, const struct failure *failure)
{
	uint8_t payload[ARROW_FAILED_MAX];

	loader_tell_frame(loader, ARROW_FAILED, payload, failure_encode(payload, PROGRAM, failure));
	loader->life = LIFE_DRAIN;
	loader->deadline = now_ms() + STUCK_DEADLINE_MS;
}

static void loader_tell_started(struct loader *loader)
{
	uint32_t pid = (uint32_t)loader->processes[PROGRAM - 1].pid;
	uint8_t payload[ARROW_STARTED_BYTES];

	arrow_started_encode(payload, &(struct arrow_started){PROGRAM, pid});
	loader_tell_frame(loader, ARROW_STARTED, payload, sizeof(payload));
}

static void loader_tell_ready(struct loader *loader)
{
	uint8_t payload[ARROW_NUMBER_BYTES];

	stage_watch_log(&loader->stage);
	loader->ready_us = loader_read_clock();
	arrow_number_encode(payload, ARROW_PROTOCOL_VERSION);
	loader_tell_frame(loader, ARROW_READY, payload, sizeof(payload));
}

static void loader_tell_exited(struct loader *loader, uint32_t how, uint32_t value)
{
	uint8_t payload[ARROW_EXITED_BYTES];

	arrow_exited_encode(payload, &(struct arrow_exited){PROGRAM, how, value});
	loader_tell_frame(loader, ARROW_EXITED, payload, sizeof(payload));
}

/* Does the job up to the program's start. It is kept, for processes beside the program. */
static int life_do_job(struct loader *loader, struct failure *failure)
{
	struct process *program = &loader->processes[PROGRAM - 1];
	struct records *records = &loader->records;
	struct job *job = &loader->job;
	const char *why;
	int r;

	if (records->overflow || records->size == 0)
		return fail(failure, 125, EINVAL, "the job is %s",
			records->overflow
				? "too large for the Arrow's memory, or larger than 16 MiB"
				: "empty");
	r = job_decode(records->data, records->size, job, &why);
	if (r < 0)
		return fail(failure, 125, -r, "the job is malformed: %s", why);

	if (job->flags & ARROW_JOB_STDIN) {
		r = stream_expect(loader);
		if (r < 0)
			return fail(failure, 125, -r, "cannot make the buffer of stdin: %m");
	}
	loader->notes = job->flags & ARROW_JOB_NOTES;
	loader_tell_phase(loader, "ready", loader->ready_us);
	loader_tell_phase(loader, "job taken", loader_read_clock());
	clock_ask(loader);
	r = identity_unique(job, failure);
	if (r == 0)
		r = network_configure(&loader->stage, job, failure);
	if (r == 0)
		r = identity_sysctls(&loader->stage, job, failure);
	if (r == 0)
		r = root_enter(&loader->stage, job, failure);
	loader->outlives = job_outlives(job);
	if (r == 0) {
		loader_tell_phase(loader, "root entered", loader_read_clock());
		r = clock_wait(loader);
		if (r < 0)
			return fail(failure, 125, EPROTO, "the host did not tell the time: %m");
		r = start_process(&loader->stage, job, true, program, failure);
	}
	if (r == 0) {
		loader_tell_started(loader);
		loader_tell_phase(loader, "program started", loader_read_clock());
	}
	return r;
}

static void life_begin(struct loader *loader)
{
	struct failure failure = {0};
	int r = life_do_job(loader, &failure);

	if (r == 0) {
		loader->top = PROGRAM;
		r = stream_watch(loader, PROGRAM);
		if (r < 0)
			loader_die("watch the program's streams", r);
		loader->life = LIFE_RUN;
		return;
	}
	loader_tell_failed(loader, &failure);
}

static int loop_watch(struct loader *loader);

static void life_rehearse(struct loader *loader)
{
	int r = warm_rehearse(&loader->stage);

	if (r < 0)
		loader_die("rehearse a job", r);
	if (r == 1) {
		loader->rehearsal = true;
		close(loader->epoll);
		close(loader->signals);
		r = loop_watch(loader);
		if (r < 0)
			loader_die("set up its event loop", r);
	}
	loader_tell_ready(loader);
}

static void life_restore(struct loader *loader)
{
	struct failure failure = {0};

	if (restore_begin(loader, &failure) < 0)
		loader_tell_failed(loader, &failure);
	else
		loader_tell_started(loader);
}

static void control_take_signal(struct loader *loader, const struct arrow_frame *frame)
{
	struct arrow_signal signal;
	struct process *p;

	if (arrow_signal_decode(loader->control, frame->length, &signal) < 0)
		return;
	p = stream_process(loader, signal.process);
	if (!p || !p->alive)
		return;
	if (signal.signal == SIGKILL)
		p->host_killed = true;
	kill(p->pid, (int)signal.signal);
}

static void control_take_winsize(struct loader *loader, const struct arrow_frame *frame)
{
	struct arrow_winsize size;
	struct process *p;

	if (arrow_winsize_decode(loader->control, frame->length, &size) < 0)
		return;
	p = stream_process(loader, size.process);
	if (p && p->tty >= 0)
		tty_resize(p->tty, size.rows, size.columns);
}

static void control_take_time(struct loader *loader, const struct arrow_frame *frame)
{
	struct arrow_time time;

	if (arrow_time_decode(loader->control, frame->length, &time) < 0)
		return;
	if (time.guest != 0)
		clock_answer(loader, &time);
	else
		clock_ask(loader);
}

static void control_take(struct loader *loader, const struct arrow_frame *frame)
{
	uint32_t number;

	/* What makes no sense, or comes too late, is left alone: only the host itself can suffer.
	 */
	switch ((enum arrow_frame_type)frame->type) {
	case ARROW_JOB_END:
		if (loader->life == LIFE_WAIT)
			life_begin(loader);
		break;
	case ARROW_SIGNAL:
		control_take_signal(loader, frame);
		break;
	case ARROW_WINSIZE:
		control_take_winsize(loader, frame);
		break;
	case ARROW_EXEC_END:
		if (arrow_exec_end_decode(loader->control, frame->length, &number) == 0)
			exec_begin(loader, number);
		break;
	case ARROW_SAVE:
		if (loader->life == LIFE_RUN)
			save_hold(loader);
		break;
	case ARROW_RESUME:
		loader->held = false;
		clock_ask(loader);
		break;
	case ARROW_RESTORE:
		if (loader->held)
			life_restore(loader);
		break;
	case ARROW_TIME:
		control_take_time(loader, frame);
		break;
	case ARROW_WARM:
		if (loader->life == LIFE_WAIT && !loader->rehearsal)
			life_rehearse(loader);
		break;
	case ARROW_JOB:
	case ARROW_EXEC:
	case ARROW_SAVED:
	case ARROW_DATA:
	case ARROW_EOF:
	case ARROW_CREDIT:
	case ARROW_CLOSED:
	case ARROW_READY:
	case ARROW_STARTED:
	case ARROW_FAILED:
	case ARROW_EXITED:
	case ARROW_DONE:
	case ARROW_NOTE:
		break;
	}
}

/* Reports how a process ended. With the program ends everything else. */
static void life_process_ended(struct loader *loader, uint32_t number, int status)
{
	struct process *p = &loader->processes[number - 1];
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !p->host_killed;
	uint64_t before = loader->stage.oom_kills;
	uint32_t how = ARROW_EXIT_STATUS, value = 0;

	if (killed)
		loader->stage.oom_kills = stage_oom_kills(&loader->stage);
	if (WIFSIGNALED(status)) {
		how = loader->stage.oom_kills > before ? ARROW_EXIT_OOM : ARROW_EXIT_SIGNAL;
		value = (uint32_t)WTERMSIG(status);
	} else {
		value = (uint32_t)WEXITSTATUS(status);
	}
	stream_process_ended(p);
	if (number != PROGRAM) {
		p->tell_exit = true;
		p->exit_how = how;
		p->exit_value = value;
		return;
	}
	loader_tell_exited(loader, how, value);
	loader->life = LIFE_DRAIN;
	loader->deadline = now_ms() + STUCK_DEADLINE_MS;
	if (!killed && stage_log_grew(&loader->stage) && stage_oom_kills(&loader->stage) > before)
		tell_note(loader,
			"out of memory: the kernel killed a process of the Arrow; give it more with -m");
}

static void life_reap(struct loader *loader)
{
	struct signalfd_siginfo info;
	bool ran = loader->life == LIFE_RUN;
	int status;
	pid_t pid;

	while (read(loader->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (uint32_t i = 0; i < loader->top; i++) {
			struct process *p = &loader->processes[i];

			if (p->used && p->alive && p->pid == pid)
				life_process_ended(loader, i + 1, status);
		}
	}
	loader->children = pid == 0;
	/* With the program ends all that is left of the others, each of which is a child by now or
	 * below one. */
	if (ran && loader->life == LIFE_DRAIN && loader->children) {
		(void)channel_send(&loader->channel);
		kill(-1, SIGKILL);
	}
}

/* Takes the next step towards the end, when its time has come. */
static void life_step(struct loader *loader)
{
	uint64_t now;

	if (loader->life == LIFE_WAIT || loader->life == LIFE_RUN)
		return;
	now = now_ms();
	if (loader->life == LIFE_DRAIN) {
		if (now >= loader->deadline) {
			loader->children = false;
			stream_abandon(loader);
		}
		if (loader->children || !stream_drained(loader))
			return;
		if (loader->outlives)
			sync();
		loader_tell_frame(loader, ARROW_DONE, NULL, 0);
		loader->life = LIFE_DONE;
		loader->deadline = now + LINGER_MS;
	} else if (now >= loader->deadline) {
		reboot(RB_AUTOBOOT);
	}
}

/* How long the loop may sleep, in ms; -1 for as long as nothing happens. */
static int loop_timeout(struct loader *loader)
{
	uint64_t now;

	if (loader->channel.writable && !channel_idle(&loader->channel))
		return 10; /* the kernel had no memory for a write */
	if (loader->life == LIFE_DRAIN || loader->life == LIFE_DONE) {
		now = now_ms();
		/* Past the deadline only credit is waited for, and that is an event. */
		return now < loader->deadline ? (int)(loader->deadline - now) : 1000;
	}
	return stream_retry(loader) ? 50 : -1;
}

static void loop_wait(struct loader *loader, int timeout)
{
	struct epoll_event events[16];
	int n = epoll_wait(loader->epoll, events, 16, timeout);

	for (int i = 0; i < n; i++) {
		uint64_t what = events[i].data.u64;

		if (what == WATCH_SIGNALS) {
			life_reap(loader);
		} else if (what == WATCH_PORT) {
			loader->channel.readable = true;
			loader->channel.writable = true;
		} else {
			stream_ready(loader, (uint16_t)what, events[i].events);
		}
	}
}

static void loop_run(struct loader *loader)
{
	struct channel_sink sink = stream_sink(loader);

	for (;;) {
		int received = channel_receive(&loader->channel, &sink, RECEIVE_BUDGET);
		bool moved;
		int sent;

		exec_pump(loader);
		moved = stream_pump(loader);
		life_step(loader);
		sent = channel_send(&loader->channel);
		/* A host that breaks the protocol gets no Arrow, and the channel is lost with it.
		 */
		if (received < 0 || sent < 0)
			loader_die("use the control channel", received < 0 ? received : sent);
		if (loader->rehearsal && loader->life == LIFE_DONE &&
			channel_idle(&loader->channel))
			_exit(0);
		moved |= received > 0 || sent > 0;
		loop_wait(loader, moved ? 0 : loop_timeout(loader));
	}
}

/* The port appears on its own time, after the kernel has started init. */
static int loader_open_port(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t deadline = now_ms() + PORT_DEADLINE_MS;
	int fd;

	while ((fd = open(ARROW_PORT_NODE, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0) {
		if (now_ms() > deadline)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return fd;
}

/* The pipes of the program to come. */
static int loop_watch_pipes(struct loader *loader)
{
	int r = stage_pipes(&loader->stage);

	for (uint16_t fd = 1; r == 0 && fd <= 2; fd++) {
		struct epoll_event output = {
			.events = EPOLLIN | EPOLLET, .data.u64 = ARROW_STREAM(PROGRAM, fd)};

		if (epoll_ctl(loader->epoll, EPOLL_CTL_ADD, loader->stage.ours[fd - 1], &output) <
			0)
			r = -errno;
	}
	loader->stage.watched = r == 0;
	return r;
}

static int loop_watch(struct loader *loader)
{
	struct epoll_event port = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = WATCH_PORT};
	struct epoll_event child = {.events = EPOLLIN, .data.u64 = WATCH_SIGNALS};
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	loader->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	loader->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loader->signals < 0 || loader->epoll < 0 ||
		epoll_ctl(loader->epoll, EPOLL_CTL_ADD, loader->signals, &child) < 0 ||
		epoll_ctl(loader->epoll, EPOLL_CTL_ADD, loader->channel.fd, &port) < 0)
		return -errno;
	return loop_watch_pipes(loader);
}

/* So that a job finds a little memory of each size, and the kernel need not be asked. */
static void loader_touch_memory(void)
{
	void *pieces[15];

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		pieces[i] = malloc((size_t)2 << i);
		if (pieces[i])
			memset(pieces[i], 0, i < 12 ? (size_t)2 << i : 4096);
	}
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		free(pieces[i]);
}

int main(void)
{
	static struct loader loader; /* large, and mostly never touched */
	const char *what = "";
	int r;

	if (getpid() != 1) {
		dprintf(STDERR_FILENO, "the loader runs as PID 1 of an Arrow only\n");
		return 125;
	}
	loader.take_control = control_take; /* here, so that none of it is in the file */
	r = stage_prepare(&loader.stage, &what);
	if (r < 0)
		loader_die(what, r);
	r = identity_prepare();
	if (r < 0)
		loader_die("open the random numbers", r);
	identity_loopback();
	network_hide_spare(&loader.stage);
	network_prepare(&loader.stage);

	loader.channel.fd = loader_open_port();
	if (loader.channel.fd < 0)
		loader_die("open the control channel " ARROW_PORT_NODE, loader.channel.fd);
	r = loop_watch(&loader);
	if (r < 0)
		loader_die("set up its event loop", r);
	root_mount(&loader.stage);
	loader_touch_memory();
	loader_tell_ready(&loader);
	loop_run(&loader);
}
