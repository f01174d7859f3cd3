// SPDX-License-Identifier: Apache-2.0
#include "core/keeper_state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

/* The guest is gone without a farewell: says why, as well as can be known. */
static void explain_end(struct keeper *k)
{
	const char *panic;
	unsigned long long mib = (unsigned long long)(k->config->spec->memory >> 20);

	if (k->exited) { /* the loader said how the program ended, and then switched off */
		keeper_phase(k, OVER, 0);
		return;
	}
	k->console[k->console_used] = '\0';
	panic = strstr(k->console, "Kernel panic");
	if (k->vm->ended) {
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", k->vm->ended);
	} else if (k->phase == BOOTING && (!panic || strstr(k->console, "emory"))) {
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest did not boot with %llu MiB of memory: give it more with -m",
			mib);
	} else if (panic) {
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest kernel panicked: %.*s",
			(int)strcspn(panic, "\r\n"), panic);
	} else {
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest ended without saying how the program ended");
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

static void write_state(struct keeper *k, const char *status)
{
	struct arrow_instance_facts facts = k->config->facts;
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	facts.status = status;
	facts.keeper_pid = getpid();
	facts.vm_pid = k->vm ? k->vm->pid : 0;
	if (arrow_instance_write(k->config->instance, k->config->spec, &facts, &error) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", error.text);
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
		keeper_hand_out(k, CLONE_DEADLINE_MS);
	else
		keeper_phase(k, BOOTING, BOOT_DEADLINE_MS);
	keeper_note(k, k->template ? "the clone's process started" : "the VM's process started");
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
	keeper_note(k, text);
	arrow_template_discard(k->template->dir);
	k->template = NULL;
	k->vm->engine->free(k->vm);
	k->vm = NULL;
	channel_release(&k->guest);
	close_keep_errno(steal_fd(&k->console_fd));
	k->console_used = 0;
	k->job_sent = 0;
	k->timed = false;
	if (start_vm(k, &error) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", error.text);
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
		keeper_fail(k, ARROW_STATUS_ERROR,
			k->phase == ENDING ? "the guest did not end within %u s after its program"
					   : "the guest did not start within %u s",
			(k->phase == ENDING ? DONE_DEADLINE_MS : BOOT_DEADLINE_MS) / 1000);
		/* The exit status is known, so that is what counts. */
		keeper_phase(k, OVER, 0);
		return;
	}
	if (k->time_limit && now >= k->time_limit) {
		keeper_fail(k, 128 + SIGKILL,
			"timed out: the program was killed after %u s (--timeout)",
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
		keeper_fail(k, ARROW_STATUS_ERROR,
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
		keeper_relay_guest(k);
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
	bool reading = (k->phase == RUNNING && k->timed) || k->phase == ENDING;

	keeper_send_job(k);
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
		keeper_fail(
			k, ARROW_STATUS_ERROR, "cannot wait for the guest: %s", strerror(errno));
		return;
	}

	if (p[P_CONSOLE].revents)
		take_console(k);
	if (p[P_GUEST].revents & (POLLIN | POLLHUP)) {
		int r = channel_fill(&k->guest);

		keeper_relay_guest(k);
		if (r < 0 && k->phase != OVER) {
			/* QEMU closed it: its end is told by its process, a moment later. */
			close(k->guest.fd);
			k->guest.fd = -1;
		}
	}
	if (p[P_CLIENT].revents & POLLIN) {
		int r = channel_fill(&k->client);

		keeper_relay_client(k);
		if (r < 0)
			keeper_phase(k, OVER, 0);
	}
	if (p[P_CLIENT].revents & (POLLHUP | POLLERR))
		keeper_phase(k, OVER, 0); /* nobody is left to run for */
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
		keeper_fail(k, 128 + SIGTERM, "the keeper of this Arrow was asked to end");

	/* Frames that waited for room, then what can be written. */
	keeper_relay_guest(k);
	if (reading)
		keeper_relay_client(k);
	if (k->guest.fd >= 0 && channel_flush(&k->guest) < 0) {
		close(k->guest.fd);
		k->guest.fd = -1;
	}
	if (channel_flush(&k->client) < 0)
		keeper_phase(k, OVER, 0);
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
		r = net_serve(config->network, &error);
	if (r == 0)
		r = start_vm(&k, &error);
	if (r < 0) {
		keeper_fail(&k, ARROW_STATUS_ERROR, "%s", error.text);
	} else {
		write_state(&k, "running");
	}
	while (k.phase != OVER)
		turn(&k);

	/* In this order, so that whoever sees the end finds nothing left of it. */
	if (k.vm)
		k.vm->engine->free(k.vm);
	keeper_note(&k, "the VM is gone");
	net_detach(config->network);
	arrow_instance_remove(config->instance);
	say_farewell(&k);
	_exit(0);
}
