/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TESTS_UNIT_KEEPER_WORLD_H
#define ARROW_TESTS_UNIT_KEEPER_WORLD_H

/*
 * A keeper with nothing around it that is real: its engine is a table of functions here, and its
 * guest and its commands are the other ends of socket pairs, held by the test. It runs in the
 * test's process, turn by turn, and no turn waits.
 */

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/keeper/loop.h"
#include "core/keeper/runs.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Not every test needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define MANY_TURNS 64 /* more than anything here takes */

/* What the fake engine was asked, and what it is to answer. */
static struct fake_engine {
	struct arrow_vm vm;
	int guest_fd, console_fd; /* of the last start(); the test's, once taken */
	int event_fd;             /* where events come from, see world_event() */
	unsigned int starts, pauses, resumes, writes;
	uint64_t memory;
	bool start_fails, write_fails;
} fake;

static int fake_start(
	struct arrow_vm **vm, const struct arrow_vm_config *config, struct arrow_error *error)
{
	int fds[2], closed[2];
	char byte;

	if (fake.start_fails)
		return arrow_fail(error, EIO, "no VM today");
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	fake.vm = (struct arrow_vm){.engine = fake.vm.engine, .fds = {fds[0], -1, -1, -1}};
	fake.event_fd = fds[1];
	fake.guest_fd = fcntl(config->channel_fd, F_DUPFD_CLOEXEC, 0);
	fake.console_fd = fcntl(config->console_fd, F_DUPFD_CLOEXEC, 0);
	fake.starts++;
	assert_int_equal(pipe2(closed, O_CLOEXEC), 0);
	fake.vm.pid = fork();
	assert_true(fake.vm.pid >= 0);
	if (fake.vm.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)syscall(SYS_close_range, 3, ~0u, 0); /* it must not hold the channel open */
		for (;;)
			pause();
	}
	close(closed[1]);
	assert_int_equal(read(closed[0], &byte, 1), 0); /* the child has closed everything */
	close(closed[0]);
	*vm = &fake.vm;
	return 0;
}

static enum arrow_vm_event fake_handle(struct arrow_vm *vm, unsigned int index)
{
	char event;

	assert_int_equal(index, 0);
	if (read(vm->fds[0], &event, 1) != 1)
		return ARROW_VM_NOTHING;
	switch (event) {
	case 'P':
	case 'R':
		vm->paused = event == 'P';
		return ARROW_VM_NOTHING;
	case 'A':
		vm->answered = vm->asked;
		return ARROW_VM_NOTHING;
	case 'W':
		vm->written = true;
		return ARROW_VM_NOTHING;
	default:
		return ARROW_VM_ENDED;
	}
}

static void fake_pause(struct arrow_vm *vm)
{
	fake.pauses++;
}

static void fake_resume(struct arrow_vm *vm)
{
	fake.resumes++;
}

static int fake_write(struct arrow_vm *vm, int fd, int code_fd, struct arrow_error *error)
{
	fake.writes++;
	return fake.write_fails ? arrow_fail(error, EIO, "cannot write today") : 0;
}

static int fake_set_memory(struct arrow_vm *vm, uint64_t bytes)
{
	fake.memory = bytes;
	return 0;
}

static void fake_check(struct arrow_vm *vm)
{
	vm->asked++;
}

static void fake_free(struct arrow_vm *vm)
{
	kill(vm->pid, SIGKILL);
	assert_int_equal(waitpid(vm->pid, NULL, 0), vm->pid);
	close_keep_errno(steal_fd(&vm->fds[0]));
	close_keep_errno(steal_fd(&fake.event_fd));
}

static const struct arrow_engine_mode fake_mode = {.name = "fake"};

static const struct arrow_engine fake_table = {
	.name = "fake",
	.start = fake_start,
	.handle = fake_handle,
	.pause = fake_pause,
	.resume = fake_resume,
	.write = fake_write,
	.set_memory = fake_set_memory,
	.check = fake_check,
	.free = fake_free,
};

struct world {
	char data[32], run[32];
	struct arrow_paths paths;
	struct arrow_spec spec;
	struct arrow_instance instance;
	struct arrow_vm_config vm;
	struct arrow_job job;
	struct net_attachment network;
	struct keeper_config config;
	struct keeper k;
	struct channel guest; /* the guest's end; fd -1 while there is none */
	int console;          /* likewise */
	struct channel *commands[32];
	unsigned int n_commands;
};

static int world_make(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	alarm(120); /* for a turn that waits after all */
	signal(SIGPIPE, SIG_IGN);
	snprintf(w->data, sizeof(w->data), "/tmp/arrow-unit-XXXXXX");
	snprintf(w->run, sizeof(w->run), "/tmp/arrow-unit-XXXXXX");
	assert_non_null(mkdtemp(w->data));
	assert_non_null(mkdtemp(w->run));
	w->paths = (struct arrow_paths){.data = w->data, .run = w->run};
	arrow_spec_init(&w->spec);
	w->spec.log.driver = strdup("none");
	w->spec.process.interactive = true;
	assert_int_equal(arrow_instance_create(&w->instance, &w->paths, &w->spec, &e), 0);
	assert_int_equal(arrow_instance_prepare(&w->instance, &e), 0);
	w->vm.mode = &fake_mode;
	w->job.end = ARROW_JOB_END;
	fake = (struct fake_engine){
		.vm = {.engine = &fake_table}, .guest_fd = -1, .console_fd = -1};
	w->config = (struct keeper_config){
		.instance = &w->instance,
		.paths = &w->paths,
		.spec = &w->spec,
		.engine = &fake_table,
		.vm = &w->vm,
		.job = &w->job,
		.network = &w->network,
		.client_fd = -1,
	};
	keeper_init(&w->k, &w->config);
	w->k.dropped = true; /* the test needs what a keeper gives up */
	assert_int_equal(log_open(&w->k.log, &w->spec, w->instance.dir_fd, w->instance.id,
				 w->instance.name, &e),
		0);
	w->guest.fd = w->console = -1;
	*state = w;
	return 0;
}

/* The guest and the kernel's console are gone. */
static void world_drop_guest(struct world *w)
{
	channel_release(&w->guest);
	close_keep_errno(steal_fd(&w->console));
	close_keep_errno(steal_fd(&fake.guest_fd));
	close_keep_errno(steal_fd(&fake.console_fd));
}

static int world_drop(void **state)
{
	struct world *w = *state;

	world_drop_guest(w);
	if (w->k.phase != WAITING) {
		w->k.restarts.stopping = true;
		w->k.restarts.now = false;
		(void)runs_end(&w->k);
	}
	while (w->k.peers.n)
		peers_remove(&w->k.peers, w->k.peers.v[0]);
	for (unsigned int i = 0; i < w->n_commands; i++) {
		channel_release(w->commands[i]);
		free(w->commands[i]);
	}
	log_close(&w->k.log);
	arrow_job_release(&w->job);
	arrow_instance_remove(&w->instance, false);
	arrow_spec_release(&w->spec);
	assert_int_equal(remove_tree(AT_FDCWD, w->data), 0);
	assert_int_equal(remove_tree(AT_FDCWD, w->run), 0);
	free(w);
	alarm(0);
	return 0;
}

/* One turn, which does not wait: something seems to be due. */
static void world_turn(struct world *w)
{
	w->k.execs.due = 1;
	if (w->k.phase != OVER)
		keeper_turn(&w->k);
}

static void world_settle(struct world *w)
{
	for (int i = 0; i < 8; i++)
		world_turn(w);
}

/* The end of the run that is over; whether another one follows. */
static bool world_end_run(struct world *w)
{
	assert_int_equal(w->k.phase, OVER);
	return runs_end(&w->k);
}

/* Something happens to the VM: P paused, R resumed, A answered, W written, E ended. */
static void world_event(struct world *w, char event)
{
	assert_int_equal(write(fake.event_fd, &event, 1), 1);
	world_settle(w);
}

static void say(struct channel *c, uint16_t stream, uint16_t type, const void *data, size_t size)
{
	assert_int_equal(channel_send(c, stream, type, data, size), 0);
	(void)!channel_flush(c);
}

static void say_numbers(
	struct channel *c, uint16_t type, uint32_t one, uint32_t two, uint32_t three)
{
	uint8_t payload[12];

	arrow_put32(payload, one);
	arrow_put32(payload + 4, two);
	arrow_put32(payload + 8, three);
	say(c, ARROW_CONTROL, type, payload,
		type == ARROW_EXITED || type == ARROW_FAILED ? 12
		: type == ARROW_READY || type == ARROW_KILL || type == ARROW_EXEC_END ||
				type == ARROW_ATTACH || type == ARROW_RELOAD
			? 4
			: 8);
}

/* The next frame that came, if any, after some turns. */
static bool hear(struct world *w, struct channel *c, struct arrow_frame *f, const uint8_t **payload)
{
	for (int i = 0; i < MANY_TURNS; i++) {
		(void)!channel_flush(c);
		if (channel_next(c, f, payload) == 1)
			return true;
		(void)!channel_fill(c);
		if (channel_next(c, f, payload) == 1)
			return true;
		world_turn(w);
	}
	return false;
}

/* The payload of the next frame of this type; others are passed over. NULL if none comes. */
static const uint8_t *hear_type(struct world *w, struct channel *c, uint16_t type, uint32_t *length)
{
	struct arrow_frame f;
	const uint8_t *payload;

	while (hear(w, c, &f, &payload))
		if (f.type == type) {
			if (length)
				*length = f.length;
			return payload;
		}
	return NULL;
}

static void expect_type(struct world *w, struct channel *c, uint16_t type)
{
	if (!hear_type(w, c, type, NULL))
		fail_msg("no frame of type %u came", type);
}

/* An answer: the errno and, if text is not NULL, a part of the text. */
static void expect_answer(
	struct world *w, struct channel *c, uint32_t request, int err, const char *text)
{
	uint32_t length;
	const uint8_t *p = hear_type(w, c, ARROW_ANSWER, &length);
	char got[ARROW_TEXT_MAX + 1] = "";

	assert_non_null(p);
	assert_int_equal(arrow_get32(p), request);
	memcpy(got, p + 8, length - 8);
	if (text && !strstr(got, text))
		fail_msg("'%s' is not in the answer '%s'", text, got);
	assert_int_equal(arrow_get32(p + 4), err);
}

/* A command connects. */
static struct channel *world_connect(struct world *w)
{
	struct channel *c = calloc(1, sizeof(*c));
	int s[2];

	assert_non_null(c);
	assert_true(w->n_commands < sizeof(w->commands) / sizeof(struct channel *));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	assert_non_null(peers_add(&w->k.peers, s[0]));
	assert_int_equal(channel_init(c, s[1]), 0);
	w->commands[w->n_commands++] = c;
	return c;
}

/* The keeper's side of the command that connected last. */
static struct peer *world_last_peer(struct world *w)
{
	return w->k.peers.v[w->k.peers.n - 1];
}

/* A command hangs up. */
static void hang_up(struct channel *c)
{
	close_keep_errno(steal_fd(&c->fd));
}

/* Takes the guest's end of a VM that was started. */
static void world_take_guest(struct world *w)
{
	assert_true(fake.guest_fd >= 0);
	assert_int_equal(channel_init(&w->guest, steal_fd(&fake.guest_fd)), 0);
	w->console = steal_fd(&fake.console_fd);
}

/* Starts the VM, which is in phase BOOTING. */
static void world_start(struct world *w)
{
	runs_start(&w->k);
	assert_int_equal(w->k.phase, BOOTING);
	world_take_guest(w);
}

static void world_ready(struct world *w)
{
	say_numbers(&w->guest, ARROW_READY, ARROW_PROTOCOL_VERSION, 0, 0);
	expect_type(w, &w->guest, ARROW_JOB_END);
}

/* The program starts in the VM that is BOOTING. */
static void world_run(struct world *w)
{
	world_ready(w);
	say_numbers(&w->guest, ARROW_STARTED, 1, 100, 0);
	world_settle(w);
	assert_int_equal(w->k.phase, RUNNING);
	assert_true(w->k.program.started);
}

static void world_start_program(struct world *w)
{
	world_start(w);
	world_run(w);
}

/* The program ends with a status, and the run with it. */
static void world_exit(struct world *w, uint32_t status)
{
	say_numbers(&w->guest, ARROW_EXITED, 1, ARROW_EXIT_STATUS, status);
	say(&w->guest, ARROW_CONTROL, ARROW_DONE, NULL, 0);
	world_settle(w);
	assert_int_equal(w->k.phase, OVER);
	world_drop_guest(w);
}

/* How often an action was told to `arrow events`. */
static unsigned int world_count_events(struct world *w, const char *action)
{
	_cleanup_free_ char *path = path_format("%s/events.json", w->data);
	_cleanup_free_ char *word = path_format("\"%s\"", action);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[8192];
	unsigned int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, word) != NULL;
	return n;
}

/* Brings a keeper to a phase. */
static void go_to_phase(struct world *w, enum phase phase)
{
	world_start(w);
	if (phase == BOOTING)
		return;
	if (phase == HANDING) {
		/* A job that does not fit into the channel, and is not read. */
		w->job.size = w->job.stable = 4 * CHANNEL_OUT_MAX;
		w->job.room = w->job.size + 4096;
		w->job.data = calloc(1, w->job.room);
		assert_non_null(w->job.data);
		say_numbers(&w->guest, ARROW_READY, ARROW_PROTOCOL_VERSION, 0, 0);
		world_settle(w);
		return;
	}
	world_run(w);
	if (phase == RUNNING)
		return;
	if (phase == ENDING) {
		say_numbers(&w->guest, ARROW_EXITED, 1, ARROW_EXIT_STATUS, 3);
		world_settle(w);
		return;
	}
	w->spec.life.restart = ARROW_RESTART_ALWAYS;
	world_exit(w, 3);
	assert_true(world_end_run(w));
	w->k.deadlines.phase = now_ms() + 60000; /* a long pause */
}

/* A record of the job: an argument. */
static size_t put_exec(uint8_t *p, uint32_t number, const char *argument)
{
	uint32_t length = (uint32_t)strlen(argument);

	arrow_put32(p, number);
	arrow_put32(p + 4, ARROW_JOB_ARG);
	arrow_put32(p + 8, length);
	memcpy(p + 12, argument, length);
	return 12 + length;
}

/* A command asks for a process. */
static struct channel *ask_for_exec(struct world *w)
{
	struct channel *c = world_connect(w);
	uint8_t payload[64];

	say(c, ARROW_CONTROL, ARROW_EXEC, payload, put_exec(payload, 2, "ls"));
	say_numbers(c, ARROW_EXEC_END, 2, 0, 0);
	return c;
}

/* And it starts in the guest. Returns its number there. */
static struct channel *start_exec(struct world *w, uint32_t *number)
{
	struct channel *c = ask_for_exec(w);
	const uint8_t *payload = hear_type(w, &w->guest, ARROW_EXEC, NULL);

	assert_non_null(payload);
	*number = arrow_get32(payload);
	payload = hear_type(w, &w->guest, ARROW_EXEC_END, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload), *number);
	say_numbers(&w->guest, ARROW_STARTED, *number, 200, 0);
	payload = hear_type(w, c, ARROW_STARTED, NULL);
	assert_non_null(payload);
	assert_int_equal(arrow_get32(payload), 2);
	return c;
}

/* The guest reads again: the signal that comes, or 0. */
static uint32_t hear_signal(struct world *w)
{
	const uint8_t *payload;

	for (int i = 0; i < 400; i++) {
		payload = hear_type(w, &w->guest, ARROW_SIGNAL, NULL);
		if (!payload)
			return 0;
		if (arrow_get32(payload) == 1)
			return arrow_get32(payload + 4);
	}
	return 0;
}

/* Turns until something is due in a while. Returns whether the keeper waited until then. */
static bool waits(struct world *w)
{
	uint64_t until = now_ms() + 50;
	unsigned int turns = 0;

	world_settle(w);
	while (now_ms() < until && turns < 20) {
		w->k.execs.due = until;
		keeper_turn(&w->k);
		turns++;
	}
	return turns < 20;
}

#endif
