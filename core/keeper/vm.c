// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/vm.h"

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

#include "core/limits/stray.h"
#include "core/spec/cpuset.h"
#include "core/template/idle.h"
#include "util/cleanup.h"
#include "util/io.h"

#define CHECK_INTERVAL_MS 10000u  /* between two questions to the VM */
#define ANSWER_DEADLINE_MS 30000u /* for an answer */
#define SERVER_OVERHEAD (256ull << 20)

void vm_explain_end(struct keeper *k)
{
	const char *ended = k->machine.vm->ended, *panic;
	unsigned long long mib = (unsigned long long)(k->config->spec->limits.memory >> 20);

	if (k->program.exited) { /* the loader said how the program ended, and then switched off */
		keeper_set_phase(k, OVER, 0);
		return;
	}
	k->console.text[k->console.used] = '\0';
	panic = strstr(k->console.text, "Kernel panic");
	k->machine.host_oom = ended && arrow_limits_oom(&k->machine.groups);
	if (k->machine.host_oom) {
		keeper_fail(k, 128 + SIGKILL,
			"out of memory: the VM took all that the host allows for a guest of %llu MiB; give it more with -m",
			mib);
	} else if (ended) {
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", ended);
	} else if (k->phase == BOOTING && (!panic || strstr(k->console.text, "emory"))) {
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

void vm_take_console(struct keeper *k)
{
	struct console *c = &k->console;
	char buf[4096];
	ssize_t n = read(c->fd, buf, sizeof(buf));
	size_t size = n > 0 ? (size_t)n : 0, keep;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close_keep_errno(steal_fd(&c->fd));
		return;
	}
	keep = c->used + size > CONSOLE_TAIL ? CONSOLE_TAIL - size : c->used;
	memmove(c->text, c->text + c->used - keep, keep);
	memcpy(c->text + keep, buf, size);
	c->used = keep + size;
}

/* With the server of its volumes, which keeps 200 bytes or so of each file that the guest knows. */
static uint64_t vm_overhead(const struct keeper *k)
{
	return k->config->vm->mode->overhead + (k->config->server ? SERVER_OVERHEAD : 0);
}

/* The control groups that hold the VM's process: made once, for a clone and the cold VM after it.
 */
static int vm_confine(struct keeper *k, struct arrow_vm_limits *limits, cpu_set_t *cpus,
	struct arrow_error *error)
{
	const struct arrow_spec *spec = k->config->spec;
	_cleanup_free_ char *list = path_format("%s/cgroups", k->instance->run_dir);
	int r = 0;

	if (!list)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (!k->machine.groups.looked)
		r = arrow_limits_begin(&k->machine.groups,
			&(struct arrow_limits_wish){.spec = spec,
				.id = k->instance->id,
				.overhead = vm_overhead(k),
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
	limits->procs = k->machine.groups.procs;
	limits->n_procs = k->machine.groups.n;
	limits->oom_score_adj = spec->limits.oom_score_adj;
	return 0;
}

void vm_hand_out(struct keeper *k, uint32_t deadline_ms)
{
	struct arrow_job *job = k->config->job;

	/* A restored VM goes on with the limits that it had. */
	if (k->machine.job_stale && !(k->machine.template && k->machine.template->running) &&
		arrow_job_limit(job, k->config->spec) < 0) {
		keeper_fail(k, ARROW_STATUS_ERROR, "cannot describe the job: out of memory");
		return;
	}
	k->machine.job_stale = false;
	if (arrow_job_refresh(job) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "cannot describe the job: out of memory");
	else
		keeper_set_phase(k, HANDING, deadline_ms);
}

/* What a clone has of its template. */
static int vm_use_template(
	const struct arrow_template *t, struct arrow_vm_config *vm, struct arrow_error *error)
{
	vm->origin = t->running ? ARROW_VM_RESTORED : ARROW_VM_CLONE;
	vm->ram_fd = t->ram_fd;
	vm->state_fd = t->state_fd;
	vm->code_fd = t->code_fd;
	vm->cache_dir = t->dir;
	vm->idle = &arrow_idle_devices;
	/* The engine reads through the same open file, so a second clone finds it read. */
	if (lseek(vm->state_fd, 0, SEEK_SET) < 0)
		return arrow_fail(error, errno, "cannot read the template: %m");
	return 0;
}

/* Both ends of a stream socket: this process's and the guest's. */
static int vm_make_sockets(int flags, int *ours, int *guests)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, fds) < 0)
		return -errno;
	*ours = fds[0];
	*guests = fds[1];
	return 0;
}

/* The channel to the server of its volumes. Without any there is nobody at its other end. */
static int vm_open_share(struct keeper *k, const struct arrow_vm_limits *limits, int *guests,
	struct arrow_error *error)
{
	_cleanup_close_ int ours = -1;
	struct server_config server;
	int r;

	if (!k->config->share_channel)
		return 0;
	r = vm_make_sockets(0, &ours, guests);
	if (r < 0)
		return arrow_fail(error, -r, "cannot make the channel to the volumes: %m");
	if (!k->config->server)
		return 0;
	server = *k->config->server;
	server.limits = limits;
	return server_start(&k->machine.server, &server, ours, error);
}

void vm_take_server_end(struct keeper *k)
{
	struct server *s = &k->machine.server;
	char text[ARROW_TEXT_MAX];
	int n;

	/* With nothing to say it ended because the VM did. */
	if (!server_has_ended(s) || !s->why[0])
		return;
	if (!k->program.started) {
		keeper_fail(k, ARROW_STATUS_ERROR, "cannot serve the volumes: %s", s->why);
		return;
	}
	n = snprintf(text, sizeof(text),
		"the server of the volumes is gone (%s): they give errors until the Arrow is started again",
		s->why);
	peers_tell(&k->peers, ARROW_NOTE, text,
		(size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void vm_share_volumes(struct keeper *k)
{
	struct server *s = &k->machine.server;
	const char *cache = "";

	if (s->share_due && now_ms() >= s->share_due)
		server_give_leases(s);
	if (s->pid > 0)
		cache = s->leases && !s->share_due ? "exclusive" : "coherent";
	if (strcmp(k->state->cache, cache) != 0) {
		snprintf(k->state->cache, sizeof(k->state->cache), "%s", cache);
		k->state_changed = true;
	}
}

int vm_start(struct keeper *k, struct arrow_error *error)
{
	struct arrow_vm_config vm = *k->config->vm;
	_cleanup_free_ char *note = path_format("%s/vm", k->instance->run_dir);
	_cleanup_close_ int channel = -1, console = -1, share = -1;
	struct machine *m = &k->machine;
	struct arrow_vm_limits limits = {0};
	cpu_set_t cpus;
	int fd = -1, r = vm_confine(k, &limits, &cpus, error);

	if (r == 0 && !note)
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	vm.limits = &limits;
	r = vm_make_sockets(0, &fd, &channel);
	if (r == 0)
		r = guest_link_open(&k->guest, fd);
	if (r < 0)
		return arrow_fail(error, -r, "cannot make the control channel: %m");
	r = vm_make_sockets(SOCK_NONBLOCK, &k->console.fd, &console);
	if (r < 0)
		return arrow_fail(error, -r, "cannot make the console: %m");
	k->console.used = 0;
	r = vm_open_share(k, &limits, &share, error);
	if (r < 0)
		return r;
	vm.channel_fd = channel;
	vm.console_fd = console;
	vm.share_fd = share;
	if (m->template) {
		r = vm_use_template(m->template, &vm, error);
		if (r < 0)
			return r;
	}
	r = k->config->engine->start(&m->vm, &vm, error);
	if (r < 0)
		return r;
	r = arrow_stray_note(note, m->vm->pid);
	if (r < 0)
		return arrow_fail(
			error, -r, "cannot write the state directory %s: %m", k->instance->run_dir);
	m->started_ms = now_ms();
	m->next_check = m->started_ms + CHECK_INTERVAL_MS;
	m->last_answer = m->started_ms;
	m->answers = 0;
	k->snapshot.unsettled = k->snapshot.owed = 0;
	k->state->vm_pid = m->vm->pid;
	if (m->template)
		vm_hand_out(k, CLONE_DEADLINE_MS);
	else
		keeper_set_phase(k, BOOTING, BOOT_DEADLINE_MS);
	keeper_note(k, m->template ? "the clone's process started" : "the VM's process started");
	return 0;
}

/* Moves all threads of the VM's process; those that are born meanwhile inherit the CPUs. */
static int vm_move_threads(int pid, const cpu_set_t *cpus)
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

static int vm_apply_limits(struct keeper *k, struct arrow_error *error)
{
	const struct arrow_spec *spec = k->config->spec;
	_cleanup_free_ char *list = path_format("%s/cgroups", k->instance->run_dir);
	cpu_set_t cpus;
	int r = list ? arrow_limits_update(&k->machine.groups,
			       &(struct arrow_limits_wish){.spec = spec,
				       .id = k->instance->id,
				       .overhead = vm_overhead(k),
				       .list = list},
			       k->machine.vm->pid, error)
		     : arrow_fail(error, ENOMEM, "out of memory");

	if (r == 0 && k->machine.server.pid > 0)
		arrow_limits_move(&k->machine.groups, k->machine.server.pid);
	if (r < 0 || !spec->limits.cpuset_cpus)
		return r;
	r = arrow_cpuset_parse(spec->limits.cpuset_cpus, &cpus);
	if (r == 0)
		r = vm_move_threads(k->machine.vm->pid, &cpus);
	/* It may be on its way out. */
	if (r == 0 && k->machine.server.pid > 0)
		(void)!vm_move_threads(k->machine.server.pid, &cpus);
	return r < 0 ? arrow_fail(error, -r, "cannot restrict the VM to CPUs %s: %m",
			       spec->limits.cpuset_cpus)
		     : 0;
}

int vm_set_limits(struct keeper *k, const struct arrow_spec *limits, struct arrow_error *error)
{
	arrow_spec_take_limits(k->config->spec, limits);
	/* The job may be on its way just now, so it changes before it is handed out next. */
	k->machine.job_stale = true;
	return k->machine.vm ? vm_apply_limits(k, error) : 0;
}

int vm_set_memory(struct keeper *k, uint64_t bytes, struct arrow_error *error)
{
	uint64_t whole = k->config->spec->limits.memory;
	int r = 0;

	if (bytes > whole)
		return arrow_fail(error, EBUSY,
			"its VM was started with %llu MiB of memory and gets no more while it runs: stop it first",
			(unsigned long long)(whole >> 20));
	if (keeper_is_frozen(k))
		return arrow_fail(error, EBUSY, "it is being saved");
	/* What is asked for before the program has started would be lost. */
	if (k->machine.vm && k->program.started)
		r = k->machine.vm->engine->set_memory(k->machine.vm, bytes);
	if (r == -ENOTSUP)
		return arrow_fail(error, ENOTSUP,
			"its VM was started with %llu MiB of memory, which cannot change while it runs without Arrow's own QEMU: stop it first",
			(unsigned long long)(whole >> 20));
	if (r < 0)
		return arrow_fail(error, -r, "cannot change the memory of the VM: %m");
	k->machine.memory = bytes < whole ? bytes : 0;
	return 0;
}

bool vm_fall_back(struct keeper *k, const char *why)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct machine *m = &k->machine;
	char text[256];

	if (!m->template || k->program.started || m->template->running)
		return false;
	snprintf(text, sizeof(text), "cannot start a clone, so a cold VM is started: %s", why);
	keeper_note(k, text);
	arrow_template_discard(m->template->dir);
	m->template = NULL;
	m->vm->engine->free(m->vm);
	m->vm = NULL;
	server_end(&m->server);
	guest_link_release(&k->guest);
	close_keep_errno(steal_fd(&k->console.fd));
	if (vm_start(k, &error) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", error.text);
	return true;
}

void vm_check(struct keeper *k)
{
	struct machine *m = &k->machine;
	uint64_t now = now_ms();

	/* The time for an answer begins with a question. */
	if (m->vm->answered != m->answers || m->vm->asked == m->vm->answered)
		m->last_answer = now;
	m->answers = m->vm->answered;
	if (now >= m->next_check) {
		m->vm->engine->check(m->vm);
		m->next_check = now + CHECK_INTERVAL_MS;
	}
	if (m->vm->asked > m->vm->answered && now - m->last_answer >= ANSWER_DEADLINE_MS)
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the VM (process %d) has not answered for %u s and was ended", m->vm->pid,
			ANSWER_DEADLINE_MS / 1000);
}

enum arrow_vm_event vm_take_events(struct keeper *k, const struct pollfd *p)
{
	struct arrow_vm *vm = k->machine.vm;

	for (unsigned int i = 0; i < ARROW_VM_FDS; i++)
		if (p[i].revents && vm->engine->handle(vm, i) == ARROW_VM_ENDED)
			return ARROW_VM_ENDED;
	return ARROW_VM_NOTHING;
}

void vm_end(struct keeper *k)
{
	struct machine *m = &k->machine;

	if (m->vm)
		m->vm->engine->free(m->vm);
	m->vm = NULL;
	server_end(&m->server);
	arrow_limits_end(&m->groups);
	guest_link_release(&k->guest);
	close_keep_errno(steal_fd(&k->console.fd));
	keeper_note(k, "the VM is gone");
}
