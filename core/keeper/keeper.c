// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/state.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control/control.h"
#include "util/cleanup.h"
#include "util/io.h"

/* The pauses before restarts, as Docker has them. */
#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MAX_MS 60000u
#define BACKOFF_RESET_MS 10000u /* one that ran for so long begins anew */

void keeper_write_state(struct keeper *k)
{
	k->state_changed = false;
	if (arrow_state_write(k->instance->dir_fd, k->state) < 0)
		keeper_note(k, "the state file cannot be written");
	if (!k->synced && !k->config->spec->life.auto_remove)
		arrow_instance_sync(k->instance);
	/* What the start took: from here on little is needed, perhaps for a long time. */
	if (!k->synced)
		malloc_trim(0);
	k->synced = true;
}

static int exit_code(const struct keeper *k)
{
	if (!k->exited)
		return k->failure ? k->failure : ARROW_KILLED_STATUS;
	return (int)((arrow_get32(k->exit_frame + 8) & 0xff) +
		     (arrow_get32(k->exit_frame + 4) != ARROW_EXIT_STATUS ? 128 : 0));
}

/* Whether the restart policy has it run again. */
static bool starts_again(const struct keeper *k)
{
	const struct arrow_spec *spec = k->config->spec;

	if (k->restart_now)
		return true;
	if (k->stopping || (!k->started && k->state->restarts == 0))
		return false;
	switch ((enum arrow_restart)spec->life.restart) {
	case ARROW_RESTART_ON_FAILURE:
		return exit_code(k) != 0 &&
		       (!spec->life.restart_max || k->state->restarts < spec->life.restart_max);
	case ARROW_RESTART_ALWAYS:
		return true;
	case ARROW_RESTART_UNLESS_STOPPED:
		return !k->state->manual_stop;
	case ARROW_RESTART_NO:
	default:
		return false;
	}
}

/* The VM is over: what is known now goes into the state. */
static void note_end(struct keeper *k)
{
	struct arrow_state *s = k->state;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time_text_exact(now, s->finished);
	s->exit_code = exit_code(k);
	s->oom = k->host_oom || (k->exited && arrow_get32(k->exit_frame + 4) == ARROW_EXIT_OOM);
	s->vm_pid = 0;
	snprintf(s->error, sizeof(s->error), "%s", k->exited ? "" : k->failure_text);
}

/* For `arrow events`: a command has stopped it, and waits for its end. */
static void tell_stop(const struct keeper *k)
{
	for (unsigned int i = 0; i < k->n_peers; i++)
		if (k->peers[i]->waits_for) {
			arrow_event(k->instance, "stop", NULL);
			return;
		}
}

/* Tells everybody how the run ended; those who did not ask for another run are done with. */
static void tell_end(struct keeper *k, bool again)
{
	uint8_t payload[12 + ARROW_TEXT_MAX];
	size_t length = strlen(k->failure_text);

	arrow_put32(payload, 1);
	arrow_put32(payload + 4, (uint32_t)exit_code(k));
	arrow_put32(payload + 8, 0);
	memcpy(payload + 12, k->failure_text, length);
	for (unsigned int i = 0; i < k->n_peers; i++) {
		struct peer *peer = k->peers[i];

		if (again && peer->waits_for == ARROW_RESTART)
			continue;
		if (peer->waits_for)
			peer_answer(k, peer, peer->waits_for,
				peer->waits_for == ARROW_RESTART ? EIO : 0,
				peer->waits_for == ARROW_RESTART ? k->failure_text : NULL);
		if (k->exited)
			peer_send(k, peer, ARROW_CONTROL, ARROW_EXITED, k->exit_frame,
				sizeof(k->exit_frame));
		else
			peer_send(k, peer, ARROW_CONTROL, ARROW_FAILED, payload, 12 + length);
		peer->closing = true;
	}
}

/* The next VM of the same Arrow: after a pause, unless it was asked for. */
static void wait_for_restart(struct keeper *k)
{
	uint64_t pause = k->restart_now ? 0 : k->backoff_ms;

	if (k->started && now_ms() - k->start_ms >= BACKOFF_RESET_MS)
		pause = k->restart_now ? 0 : BACKOFF_FIRST_MS;
	k->backoff_ms = pause * 2 < BACKOFF_FIRST_MS ? BACKOFF_FIRST_MS
			: pause * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
						     : pause * 2;
	k->state->life = ARROW_LIFE_RESTARTING;
	if (!k->restart_now)
		k->state->restarts++;
	keeper_write_state(k);
	tell_stop(k);
	tell_end(k, true);
	k->phase = WAITING;
	k->deadline = now_ms() + pause;
}

/* Starts a VM, the first or the next. */
static void start(struct keeper *k)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	k->started = k->exited = k->stopping = k->stdin_closed = false;
	if (k->restart_now)
		k->state->manual_stop = false;
	k->restarting = k->restart_now;
	k->restart_now = false;
	k->failure = 0;
	k->failure_text[0] = '\0';
	k->host_oom = false;
	k->job_sent = k->console_used = 0;
	k->time_limit = k->kill_at = k->vm_kill_at = 0;
	k->stdin_room = ARROW_WINDOW;
	for (unsigned int i = 0; i < 2; i++) {
		k->received[i] = k->granted[i] = 0;
		for (unsigned int n = 0; n < k->n_peers; n++)
			k->peers[n]->acked[i] = 0;
	}
	if (keeper_start_vm(k, &error) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "%s", error.text);
}

/* The run is over. Returns whether there is another one. */
static bool end_run(struct keeper *k)
{
	bool again;

	health_end(k);
	keeper_end_vm(k);
	log_finish(&k->log);
	note_end(k);
	if (k->state->oom)
		arrow_event(k->instance, "oom", NULL);
	arrow_event_number(k->instance, "die", "exitCode", k->state->exit_code);
	again = starts_again(k);
	if (again)
		wait_for_restart(k);
	return again;
}

static int poll_timeout(const struct keeper *k)
{
	uint64_t now = now_ms(), next = now + STALL_DEADLINE_MS;
	const uint64_t times[] = {k->execs_due, k->deadline, k->time_limit, k->kill_at,
		k->vm_kill_at, k->vm ? k->next_check : 0, health_time(k), k->snapshot.deadline};

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		if (times[i] && times[i] < next)
			next = times[i];
	return next > now ? (int)(next - now) : 0;
}

enum {
	P_GUEST,
	P_CONSOLE,
	P_SIGNAL,
	P_LISTEN,
	P_HEALTH,
	P_HEALTH_OUTPUT,
	P_NETWORK,
	P_VM,
	P_PEERS = P_VM + ARROW_VM_FDS
};

static unsigned int fill_poll(struct keeper *k, struct pollfd *p)
{
	bool room = !keeper_frozen(k) &&
		    (k->guest.fd < 0 || channel_has_room(&k->guest, ARROW_FRAME_MAX));

	p[P_GUEST].fd = k->guest.fd;
	p[P_GUEST].events = (short)(POLLIN | (channel_pending(&k->guest) ? POLLOUT : 0));
	p[P_CONSOLE] = (struct pollfd){.fd = k->console_fd, .events = POLLIN};
	p[P_SIGNAL] = (struct pollfd){.fd = k->signal_fd, .events = POLLIN};
	p[P_LISTEN] = (struct pollfd){.fd = k->listen_fd, .events = POLLIN};
	p[P_HEALTH] = (struct pollfd){.fd = k->health.pid_fd, .events = POLLIN};
	p[P_HEALTH_OUTPUT] = (struct pollfd){.fd = k->health.out_fd, .events = POLLIN};
	p[P_NETWORK] = (struct pollfd){.fd = k->network_fd, .events = POLLIN};
	for (int i = 0; i < ARROW_VM_FDS; i++)
		p[P_VM + i] = (struct pollfd){.fd = k->vm ? k->vm->fds[i] : -1, .events = POLLIN};
	for (unsigned int i = 0; i < k->n_peers; i++) {
		const struct channel *c = &k->peers[i]->channel;

		p[P_PEERS + i].fd = c->fd;
		p[P_PEERS + i].events =
			(short)((room ? POLLIN : 0) | (channel_pending(c) ? POLLOUT : 0));
	}
	return P_PEERS + k->n_peers;
}

static void accept_command(struct keeper *k)
{
	int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		peer_add(k, fd);
}

/* Returns false when it is gone. */
static bool peer_events(struct keeper *k, struct peer *peer, short events)
{
	int r = 0;

	if (events & (POLLIN | POLLHUP | POLLERR)) {
		r = channel_fill(&peer->channel);
		peer_receive(k, peer);
	}
	if (r == 0)
		return true;
	if (peer->bound && !peer->closing)
		keeper_fail(k, ARROW_KILLED_STATUS, "its client is gone");
	peer_remove(k, peer);
	return false;
}

/* Writes to everybody what they take; those who are told all are let go. */
static void flush_peers(struct keeper *k)
{
	for (unsigned int i = 0; i < k->n_peers; i++) {
		struct peer *peer = k->peers[i];
		bool gone = channel_flush(&peer->channel) < 0;

		if (peer->closing && (gone || !channel_pending(&peer->channel)))
			peer_remove(k, k->peers[i--]);
		else if (gone) /* its last words, such as DETACH, are still to be read */
			peer->channel.out_start = peer->channel.out_end = 0;
	}
}

static void take_signal(struct keeper *k)
{
	struct signalfd_siginfo info;
	bool again = k->stopping;

	if (read(k->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	/* The host goes down, or somebody means it: once is a stop, twice is the end. */
	if (again || !k->started)
		keeper_fail(k, 128 + SIGTERM, "the keeper of this Arrow was asked to end");
	else
		keeper_stop(k, 0, k->config->spec->life.stop_timeout);
	k->stopping = true;
	k->restart_now = false;
}

static void turn(struct keeper *k)
{
	struct pollfd p[P_PEERS + PEERS_MAX] = {0};
	struct peer *peers[PEERS_MAX];
	unsigned int n, n_peers = k->n_peers;

	keeper_send_job(k);
	n = fill_poll(k, p);
	memcpy(peers, k->peers, n_peers * sizeof(struct peer *));
	if (poll(p, n, poll_timeout(k)) < 0 && errno != EINTR) {
		keeper_fail(
			k, ARROW_STATUS_ERROR, "cannot wait for the guest: %s", strerror(errno));
		return;
	}

	if (p[P_CONSOLE].revents)
		keeper_take_console(k);
	if (p[P_GUEST].revents & (POLLIN | POLLHUP)) {
		int r = channel_fill(&k->guest);

		keeper_relay_guest(k);
		if (r < 0 && k->phase != OVER) {
			/* QEMU closed it: its end is told by its process, a moment later. */
			close(k->guest.fd);
			k->guest.fd = -1;
		}
	}
	for (unsigned int i = 0; i < n_peers; i++)
		if (p[P_PEERS + i].revents)
			peer_events(k, peers[i], p[P_PEERS + i].revents);
	if (k->vm)
		keeper_vm_events(k, p + P_VM);
	if (p[P_SIGNAL].revents)
		take_signal(k);
	if (p[P_LISTEN].revents)
		accept_command(k);
	if (p[P_NETWORK].revents)
		net_mend(k->config->network, k->network_fd);

	/* Frames that waited for room, then what can be written. */
	for (unsigned int i = 0; i < k->n_peers; i++)
		peer_receive(k, k->peers[i]);
	peers_stdin(k);
	keeper_grant(k);
	if (!keeper_frozen(k))
		execs_pump(k);
	keeper_snapshot_step(k);
	/* While a VM is written its channel stays empty: a frame that is under way would be cut. */
	if (k->guest.fd >= 0 && k->snapshot.step <= SNAPSHOT_HOLD && channel_flush(&k->guest) < 0) {
		close(k->guest.fd);
		k->guest.fd = -1;
	}
	flush_peers(k);
	/* The command knows by now that it runs: this takes none of its time. */
	if (k->started && !k->dropped) {
		k->dropped = true;
		keeper_drop();
	}
	peers_check_stalls(k);
	health_turn(k);
	if (k->state_changed && k->phase != OVER)
		keeper_write_state(k);
	if (k->vm && k->phase != OVER)
		keeper_check_time(k);
	if (k->phase == WAITING && now_ms() >= k->deadline)
		start(k);
}

/*
 * Gives the commands what is queued, and the end. A stopped client of the foreground reads when it
 * goes on, and one that is gone has closed its socket: so for it there is no deadline, and SIGTERM
 * ends the wait.
 */
static void say_farewell(struct keeper *k)
{
	for (;;) {
		struct pollfd p[1 + PEERS_MAX];
		unsigned int n = 0;

		flush_peers(k);
		peers_check_stalls(k);
		if (k->n_peers == 0)
			return;
		for (; n < k->n_peers; n++)
			p[n] = (struct pollfd){k->peers[n]->channel.fd, POLLOUT, 0};
		p[n++] = (struct pollfd){k->signal_fd, POLLIN, 0};
		if ((poll(p, n, 1000) < 0 && errno != EINTR) || p[n - 1].revents)
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

/* The end: in this order, so that whoever is told of it finds nothing left of it. */
static void end(struct keeper *k)
{
	bool failed_start = !k->started && k->state->started[0] == '\0';

	close_keep_errno(k->listen_fd);
	net_detach(k->config->network);
	tell_stop(k);
	if (k->config->spec->life.auto_remove) {
		arrow_instance_remove(k->instance);
	} else {
		k->state->life = failed_start ? ARROW_LIFE_CREATED : ARROW_LIFE_EXITED;
		k->state->keeper_pid = 0;
		(void)!arrow_state_write(k->instance->dir_fd, k->state);
		arrow_instance_end(k->instance);
		close_keep_errno(steal_fd(&k->instance->lock_fd));
	}
	tell_end(k, false);
	flush_peers(k);
	if (!k->config->spec->life.auto_remove)
		arrow_instance_sync(k->instance);
	say_farewell(k);
}

void keeper_main(const struct keeper_config *config)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct keeper k = {
		.config = config,
		.instance = config->instance,
		.state = &config->instance->state,
		.template = config->template,
		.console_fd = -1,
		.signal_fd = -1,
		.listen_fd = -1,
		.network_fd = -1,
		.health = {.pid_fd = -1, .out_fd = -1},
		.snapshot = {.fd = -1, .blocks_fd = -1},
		.backoff_ms = BACKOFF_FIRST_MS,
	};
	struct peer *client;
	int r;

	k.guest.fd = -1;
	client = peer_add(&k, config->client_fd);
	if (!client)
		_exit(1);
	client->bound = config->bound;
	client->streams = config->streams;
	k.state->keeper_pid = getpid();
	r = become_keeper(&k, &error);
	if (r == 0)
		r = net_serve(config->network, &error);
	k.network_fd = net_follow(config->network);
	json_decref(k.state->network);
	k.state->network = net_attachment_json(config->network);
	k.state->cards = config->network->n_cards;
	if (r == 0)
		r = log_open(&k.log, config->spec, k.instance->dir_fd, k.instance->id,
			k.instance->name, &error);
	if (r < 0)
		keeper_fail(&k, ARROW_STATUS_ERROR, "%s", error.text);
	else
		start(&k);
	/* While the guest comes up. */
	if (k.phase != OVER) {
		r = control_listen(k.instance->run_dir, &error);
		if (r < 0)
			keeper_fail(&k, ARROW_STATUS_ERROR, "%s", error.text);
		else
			k.listen_fd = r;
	}
	do {
		while (k.phase != OVER)
			turn(&k);
	} while (end_run(&k));
	end(&k);
	_exit(0);
}
