// SPDX-License-Identifier: Apache-2.0
/* One VM of a keeper, from its start to its end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/spec/cpuset.h"
#include "core/keeper/state.h"
#include "core/template/idle.h"
#include "util/cleanup.h"
#include "util/io.h"

/* The guest is gone without a farewell: says why, as well as can be known. */
static void explain_end(struct keeper *k)
{
	const char *panic;
	unsigned long long mib = (unsigned long long)(k->config->spec->limits.memory >> 20);

	if (k->exited) { /* the loader said how the program ended, and then switched off */
		keeper_phase(k, OVER, 0);
		return;
	}
	k->console[k->console_used] = '\0';
	panic = strstr(k->console, "Kernel panic");
	k->host_oom = k->vm->ended && arrow_limits_oom(&k->confinement);
	if (k->host_oom) {
		keeper_fail(k, 128 + SIGKILL,
			"out of memory: the VM took all that %llu MiB for its guest allow on the host; give it more with -m",
			mib);
	} else if (k->vm->ended) {
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

void keeper_take_console(struct keeper *k)
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

/* Where the VM's process goes: groups of the host, made once for clone and cold VM. */
static int confine(struct keeper *k, struct arrow_vm_limits *limits, cpu_set_t *cpus,
	struct arrow_error *error)
{
	const struct arrow_spec *spec = k->config->spec;
	_cleanup_free_ char *list = path_format("%s/cgroups", k->instance->run_dir);
	int r = 0;

	if (!list)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (k->confinement.n == 0)
		r = arrow_limits_begin(&k->confinement,
			&(struct arrow_limits_wish){.spec = spec,
				.id = k->instance->id,
				.overhead = k->config->vm->mode->overhead,
				.list = list},
			error);
	if (r < 0)
		return r;
	if (spec->limits.cpuset_cpus) {
		r = arrow_cpuset_parse(spec->limits.cpuset_cpus, cpus);
		if (r < 0)
			return arrow_fail(error, -r, "invalid value %s for cpuset cpus",
				spec->limits.cpuset_cpus);
		limits->cpus = cpus;
	}
	limits->procs = k->confinement.procs;
	limits->n_procs = k->confinement.n;
	limits->oom_score_adj = spec->limits.oom_score_adj;
	return 0;
}

int keeper_start_vm(struct keeper *k, struct arrow_error *error)
{
	struct arrow_vm_config vm = *k->config->vm;
	struct arrow_vm_limits limits = {0};
	cpu_set_t cpus;
	int channel[2], console[2], r = confine(k, &limits, &cpus, error);

	if (r < 0)
		return r;
	vm.limits = &limits;
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
		vm.origin = k->template->running ? ARROW_VM_RESTORED : ARROW_VM_CLONE;
		vm.ram_fd = k->template->ram_fd;
		vm.state_fd = k->template->state_fd;
		vm.code_fd = k->template->code_fd;
		vm.cache_dir = k->template->dir;
		vm.idle = &arrow_idle_devices;
		/* The engine reads through the same open file, so a second clone finds it read. */
		if (lseek(vm.state_fd, 0, SEEK_SET) < 0)
			return arrow_fail(error, errno, "cannot read the template: %m");
	}
	r = k->config->engine->start(&k->vm, &vm, error);
	close(channel[1]);
	close(console[1]);
	if (r < 0)
		return r;
	k->start_ms = now_ms();
	k->next_check = k->start_ms + CHECK_INTERVAL_MS;
	k->answers = 0;
	k->state->vm_pid = k->vm->pid;
	if (k->template)
		keeper_hand_out(k, CLONE_DEADLINE_MS);
	else
		keeper_phase(k, BOOTING, BOOT_DEADLINE_MS);
	keeper_note(k, k->template ? "the clone's process started" : "the VM's process started");
	return 0;
}

/* All threads of the VM's process; those that are born meanwhile have what their parents have. */
static int move_threads(int pid, const cpu_set_t *cpus)
{
	char path[32];
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
			sched_setaffinity(
				(pid_t)strtol(entry->d_name, NULL, 10), sizeof(*cpus), cpus) < 0 &&
			errno != ESRCH)
			return -errno;
	return 0;
}

static int limit_vm(struct keeper *k, struct arrow_error *error)
{
	const struct arrow_spec *spec = k->config->spec;
	_cleanup_free_ char *list = path_format("%s/cgroups", k->instance->run_dir);
	cpu_set_t cpus;
	int r = list ? arrow_limits_update(&k->confinement,
			       &(struct arrow_limits_wish){.spec = spec,
				       .id = k->instance->id,
				       .overhead = k->config->vm->mode->overhead,
				       .list = list},
			       k->vm->pid, error)
		     : arrow_fail(error, ENOMEM, "out of memory");

	if (r < 0 || !spec->limits.cpuset_cpus)
		return r;
	r = arrow_cpuset_parse(spec->limits.cpuset_cpus, &cpus);
	if (r == 0)
		r = move_threads(k->vm->pid, &cpus);
	return r < 0 ? arrow_fail(error, -r, "cannot keep the VM to the CPUs %s: %m",
			       spec->limits.cpuset_cpus)
		     : 0;
}

int keeper_limit(struct keeper *k, const struct arrow_spec *limits, struct arrow_error *error)
{
	struct arrow_spec *spec = k->config->spec;
	bool restored = k->template && k->template->running;

	arrow_spec_take_limits(spec, limits);
	/* A restored one goes on with what it had. */
	if (!restored && k->phase != HANDING && arrow_job_limit(k->config->job, spec) < 0)
		return arrow_fail(error, ENOMEM, "out of memory");
	return k->vm ? limit_vm(k, error) : 0;
}

int keeper_set_memory(struct keeper *k, uint64_t bytes, struct arrow_error *error)
{
	uint64_t whole = k->config->spec->limits.memory;
	int r = 0;

	if (bytes > whole)
		return arrow_fail(error, EBUSY,
			"its VM was started with %llu MiB of memory and gets no more while it runs: stop it first",
			(unsigned long long)(whole >> 20));
	if (k->snapshot.step != SNAPSHOT_NONE)
		return arrow_fail(error, EBUSY, "it is being saved");
	/* Before it started, what is asked for would be lost. */
	if (k->vm && k->started)
		r = k->vm->engine->set_memory(k->vm, bytes);
	if (r == -ENOTSUP)
		return arrow_fail(error, ENOTSUP,
			"its VM was started with %llu MiB of memory, which cannot change while it runs without Arrow's own QEMU: stop it first",
			(unsigned long long)(whole >> 20));
	if (r < 0)
		return arrow_fail(error, -r, "cannot ask QEMU for other memory: %m");
	k->memory = bytes < whole ? bytes : 0;
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

	if (!k->template || k->started || k->template->running)
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
	if (keeper_start_vm(k, &error) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", error.text);
	return true;
}

void keeper_check_time(struct keeper *k)
{
	uint64_t now = now_ms();

	/* Somebody still reads: no hurry, unless the Arrow is being stopped. */
	if (k->phase == ENDING && !k->stopping && peers_in_flight(k) > 0)
		k->deadline = now + DONE_DEADLINE_MS;
	if (k->kill_at && now >= k->kill_at) {
		keeper_signal(k, SIGKILL);
		k->kill_at = 0;
	}
	if (k->vm_kill_at && now >= k->vm_kill_at) {
		keeper_fail(k, 128 + SIGKILL, "the guest did not end its program, so it was ended");
		return;
	}

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
			k->config->spec->life.timeout);
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

/* The VM is gone: takes what it left in the sockets. */
static void drain(struct keeper *k)
{
	int r = k->guest.fd < 0 ? -EPIPE : 0;

	while (r == 0 && k->phase != OVER) {
		r = channel_fill(&k->guest);
		keeper_relay_guest(k);
	}
	if (k->console_fd >= 0)
		keeper_take_console(k);
}

void keeper_vm_events(struct keeper *k, const struct pollfd *p)
{
	for (unsigned int i = 0; i < ARROW_VM_FDS && k->phase != OVER; i++) {
		if (!p[i].revents || k->vm->engine->handle(k->vm, i) != ARROW_VM_ENDED)
			continue;
		drain(k);
		if (k->phase == OVER)
			return;
		if (!fall_back(k, k->vm->ended ? k->vm->ended : "its guest ended"))
			explain_end(k);
		return; /* the descriptors are another VM's now, or nobody's */
	}
}

void keeper_end_vm(struct keeper *k)
{
	execs_end(k);
	if (k->vm)
		k->vm->engine->free(k->vm);
	k->vm = NULL;
	arrow_limits_end(&k->confinement);
	channel_release(&k->guest);
	close_keep_errno(steal_fd(&k->console_fd));
	keeper_note(k, "the VM is gone");
}
