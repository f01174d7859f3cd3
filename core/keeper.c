// SPDX-License-Identifier: Apache-2.0
#include "core/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/channel.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Deadlines, generous for slow machines; they only ever end what is broken. */
#define BOOT_DEADLINE_MS 120000u  /* power-on to READY, and job to STARTED */
#define CLONE_DEADLINE_MS 30000u  /* a clone, from its start to STARTED; then a cold VM is tried */
#define CHECK_INTERVAL_MS 10000u  /* between two questions to the VM */
#define ANSWER_DEADLINE_MS 30000u /* for an answer */
#define DONE_DEADLINE_MS 60000u   /* EXITED to DONE while the client reads what comes */

#define CONSOLE_TAIL 8192u /* bytes of kernel messages that are kept */

enum phase { BOOTING, HANDING, RUNNING, ENDING, OVER };

struct keeper {
	const struct keeper_config *config;
	struct arrow_vm *vm;
	struct channel guest, client;
	int console_fd, signal_fd;
	enum phase phase;
	size_t job_sent;
	struct arrow_template *template; /* that the VM is a clone of, or NULL */
	bool started;

	uint64_t deadline;   /* ms, of the phase; 0 for none */
	uint64_t time_limit; /* ms, of --timeout; 0 for none */
	uint64_t next_check, last_answer;
	uint64_t answers;

	char console[CONSOLE_TAIL + 1];
	size_t console_used;

	/* Bytes of stdout and stderr that the client has not taken yet; a client that closed one
	 * takes all. */
	uint64_t in_flight[2];
	bool closed[2];

	bool exited;
	uint8_t exit_frame[12]; /* payload of EXITED */
	bool failed;            /* a FAILED frame went to the client */
};

static void start_phase(struct keeper *k, enum phase phase, uint64_t deadline_ms)
{
	k->phase = phase;
	k->deadline = deadline_ms ? now_ms() + deadline_ms : 0;
}

/* Ends with an error that the client prints. The first one counts. */
static void fail(struct keeper *k, uint32_t status, const char *fmt, ...) ARROW_PRINTF(3, 4);

static void fail(struct keeper *k, uint32_t status, const char *fmt, ...)
{
	uint8_t payload[12 + ARROW_TEXT_MAX];
	va_list ap;
	int n;

	start_phase(k, OVER, 0);
	if (k->failed || k->exited)
		return;
	k->failed = true;
	arrow_put32(payload, 1);
	arrow_put32(payload + 4, status);
	arrow_put32(payload + 8, 0);
	va_start(ap, fmt);
	n = vsnprintf((char *)payload + 12, ARROW_TEXT_MAX, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if (n >= (int)ARROW_TEXT_MAX)
		n = ARROW_TEXT_MAX - 1;
	/* A client that left no room does not read; it will see the end of the socket. */
	if (channel_send(&k->client, ARROW_CONTROL, ARROW_FAILED, payload, 12 + (size_t)n) < 0)
		k->failed = true;
}

/* The guest is gone without a farewell: says why, as well as can be known. */
static void explain_end(struct keeper *k)
{
	const char *panic;
	unsigned long long mib = (unsigned long long)(k->config->spec->memory >> 20);

	if (k->exited) { /* the loader said how the program ended, and then switched off */
		start_phase(k, OVER, 0);
		return;
	}
	k->console[k->console_used] = '\0';
	panic = strstr(k->console, "Kernel panic");
	if (k->vm->ended) {
		fail(k, ARROW_STATUS_ERROR, "%s", k->vm->ended);
	} else if (k->phase == BOOTING && (!panic || strstr(k->console, "emory"))) {
		fail(k, ARROW_STATUS_ERROR,
			"the guest did not boot with %llu MiB of memory: give it more with -m",
			mib);
	} else if (panic) {
		fail(k, ARROW_STATUS_ERROR, "the guest kernel panicked: %.*s",
			(int)strcspn(panic, "\r\n"), panic);
	} else {
		fail(k, ARROW_STATUS_ERROR, "the guest ended without saying how the program ended");
	}
}

static void take_console(struct keeper *k)
{
	char buf[4096];
	ssize_t n = read(k->console_fd, buf, sizeof(buf));
	size_t size = n > 0 ? (size_t)n : 0, keep;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(k->console_fd);
		k->console_fd = -1;
		return;
	}
	keep = k->console_used + size > CONSOLE_TAIL ? CONSOLE_TAIL - size : k->console_used;
	memmove(k->console, k->console + k->console_used - keep, keep);
	memcpy(k->console + keep, buf, size);
	k->console_used = keep + size;
}

/* A frame for the client. The poll loop reads from the guest only while there is room. */
static void to_client(
	struct keeper *k, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	if (channel_send(&k->client, stream, type, payload, length) < 0)
		fail(k, ARROW_STATUS_ERROR, "the client does not read");
}

/* For `arrow run --verbose`: what happened when, since the command began. */
static void note(struct keeper *k, const char *what)
{
	char text[ARROW_TEXT_MAX];
	uint64_t us = now_us() - k->config->begin_us;
	int n;

	if (!k->config->spec->verbose)
		return;
	n = snprintf(text, sizeof(text), "%6llu.%llu ms  %s", (unsigned long long)(us / 1000),
		(unsigned long long)(us % 1000 / 100), what);
	to_client(k, ARROW_CONTROL, ARROW_NOTE, text, (size_t)n);
}

static void write_state(struct keeper *k, const char *status)
{
	struct arrow_instance_facts facts = k->config->facts;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	facts.status = status;
	facts.keeper_pid = getpid();
	facts.vm_pid = k->vm ? k->vm->pid : 0;
	if (arrow_instance_write(k->config->instance, k->config->spec, &facts, &error) < 0)
		fail(k, ARROW_STATUS_ERROR, "%s", error.text);
}

/* Seed and clock are taken now, when the loader is there to take them. */
static void start_handing(struct keeper *k, uint64_t deadline_ms)
{
	if (arrow_job_refresh(k->config->job) < 0)
		fail(k, ARROW_STATUS_ERROR, "cannot describe the job: out of memory");
	else
		start_phase(k, HANDING, deadline_ms);
}

static void guest_control(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	switch (f.type) {
	case ARROW_READY:
		if (k->phase != BOOTING || f.length != 4)
			break;
		if (arrow_get32(payload) != ARROW_PROTOCOL_VERSION) {
			fail(k, ARROW_STATUS_ERROR,
				"the guest speaks version %u of the protocol, not %u",
				arrow_get32(payload), ARROW_PROTOCOL_VERSION);
			return;
		}
		note(k, "the loader waits for its job");
		start_handing(k, BOOT_DEADLINE_MS);
		return;
	case ARROW_STARTED:
		if (k->phase != RUNNING || f.length != 8)
			break;
		k->started = true;
		start_phase(k, RUNNING, 0);
		note(k, "the program started");
		if (k->config->spec->timeout)
			k->time_limit = now_ms() + k->config->spec->timeout * 1000ull;
		to_client(k, f.stream, f.type, payload, f.length);
		return;
	case ARROW_FAILED:
		if (k->phase != RUNNING || f.length < 12)
			break;
		to_client(k, f.stream, f.type, payload, f.length);
		k->failed = true;
		start_phase(k, OVER, 0);
		return;
	case ARROW_EXITED:
		if (k->phase != RUNNING || f.length != sizeof(k->exit_frame))
			break;
		memcpy(k->exit_frame, payload, sizeof(k->exit_frame));
		k->exited = true;
		note(k, "the program ended");
		k->time_limit = 0;
		start_phase(k, ENDING, DONE_DEADLINE_MS);
		return;
	case ARROW_DONE:
		if (k->phase != ENDING)
			break;
		note(k, "its output is whole, its file systems are synced");
		start_phase(k, OVER, 0);
		return;
	case ARROW_NOTE:
		to_client(k, f.stream, f.type, payload, f.length);
		return;
	default:
		break;
	}
	fail(k, ARROW_STATUS_ERROR, "the guest broke the protocol: frame %u in phase %d", f.type,
		(int)k->phase);
}

static void guest_frame(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);
	bool output = f.type == ARROW_DATA || f.type == ARROW_EOF;
	bool answer = f.type == ARROW_CREDIT || f.type == ARROW_CLOSED;

	if (f.stream == ARROW_CONTROL) {
		guest_control(k, f, payload);
		return;
	}
	if (ARROW_STREAM_PROCESS(f.stream) != 1 || (fd == 0 ? !answer : !output) || fd > 2 ||
		(f.type == ARROW_CREDIT && f.length != 4)) {
		fail(k, ARROW_STATUS_ERROR, "the guest broke the protocol: frame %u on stream %u",
			f.type, f.stream);
		return;
	}
	if (f.type == ARROW_DATA && !k->closed[fd - 1])
		k->in_flight[fd - 1] += f.length;
	to_client(k, f.stream, f.type, payload, f.length);
}

static void client_frame(struct keeper *k, struct arrow_frame f, const uint8_t *payload)
{
	unsigned int fd = ARROW_STREAM_FD(f.stream);

	if (f.stream != ARROW_CONTROL && (fd == 1 || fd == 2)) {
		uint64_t *in_flight = &k->in_flight[fd - 1];

		if (f.type == ARROW_CLOSED)
			k->closed[fd - 1] = true;
		if (f.type == ARROW_CLOSED || (f.length == 4 && arrow_get32(payload) > *in_flight))
			*in_flight = 0;
		else if (f.length == 4)
			*in_flight -= arrow_get32(payload);
		if (k->phase == ENDING) /* a slow reader is not a stuck guest */
			start_phase(k, ENDING, DONE_DEADLINE_MS);
	}
	if (k->guest.fd < 0 || (k->phase != RUNNING && k->phase != ENDING))
		return;
	if (channel_send(&k->guest, f.stream, f.type, payload, f.length) < 0)
		fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

/* The next piece of the job, as far as the channel takes it. */
static void hand_job(struct keeper *k)
{
	const struct arrow_job *job = k->config->job;

	while (k->phase == HANDING) {
		size_t n = job->size - k->job_sent;

		if (n > ARROW_FRAME_MAX)
			n = ARROW_FRAME_MAX;
		if (!channel_has_room(&k->guest, n))
			return;
		if (n == 0) {
			if (channel_send(&k->guest, ARROW_CONTROL, ARROW_JOB_END, NULL, 0) == 0)
				start_phase(k, RUNNING,
					k->template ? CLONE_DEADLINE_MS : BOOT_DEADLINE_MS);
			return;
		}
		if (channel_send(&k->guest, ARROW_CONTROL, ARROW_JOB, job->data + k->job_sent, n) <
			0)
			return;
		k->job_sent += n;
	}
}

static void pump(struct keeper *k, struct channel *from, struct channel *to,
	void (*take)(struct keeper *, struct arrow_frame, const uint8_t *))
{
	struct arrow_frame frame;
	const uint8_t *payload;

	while (k->phase != OVER && channel_has_room(to, ARROW_FRAME_MAX)) {
		int r = channel_next(from, &frame, &payload);

		if (r < 0)
			fail(k, ARROW_STATUS_ERROR,
				"the guest broke the protocol: a frame of %u bytes", frame.length);
		if (r <= 0)
			return;
		take(k, frame, payload);
	}
}

/* Starts the VM: a clone where there is a template, else a cold one. */
static int start_vm(struct keeper *k, struct arrow_error *error)
{
	struct arrow_vm_config vm = *k->config->vm;
	int channel[2], console[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
		return arrow_fail(error, errno, "cannot make the control channel: %m");
	r = channel_init(&k->guest, channel[0]);
	if (r < 0) {
		close(channel[1]);
		return arrow_fail(error, -r, "cannot make the control channel: %m");
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, console) < 0) {
		close(channel[1]);
		return arrow_fail(error, errno, "cannot make the console: %m");
	}
	k->console_fd = console[0];
	vm.channel_fd = channel[1];
	vm.console_fd = console[1];
	if (k->template) {
		vm.origin = ARROW_VM_CLONE;
		vm.ram_fd = k->template->ram_fd;
		vm.state_fd = k->template->state_fd;
	}
	r = k->config->engine->start(&k->vm, &vm, error);
	close(channel[1]);
	close(console[1]);
	if (r < 0)
		return r;
	k->next_check = now_ms() + CHECK_INTERVAL_MS;
	k->answers = 0;
	if (k->template)
		start_handing(k, CLONE_DEADLINE_MS);
	else
		start_phase(k, BOOTING, BOOT_DEADLINE_MS);
	note(k, k->template ? "the clone's process started" : "the VM's process started");
	return 0;
}

/*
 * A clone that ends or hangs before its program started: its template is set aside, and a cold VM
 * takes over. The client knows nothing of either yet. Returns false where that is not the case.
 */
static bool fall_back(struct keeper *k, const char *why)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	char text[256];

	if (!k->template || k->started)
		return false;
	snprintf(text, sizeof(text), "no clone could be started, so a cold VM is: %s", why);
	note(k, text);
	arrow_template_discard(k->template->dir);
	k->template = NULL;
	k->vm->engine->free(k->vm);
	k->vm = NULL;
	channel_release(&k->guest);
	close_keep_errno(steal_fd(&k->console_fd));
	k->console_used = 0;
	k->job_sent = 0;
	if (start_vm(k, &error) < 0)
		fail(k, ARROW_STATUS_ERROR, "%s", error.text);
	else
		write_state(k, "running");
	return true;
}

static void check_time(struct keeper *k)
{
	uint64_t now = now_ms();

	if (k->phase == ENDING && k->in_flight[0] + k->in_flight[1] > 0)
		k->deadline = now + DONE_DEADLINE_MS; /* the client still reads: no hurry */

	if (k->deadline && now >= k->deadline) {
		if (fall_back(k, "it did not answer"))
			return;
		fail(k, ARROW_STATUS_ERROR,
			k->phase == ENDING ? "the guest did not end within %u s after its program"
					   : "the guest did not start within %u s",
			(k->phase == ENDING ? DONE_DEADLINE_MS : BOOT_DEADLINE_MS) / 1000);
		/* The exit status is known, so that is what counts. */
		start_phase(k, OVER, 0);
		return;
	}
	if (k->time_limit && now >= k->time_limit) {
		fail(k, 128 + SIGKILL, "timed out: the program was killed after %u s (--timeout)",
			k->config->spec->timeout);
		return;
	}
	if (k->vm->answered != k->answers) {
		k->answers = k->vm->answered;
		k->last_answer = now;
	}
	if (now >= k->next_check) {
		if (k->vm->asked == k->vm->answered)
			k->last_answer = now; /* nothing was asked meanwhile */
		k->vm->engine->check(k->vm);
		k->next_check = now + CHECK_INTERVAL_MS;
	}
	if (k->vm->asked > k->vm->answered && now - k->last_answer >= ANSWER_DEADLINE_MS)
		fail(k, ARROW_STATUS_ERROR,
			"QEMU (process %d) does not answer for %u s; it was ended", k->vm->pid,
			ANSWER_DEADLINE_MS / 1000);
}

static int poll_timeout(const struct keeper *k)
{
	uint64_t now = now_ms(), next = k->next_check;

	if (k->deadline && k->deadline < next)
		next = k->deadline;
	if (k->time_limit && k->time_limit < next)
		next = k->time_limit;
	return next > now ? (int)(next - now) : 0;
}

/* The VM is gone: takes what it left in the sockets. */
static void drain(struct keeper *k)
{
	int r = k->guest.fd < 0 ? -EPIPE : 0;

	while (r == 0) {
		r = channel_fill(&k->guest);
		pump(k, &k->guest, &k->client, guest_frame);
		if (!channel_has_room(&k->client, ARROW_FRAME_MAX))
			break;
	}
	if (k->console_fd >= 0)
		take_console(k);
}

enum { P_GUEST, P_CLIENT, P_CONSOLE, P_SIGNAL, P_VM, P_COUNT = P_VM + ARROW_VM_FDS };

static void turn(struct keeper *k)
{
	struct pollfd p[P_COUNT] = {0};
	bool reading = k->phase == RUNNING || k->phase == ENDING;

	hand_job(k);
	p[P_GUEST].fd = k->guest.fd;
	p[P_GUEST].events = (short)((channel_has_room(&k->client, ARROW_FRAME_MAX) ? POLLIN : 0) |
				    (channel_pending(&k->guest) ? POLLOUT : 0));
	p[P_CLIENT].fd = k->client.fd;
	p[P_CLIENT].events =
		(short)((reading && channel_has_room(&k->guest, ARROW_FRAME_MAX) ? POLLIN : 0) |
			(channel_pending(&k->client) ? POLLOUT : 0));
	p[P_CONSOLE] = (struct pollfd){.fd = k->console_fd, .events = POLLIN};
	p[P_SIGNAL] = (struct pollfd){.fd = k->signal_fd, .events = POLLIN};
	for (int i = 0; i < ARROW_VM_FDS; i++)
		p[P_VM + i] = (struct pollfd){.fd = k->vm->fds[i], .events = POLLIN};

	if (poll(p, P_COUNT, poll_timeout(k)) < 0 && errno != EINTR) {
		fail(k, ARROW_STATUS_ERROR, "cannot wait for the guest: %s", strerror(errno));
		return;
	}

	if (p[P_CONSOLE].revents)
		take_console(k);
	if (p[P_GUEST].revents & (POLLIN | POLLHUP)) {
		int r = channel_fill(&k->guest);

		pump(k, &k->guest, &k->client, guest_frame);
		if (r < 0 && k->phase != OVER) {
			/* QEMU closed it: its end is told by its process, a moment later. */
			close(k->guest.fd);
			k->guest.fd = -1;
		}
	}
	if (p[P_CLIENT].revents & POLLIN) {
		int r = channel_fill(&k->client);

		pump(k, &k->client, &k->guest, client_frame);
		if (r < 0)
			start_phase(k, OVER, 0);
	}
	if (p[P_CLIENT].revents & (POLLHUP | POLLERR))
		start_phase(k, OVER, 0); /* nobody is left to run for */
	for (unsigned int i = 0; i < ARROW_VM_FDS && k->phase != OVER; i++) {
		if (!p[P_VM + i].revents || k->vm->engine->handle(k->vm, i) != ARROW_VM_ENDED)
			continue;
		drain(k);
		if (k->phase == OVER)
			break;
		if (fall_back(k, k->vm->ended ? k->vm->ended : "its guest ended"))
			return;
		explain_end(k);
	}
	if (p[P_SIGNAL].revents)
		fail(k, 128 + SIGTERM, "the keeper of this Arrow was asked to end");

	/* Frames that waited for room, then what can be written. */
	pump(k, &k->guest, &k->client, guest_frame);
	if (reading)
		pump(k, &k->client, &k->guest, client_frame);
	if (k->guest.fd >= 0 && channel_flush(&k->guest) < 0) {
		close(k->guest.fd);
		k->guest.fd = -1;
	}
	if (channel_flush(&k->client) < 0)
		start_phase(k, OVER, 0);
	if (k->phase != OVER)
		check_time(k);
}

/*
 * Gives the client what is queued, and the end. A stopped client reads when it goes on, and one
 * that is gone has closed its socket: so there is no deadline, and SIGTERM ends the wait.
 */
static void say_farewell(struct keeper *k)
{
	struct pollfd p[] = {{k->client.fd, POLLOUT, 0}, {k->signal_fd, POLLIN, 0}};

	if (k->exited && !k->failed) {
		if (channel_send(&k->client, ARROW_CONTROL, ARROW_EXITED, k->exit_frame,
			    sizeof(k->exit_frame)) < 0)
			return;
	}
	while (channel_flush(&k->client) == 0 && channel_pending(&k->client)) {
		if ((poll(p, 2, -1) < 0 && errno != EINTR) || p[1].revents)
			return;
	}
}

/* Leaves the client's session and terminal; only what the keeper needs stays open. */
static int become_keeper(struct keeper *k, struct arrow_error *error)
{
	sigset_t all, term;
	int null_fd;

	prctl(PR_SET_NAME, "arrow-keeper");
	setsid();
	if (chdir("/") < 0)
		return arrow_fail(error, errno, "cannot enter /: %m");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		return arrow_fail(error, errno, "cannot open /dev/null: %m");
	for (int i = 0; i < 3; i++)
		if (dup2(null_fd, i) < 0)
			return arrow_fail(error, errno, "cannot leave the terminal: %m");

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	k->signal_fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signal_fd < 0)
		return arrow_fail(error, errno, "cannot watch signals: %m");
	return 0;
}

void keeper_main(const struct keeper_config *config)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct keeper k = {
		.config = config,
		.template = config->template,
		.console_fd = -1,
		.signal_fd = -1,
	};
	int r;

	k.guest.fd = -1;
	if (channel_init(&k.client, config->client_fd) < 0)
		_exit(1);
	r = become_keeper(&k, &error);
	if (r == 0)
		r = start_vm(&k, &error);
	if (r < 0) {
		fail(&k, ARROW_STATUS_ERROR, "%s", error.text);
	} else {
		write_state(&k, "running");
	}
	while (k.phase != OVER)
		turn(&k);

	/* In this order, so that whoever sees the end finds nothing left of it. */
	if (k.vm)
		k.vm->engine->free(k.vm);
	note(&k, "the VM is gone");
	arrow_instance_remove(config->instance);
	say_farewell(&k);
	_exit(0);
}
