// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/jail.h"
#include "engine/jail_ram.h"
#include "engine/qemu/blocks.h"
#include "engine/qemu/command.h"
#include "engine/qemu/qmp.h"
#include "engine/qemu/spawn.h"
#include "engine/qemu/zygote.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

#define STDERR_MAX 2048u

/* The virtio-mmio devices that a microvm without ACPI can have: QEMU's, and Arrow's (patch 0010).
 */
#define QEMU_TRANSPORTS 8u
#define QEMU_OWN_TRANSPORTS 19u

/* Indices of vm.fds. */
enum { FD_QMP, FD_STDERR, FD_PROCESS, FD_JAIL };

struct qemu_vm {
	struct arrow_vm vm;
	struct qmp qmp;
	struct arrow_jail_watch jail; /* of a clone */
	char stderr_text[STDERR_MAX]; /* the first words it said: why it refused to start */
	size_t stderr_used;
	int state_fd;  /* where save() writes */
	bool converts; /* the first migration that ends is the one that loads it */
	bool writes;   /* write() was called */
	bool reaped;
	bool forked; /* of a zygote: no child of ours */
	bool balloon;
	bool translates;  /* with patches that can write and map translated blocks */
	char *zygote_dir; /* of its zygote, or NULL; owned */
	int tie;          /* while it is open, a forked one lives; else -1 */
	int wait_status;
};

static char *qemu_find(const struct arrow_engine_settings *settings, bool *own)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_qemu_program_ struct qemu_program program = {0};

	if (qemu_program_find(&program, settings, &error) < 0)
		return NULL;
	*own = program.own;
	return STEAL(program.path);
}

static int qemu_probe(
	const struct arrow_engine_settings *settings, char **version, struct arrow_error *error)
{
	_cleanup_qemu_program_ struct qemu_program program = {0};
	_cleanup_free_ char *output = NULL;
	char *start, *end;
	int r;

	r = qemu_program_find(&program, settings, error);
	if (r == 0)
		r = process_run(
			&(struct process_options){
				.argv = (const char *const[]){program.path, "--version", NULL},
				.output = &output,
				.deadline_ms = 30000},
			error);
	if (r < 0)
		return r;
	if (!output)
		return arrow_fail(error, EPROTO, "%s --version printed nothing", program.path);

	/* "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)" */
	start = strstr(output, "version ");
	start = start ? start + strlen("version ") : output;
	end = strchr(start, '\n');
	*version = path_format("%.*s%s", end ? (int)(end - start) : (int)strlen(start), start,
		program.own ? ", built for Arrow" : "");
	return *version ? 0 : arrow_fail(error, ENOMEM, "out of memory");
}

static unsigned int qemu_devices_max(const struct arrow_engine_settings *settings)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_qemu_program_ struct qemu_program program = {0};

	if (qemu_program_find(&program, settings, &error) < 0)
		return UINT_MAX; /* that it is missing is said where it is started */
	/* The serial port is one, and so are the balloon and the channel to volumes. */
	return program.own ? QEMU_OWN_TRANSPORTS - 3 : QEMU_TRANSPORTS - 1;
}

/* A device of patch 0011. */
static bool qemu_has_share_channel(const struct arrow_engine_settings *settings)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_qemu_program_ struct qemu_program program = {0};

	return qemu_program_find(&program, settings, &error) == 0 && program.own;
}

static void qemu_free(struct arrow_vm *vm);

/* The ends that QEMU gets of what is between it and the engine. */
struct qemu_process_ends {
	int qmp_fd, stderr_fd; /* owned */
};

static void qemu_close_ends(struct qemu_process_ends *ends)
{
	close_keep_errno(ends->qmp_fd);
	close_keep_errno(ends->stderr_fd);
}

/* Makes them; ours are q's, in place of any that it had. */
static int qemu_open_ends(
	struct qemu_vm *q, struct qemu_process_ends *ends, struct arrow_error *error)
{
	int qmp[2], err[2];

	close_keep_errno(steal_fd(&q->vm.fds[FD_QMP]));
	close_keep_errno(steal_fd(&q->vm.fds[FD_STDERR]));
	qemu_close_ends(ends);
	*ends = (struct qemu_process_ends){-1, -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp) < 0)
		return arrow_fail(error, errno, "cannot make a socket for QEMU: %m");
	q->vm.fds[FD_QMP] = qmp[0];
	ends->qmp_fd = qmp[1];
	if (pipe2(err, O_CLOEXEC | O_NONBLOCK) < 0)
		return arrow_fail(error, errno, "cannot make a pipe for QEMU: %m");
	q->vm.fds[FD_STDERR] = err[0];
	ends->stderr_fd = err[1];
	return 0;
}

static int qemu_fork_zygote(struct qemu_vm *q, const struct arrow_vm_config *config,
	const struct qemu_process_ends *ends)
{
	_cleanup_free_ char *name = path_format("arrow-%s", config->name);
	const struct qemu_zygote_request request = {
		.name = name, .stderr_fd = ends->stderr_fd, .qmp_fd = ends->qmp_fd};
	int r = name ? qmp_take_over(&q->qmp, q->vm.fds[FD_QMP]) : -ENOMEM;

	if (r == 0)
		r = qemu_zygote_fork(config, &request, &q->vm.fds[FD_PROCESS], &q->tie);
	if (r < 0) {
		free(STEAL(q->qmp.line));
		q->qmp.fd = -1;
		return r;
	}
	q->forked = true;
	q->zygote_dir = strdup(config->cache_dir);
	q->vm.pid = qemu_zygote_pid(q->vm.fds[FD_PROCESS]);
	return 0;
}

/* Begins the session, and what else is needed before there is a process. */
static int qemu_open_session(struct qemu_vm *q, const struct arrow_vm_config *config,
	int *jail_guest, struct arrow_error *error)
{
	int jail[2];
	int r = qmp_init(&q->qmp, q->vm.fds[FD_QMP], qemu_incoming_fd(config),
		config->origin == ARROW_VM_CONVERT ? QMP_WHOLE : QMP_DEVICES);

	q->qmp.go_on = config->origin == ARROW_VM_RESTORED;
	q->converts = config->origin == ARROW_VM_CONVERT;
	if (r < 0)
		return arrow_fail(error, -r, "cannot talk to QEMU: %m");
	if (!qemu_maps_private(config))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, jail) < 0)
		return arrow_fail(error, errno, "cannot make a socket for QEMU: %m");
	q->vm.fds[FD_JAIL] = q->jail.fd = jail[0];
	*jail_guest = jail[1];
	return 0;
}

/* A process of its own. */
static int qemu_spawn_vm(struct qemu_vm *q, const struct qemu_program *program,
	const struct arrow_vm_config *config, const struct qemu_process_ends *ends, int blocks,
	struct arrow_error *error)
{
	_cleanup_close_ int jail_guest = -1;
	struct qemu_command command;
	pid_t pid;
	int r = qemu_open_session(q, config, &jail_guest, error);

	if (r < 0)
		return r;
	r = qemu_command_build(&command, program, config,
		&(struct qemu_ends){.qmp_fd = ends->qmp_fd, .blocks_fd = blocks});
	if (r < 0)
		return arrow_fail(error, -r, "out of memory");
	pid = qemu_spawn(&(struct qemu_process){.config = config,
		.program = program->path,
		.argv = command.argv,
		.qmp_fd = ends->qmp_fd,
		.blocks_fd = blocks,
		.stderr_fd = ends->stderr_fd,
		.jail_fd = jail_guest});
	qemu_command_release(&command);
	if (pid < 0)
		return arrow_fail(error, -pid, "cannot start QEMU: %m");
	q->vm.pid = pid;
	q->vm.fds[FD_PROCESS] = (int)syscall(SYS_pidfd_open, pid, 0);
	if (q->vm.fds[FD_PROCESS] < 0)
		return arrow_fail(
			error, errno, "cannot watch QEMU: %m; Arrow needs Linux 5.3 or later");
	fcntl(q->vm.fds[FD_PROCESS], F_SETFD, FD_CLOEXEC);
	return 0;
}

/* Forked where there is a zygote, else started; then the zygote for the next ones is, too. */
static int qemu_start_vm(struct qemu_vm *q, const struct qemu_program *program,
	const struct arrow_vm_config *config, struct qemu_process_ends *ends,
	struct arrow_error *error)
{
	bool warms = qemu_warms_template(program, config), forks = false;
	_cleanup_close_ int blocks = -1;
	int r = qemu_open_ends(q, ends, error);

	if (r < 0)
		return r;
	if (qemu_zygote_suits(program, config)) {
		r = qemu_fork_zygote(q, config, ends);
		if (r == 0)
			return 0;
		forks = r == -ENOENT || r == -ECONNREFUSED;
		/* One that failed half way may have written to them. */
		r = forks ? 0 : qemu_open_ends(q, ends, error);
		if (r < 0)
			return r;
	}
	if (warms)
		blocks = qemu_blocks_open(config->cache_dir);
	else if (q->translates && config->origin == ARROW_VM_RESTORED && config->code_fd >= 0)
		blocks = fcntl(config->code_fd, F_DUPFD_CLOEXEC, 3);
	r = qemu_spawn_vm(q, program, config, ends, blocks, error);
	if (r == 0 && (forks || (warms && blocks == -ENOENT)))
		qemu_zygote_begin(program, config, forks);
	return r;
}

static int qemu_start(
	struct arrow_vm **out, const struct arrow_vm_config *config, struct arrow_error *error)
{
	_cleanup_qemu_program_ struct qemu_program program = {0};
	struct qemu_process_ends ends = {-1, -1};
	struct qemu_vm *q;
	int r = qemu_program_find(&program, config->settings, error);

	if (r < 0)
		return r;
	q = calloc(1, sizeof(*q));
	if (!q)
		return arrow_fail(error, ENOMEM, "out of memory");
	q->vm.engine = &arrow_engine_qemu;
	q->balloon = program.own;
	q->translates = qemu_keeps_code(&program, config);
	q->qmp.fd = q->tie = -1;
	q->jail = (struct arrow_jail_watch){-1, -1};
	q->state_fd = config->state_fd;
	for (size_t i = 0; i < ARROW_VM_FDS; i++)
		q->vm.fds[i] = -1;
	r = qemu_start_vm(q, &program, config, &ends, error);
	qemu_close_ends(&ends);
	if (r < 0) {
		qemu_free(&q->vm);
		return r;
	}
	*out = &q->vm;
	return 0;
}

static void qemu_read_stderr(struct qemu_vm *q)
{
	char waste[512];
	ssize_t n;

	do {
		size_t room = sizeof(q->stderr_text) - 1 - q->stderr_used;

		if (room > 0) {
			n = read(q->vm.fds[FD_STDERR], q->stderr_text + q->stderr_used, room);
			if (n > 0)
				q->stderr_used += (size_t)n;
		} else {
			n = read(q->vm.fds[FD_STDERR], waste, sizeof(waste));
		}
	} while (n > 0);

	if (n == 0) { /* closed; the process is about to end */
		close(q->vm.fds[FD_STDERR]);
		q->vm.fds[FD_STDERR] = -1;
	}
}

static void qemu_reap(struct qemu_vm *q)
{
	struct pollfd p = {.fd = q->vm.fds[FD_PROCESS], .events = POLLIN};

	if (q->reaped || q->vm.pid <= 0)
		return;
	q->reaped = true;
	if (q->forked) {
		while (poll(&p, 1, -1) < 0 && errno == EINTR)
			;
		return;
	}
	while (waitpid(q->vm.pid, &q->wait_status, 0) < 0 && errno == EINTR)
		;
}

/*
 * The first line of what it said that tells of a failure, or "". QEMU 10 has words for any state
 * that is a file, and for a tap whose filters its jail keeps it from.
 */
static char *qemu_first_words(char *text)
{
	static const char *const noise[] = {
		"warning: fd: migration to a file", "Issue while setting TUNSETSTEERINGEBPF"};
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n"))) {
		bool says_nothing = !*line;

		for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
			says_nothing = says_nothing || strstr(line, noise[i]);
		if (!says_nothing)
			return line;
	}
	return text + strlen(text);
}

/* The process is gone: finds out why. */
static void qemu_explain_end(struct qemu_vm *q)
{
	char *line;

	if (q->vm.fds[FD_STDERR] >= 0)
		qemu_read_stderr(q);
	qmp_read(&q->qmp); /* the last event may still be in the socket */
	q->stderr_text[q->stderr_used] = '\0';
	line = qemu_first_words(q->stderr_text);

	free(STEAL(q->vm.ended));
	if (q->forked && !q->qmp.down && q->zygote_dir)
		qemu_zygote_note_crash(q->zygote_dir);
	if (q->forked && !q->qmp.down && !line[0]) {
		/* Only its parent is told how. */
		q->vm.ended = path_format("QEMU (process %d) was killed", q->vm.pid);
	} else if (q->forked && q->qmp.down) {
		q->vm.ended = NULL;
	} else if (WIFSIGNALED(q->wait_status)) {
		q->vm.ended = NULL;
		if (asprintf(&q->vm.ended, "QEMU (process %d) was killed by signal %d (%s)",
			    q->vm.pid, WTERMSIG(q->wait_status),
			    strsignal(WTERMSIG(q->wait_status))) < 0)
			q->vm.ended = NULL;
	} else if (WEXITSTATUS(q->wait_status) == 127 && strstr(line, "No such file")) {
		q->vm.ended = strdup(QEMU_BINARY
			" is not installed; install it with 'sudo apt-get install " QEMU_PACKAGE
			"'");
	} else if (WEXITSTATUS(q->wait_status) != 0 || line[0]) {
		/* Status 0 without a word is a guest that reset: QEMU runs with -no-reboot. */
		const char *why = line[0] ? line : q->qmp.error;

		/* "qemu-system-x86_64: " says nothing that the message does not say. */
		if (why && strncmp(why, QEMU_BINARY ": ", strlen(QEMU_BINARY ": ")) == 0)
			why += strlen(QEMU_BINARY ": ");
		if (asprintf(&q->vm.ended, "QEMU ended with status %d: %s",
			    WEXITSTATUS(q->wait_status), why ? why : "no message") < 0)
			q->vm.ended = NULL;
	}
}

static enum arrow_vm_event qemu_handle(struct arrow_vm *vm, unsigned int index)
{
	struct qemu_vm *q = (struct qemu_vm *)vm;
	int r;

	switch (index) {
	case FD_STDERR:
		qemu_read_stderr(q);
		return ARROW_VM_NOTHING;
	case FD_QMP:
		r = qmp_read(&q->qmp);
		vm->answered = q->qmp.answered;
		vm->paused = q->qmp.paused;
		vm->loaded |= q->converts && q->qmp.saved;
		vm->written = q->writes && q->qmp.saved;
		vm->problem = q->qmp.error;
		if (r < 0) {
			/* Its end is told by the process itself. */
			close(q->qmp.fd);
			q->qmp.fd = vm->fds[FD_QMP] = -1;
		}
		return ARROW_VM_NOTHING;
	case FD_JAIL:
		/* What goes wrong here shows as the end of QEMU. */
		if (arrow_jail_answer(&q->jail) < 0)
			arrow_jail_watch_release(&q->jail);
		vm->fds[FD_JAIL] = q->jail.fd;
		return ARROW_VM_NOTHING;
	case FD_PROCESS:
		qemu_reap(q);
		qemu_explain_end(q);
		return ARROW_VM_ENDED;
	default:
		return ARROW_VM_NOTHING;
	}
}

static int qemu_save(struct arrow_vm *vm, unsigned int deadline_ms, struct arrow_error *error)
{
	struct qemu_vm *q = (struct qemu_vm *)vm;
	uint64_t end = now_ms() + deadline_ms, now;
	int r = qmp_save(&q->qmp, q->state_fd, QMP_DEVICES);

	if (r < 0)
		return arrow_fail(error, -r, "cannot ask QEMU to save the VM: %m");
	while (!q->qmp.saved && !q->qmp.error) {
		struct pollfd p = {.fd = q->qmp.fd, .events = POLLIN};

		now = now_ms();
		if (now >= end)
			return arrow_fail(error, ETIMEDOUT, "QEMU did not save the VM within %u s",
				deadline_ms / 1000);
		if (poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR)
			return arrow_fail(error, errno, "cannot wait for QEMU: %m");
		if (qmp_read(&q->qmp) < 0)
			return arrow_fail(error, EPIPE, "QEMU ended while saving the VM");
	}
	if (q->qmp.error)
		return arrow_fail(error, EIO, "QEMU cannot save the VM: %s", q->qmp.error);
	return 0;
}

static void qemu_pause(struct arrow_vm *vm)
{
	qmp_stop(&((struct qemu_vm *)vm)->qmp);
}

static void qemu_resume(struct arrow_vm *vm)
{
	qmp_cont(&((struct qemu_vm *)vm)->qmp);
}

static int qemu_set_memory(struct arrow_vm *vm, uint64_t bytes)
{
	struct qemu_vm *q = (struct qemu_vm *)vm;

	return q->balloon ? qmp_balloon(&q->qmp, bytes) : -ENOTSUP;
}

static int qemu_write(struct arrow_vm *vm, int fd, int code_fd, struct arrow_error *error)
{
	struct qemu_vm *q = (struct qemu_vm *)vm;
	int r = code_fd >= 0 && q->translates ? qmp_write_blocks(&q->qmp, code_fd) : 0;

	if (r == 0)
		r = qmp_save(&q->qmp, fd, QMP_WHOLE);
	q->writes = true;
	vm->written = false;
	vm->problem = NULL;
	return r < 0 ? arrow_fail(error, -r, "cannot ask QEMU to write the VM: %m") : 0;
}

/* The program, as the file that it is: a new version is another file. And what the guest sees. */
static int qemu_identify(FILE *key, const struct arrow_engine_mode *mode,
	const struct arrow_engine_settings *settings, struct arrow_error *error)
{
	_cleanup_qemu_program_ struct qemu_program program = {0};
	_cleanup_free_ char *cpus = NULL;
	const char *model, *flags;
	char *end;
	struct stat st;
	int r = qemu_program_find(&program, settings, error);

	if (r < 0)
		return r;
	if (stat(program.path, &st) < 0)
		return arrow_fail(
			error, errno, "cannot read the attributes of %s: %m", program.path);
	fprintf(key, "%s %s %llu:%llu %lld %lld.%09ld\n", program.path, mode->name,
		(unsigned long long)st.st_dev, (unsigned long long)st.st_ino, (long long)st.st_size,
		(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (!mode->needs_kvm)
		return 0;

	/* With KVM the guest has the host's CPU: its model and flags, of the first processor. */
	if (read_file(AT_FDCWD, "/proc/cpuinfo", 16u << 20, &cpus, NULL) < 0)
		return arrow_fail(error, EIO, "cannot read /proc/cpuinfo");
	end = strstr(cpus, "\n\n");
	if (end)
		*end = '\0';
	model = strstr(cpus, "model name");
	flags = strstr(cpus, "\nflags");
	fprintf(key, "%.*s%.*s\n", model ? (int)strcspn(model, "\n") : 0, model ? model : "",
		flags ? (int)strcspn(flags + 1, "\n") + 1 : 0, flags ? flags : "");
	return 0;
}

static void qemu_check(struct arrow_vm *vm)
{
	struct qemu_vm *q = (struct qemu_vm *)vm;

	/* A QEMU that closed its socket cannot answer: that counts as asked in vain. */
	if (q->qmp.fd >= 0)
		qmp_ask(&q->qmp);
	vm->asked = q->qmp.fd >= 0 ? q->qmp.asked : vm->asked + 1;
}

static void qemu_stop(struct arrow_vm *vm)
{
	struct qemu_vm *q = (struct qemu_vm *)vm;

	if (vm->pid <= 0 || q->reaped)
		return;
	if (q->forked)
		syscall(SYS_pidfd_send_signal, vm->fds[FD_PROCESS], SIGKILL, NULL, 0);
	else
		kill(vm->pid, SIGKILL); /* not reaped yet, so the number is still its own */
	qemu_reap(q);
}

static void qemu_free(struct arrow_vm *vm)
{
	struct qemu_vm *q = (struct qemu_vm *)vm;

	qemu_stop(vm);
	if (q->qmp.fd < 0 && vm->fds[FD_QMP] >= 0)
		close(vm->fds[FD_QMP]);
	qmp_release(&q->qmp);
	arrow_jail_watch_release(&q->jail);
	close_keep_errno(vm->fds[FD_STDERR]);
	close_keep_errno(vm->fds[FD_PROCESS]);
	close_keep_errno(q->tie);
	free(vm->ended);
	free(q->zygote_dir);
	free(q);
}

#define QEMU_SHARES_MAX 20

#define QEMU_ABILITIES (ARROW_ENGINE_TEMPLATES | ARROW_ENGINE_SNAPSHOTS | ARROW_ENGINE_USER_NET)

/* QEMU itself, and what TCG translates at most. */
#define QEMU_OVERHEAD (128ull << 20)
#define QEMU_TCG_CACHE (1ull << 30)

static const struct arrow_engine_mode qemu_modes[] = {
	{.name = "kvm",
		.needs_kvm = true,
		.can = QEMU_ABILITIES,
		.overhead = QEMU_OVERHEAD,
		.shares_max = QEMU_SHARES_MAX},
	{.name = "tcg",
		.can = QEMU_ABILITIES | ARROW_ENGINE_FORKS | ARROW_ENGINE_KEEPS_CODE,
		.overhead = QEMU_OVERHEAD + QEMU_TCG_CACHE,
		.shares_max = QEMU_SHARES_MAX},
	{.name = NULL},
};

const struct arrow_engine arrow_engine_qemu = {
	.name = "qemu",
	.modes = qemu_modes,
	.program = QEMU_BINARY,
	.find = qemu_find,
	.package = QEMU_PACKAGE,
	.probe = qemu_probe,
	.identify = qemu_identify,
	.files = qemu_program_files,
	.devices_max = qemu_devices_max,
	.share_channel = qemu_has_share_channel,
	.start = qemu_start,
	.save = qemu_save,
	.pause = qemu_pause,
	.resume = qemu_resume,
	.set_memory = qemu_set_memory,
	.write = qemu_write,
	.handle = qemu_handle,
	.check = qemu_check,
	.stop = qemu_stop,
	.free = qemu_free,
};
