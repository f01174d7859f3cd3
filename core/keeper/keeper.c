// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control/control.h"
#include "core/keeper/drop.h"
#include "core/keeper/loop.h"
#include "core/keeper/program.h"
#include "core/keeper/reports.h"
#include "core/keeper/requests.h"
#include "core/keeper/runs.h"
#include "core/keeper/snapshot.h"
#include "core/keeper/vm.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/title.h"

/* Whether the program runs and stands not still: health checks are executed then. */
static bool keeper_is_checkable(const struct keeper *k)
{
	return keeper_program_runs(k) && k->state->life == ARROW_LIFE_RUNNING;
}

static int loop_timeout(const struct keeper *k)
{
	const struct deadlines *d = &k->deadlines;
	uint64_t now = now_ms(), next = now + PEER_STALL_MS;
	const uint64_t times[] = {d->phase, d->timeout, d->kill, d->vm_kill, k->execs.due,
		k->machine.vm ? k->machine.next_check : 0, k->machine.server.share_due,
		health_time(&k->health, keeper_is_checkable(k)), k->snapshot.deadline};

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
	P_SERVER,
	P_VM,
	P_PEERS = P_VM + ARROW_VM_FDS
};

/* While a VM is written its channel stays empty: a frame that is under way would be cut. */
static bool loop_may_write_guest(const struct keeper *k)
{
	return k->snapshot.step <= SNAPSHOT_HOLD;
}

static unsigned int loop_fill_poll(const struct keeper *k, struct pollfd *p)
{
	const struct channel *guest = &k->guest.channel;
	const struct arrow_vm *vm = k->machine.vm;
	bool write = loop_may_write_guest(k) && channel_pending(guest);

	p[P_GUEST] = (struct pollfd){guest->fd, (short)(POLLIN | (write ? POLLOUT : 0)), 0};
	p[P_CONSOLE] = (struct pollfd){k->console.fd, POLLIN, 0};
	p[P_SIGNAL] = (struct pollfd){k->signal_fd, POLLIN, 0};
	p[P_LISTEN] = (struct pollfd){k->listen_fd, POLLIN, 0};
	p[P_HEALTH] = (struct pollfd){k->health.pid_fd, POLLIN, 0};
	p[P_HEALTH_OUTPUT] = (struct pollfd){k->health.out_fd, POLLIN, 0};
	p[P_NETWORK] = (struct pollfd){k->network_fd, POLLIN, 0};
	p[P_SERVER] = (struct pollfd){k->machine.server.pid_fd, POLLIN, 0};
	for (int i = 0; i < ARROW_VM_FDS; i++)
		p[P_VM + i] = (struct pollfd){vm ? vm->fds[i] : -1, POLLIN, 0};
	for (unsigned int i = 0; i < k->peers.n; i++) {
		short events = peer_wanted_events(k->peers.v[i]);

		p[P_PEERS + i] =
			(struct pollfd){events ? k->peers.v[i]->channel.fd : -1, events, 0};
	}
	return P_PEERS + k->peers.n;
}

static void loop_accept(struct keeper *k)
{
	int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		peers_add(&k->peers, fd);
}

static void loop_remove_peer(struct keeper *k, struct peer *peer)
{
	if (peer->bound && !peer->closing)
		keeper_fail(k, ARROW_KILLED_STATUS, "its client is gone");
	execs_peer_gone(peer);
	snapshot_forget_peer(k, peer);
	peers_remove(&k->peers, peer);
}

/* Takes what the commands ask for, also what waited for room; those that hung up are let go. */
static void loop_take_requests(struct keeper *k)
{
	for (unsigned int i = 0; i < k->peers.n; i++) {
		struct peer *peer = k->peers.v[i];

		if (requests_take(k, peer) && peer->gone)
			loop_remove_peer(k, k->peers.v[i--]);
	}
}

/* Writes to everybody what they take; those who are told all are let go. */
static void loop_flush_peers(struct keeper *k)
{
	struct peer *stalled;

	for (unsigned int i = 0; i < k->peers.n; i++) {
		struct peer *peer = k->peers.v[i];
		bool reads = peer_flush(peer);

		if (peer->closing && (!reads || !channel_pending(&peer->channel)))
			loop_remove_peer(k, k->peers.v[i--]);
		else if (!reads) /* its last words, such as DETACH, are still to be read */
			peer->channel.out_start = peer->channel.out_end = 0;
	}
	while ((stalled = peers_find_stalled(&k->peers)))
		loop_remove_peer(k, stalled);
}

static void loop_take_signal(struct keeper *k)
{
	struct signalfd_siginfo info;
	bool again = k->restarts.stopping;

	if (read(k->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGIO) {
		server_share(&k->machine.server);
		return;
	}
	/* The host goes down, or somebody means it: the first asks for a stop, the second ends it.
	 */
	if (again || !k->program.started)
		keeper_fail(k, 128 + SIGTERM, "its keeper was asked to end");
	else
		program_stop(k, 0, k->config->spec->life.stop_timeout);
	k->restarts.stopping = true;
	k->restarts.now = false;
}

/* The VM's process is gone: takes what it left in the sockets. */
static void loop_drain_vm(struct keeper *k)
{
	do
		(void)guest_link_fill(&k->guest);
	while (reports_take(k) && k->phase != OVER);
	if (k->console.fd >= 0)
		vm_take_console(k);
}

static void loop_take_vm_events(struct keeper *k, const struct pollfd *p)
{
	const char *ended;

	if (!k->machine.vm || k->phase == OVER || vm_take_events(k, p) != ARROW_VM_ENDED)
		return;
	loop_drain_vm(k);
	if (k->phase == OVER)
		return;
	ended = k->machine.vm->ended;
	if (!vm_fall_back(k, ended ? ended : "its guest ended"))
		vm_explain_end(k);
}

static void loop_take_events(struct keeper *k, const struct pollfd *p, unsigned int n_peers)
{
	if (p[P_CONSOLE].revents)
		vm_take_console(k);
	/* First: what the guest says of its volumes then is a consequence. */
	if (p[P_SERVER].revents)
		vm_take_server_end(k);
	if (p[P_GUEST].revents & (POLLIN | POLLHUP)) {
		/* Where it is closed, the end of the VM is told by its process, a moment later. */
		(void)guest_link_fill(&k->guest);
		(void)reports_take(k);
	}
	for (unsigned int i = 0; i < n_peers; i++)
		if (p[P_PEERS + i].revents & (POLLIN | POLLHUP | POLLERR))
			peer_fill(k->peers.v[i]);
	loop_take_requests(k);
	loop_take_vm_events(k, p + P_VM);
	if (p[P_SIGNAL].revents)
		loop_take_signal(k);
	if (p[P_LISTEN].revents)
		loop_accept(k);
	if (p[P_NETWORK].revents) {
		/* What it starts serves others, too, and must not end with this VM. */
		arrow_limits_leave(&k->machine.groups);
		net_mend(k->config->network, k->network_fd);
	}
}

/* Sends the guest what waited for room, time, or the end of a save. */
static void loop_send_to_guest(struct keeper *k)
{
	program_send_input(k);
	program_grant(k);
	if (!keeper_is_frozen(k))
		execs_pump(&k->execs);
	snapshot_step(k);
	if (!keeper_is_frozen(k))
		guest_link_send_due(&k->guest);
	if (loop_may_write_guest(k))
		guest_link_flush(&k->guest);
}

void keeper_turn(struct keeper *k)
{
	struct pollfd p[P_PEERS + PEERS_MAX] = {0};
	unsigned int n;

	if (k->phase == HANDING && guest_link_send_job(&k->guest, k->config->job))
		keeper_set_phase(
			k, RUNNING, k->machine.template ? CLONE_DEADLINE_MS : BOOT_DEADLINE_MS);
	n = loop_fill_poll(k, p);
	if (poll(p, n, loop_timeout(k)) < 0 && errno != EINTR) {
		keeper_fail(
			k, ARROW_STATUS_ERROR, "cannot wait for the guest: %s", strerror(errno));
		return;
	}
	loop_take_events(k, p, n - P_PEERS);
	loop_send_to_guest(k);
	loop_flush_peers(k);
	/* The command knows by now that it runs: this takes none of its time. */
	if (k->program.started && !k->dropped) {
		k->dropped = true;
		keeper_drop();
	}
	/* From here on what there is to do is the guest's doing: frames, its log, health checks. */
	if (k->program.started)
		arrow_limits_join(&k->machine.groups);
	vm_share_volumes(k);
	if (health_turn(&k->health, keeper_is_checkable(k)))
		k->state_changed = true;
	if (k->state_changed && k->phase != OVER)
		keeper_write_state(k);
	if (k->machine.vm && k->phase != OVER)
		runs_check_deadlines(k);
	if (k->phase == WAITING && now_ms() >= k->deadlines.phase)
		runs_start(k);
}

/*
 * Gives the commands what is queued, and the end. A stopped client of the foreground reads when it
 * goes on, and one that is gone has closed its socket: so for it there is no deadline, and SIGTERM
 * ends the wait.
 */
static void keeper_say_farewell(struct keeper *k)
{
	for (;;) {
		struct signalfd_siginfo info;
		struct pollfd p[1 + PEERS_MAX];
		unsigned int n = 0;

		loop_flush_peers(k);
		if (k->peers.n == 0)
			return;
		for (; n < k->peers.n; n++)
			p[n] = (struct pollfd){k->peers.v[n]->channel.fd, POLLOUT, 0};
		p[n++] = (struct pollfd){k->signal_fd, POLLIN, 0};
		if (poll(p, n, 1000) < 0 && errno != EINTR)
			return;
		/* SIGIO may be left of a lease that is given up by now. */
		if (p[n - 1].revents &&
			(read(k->signal_fd, &info, sizeof(info)) < 0 || info.ssi_signo != SIGIO))
			return;
	}
}

/* Leaves the client's session and terminal; only what the keeper needs stays open. */
static int keeper_leave_session(struct keeper *k, struct arrow_error *error)
{
	sigset_t all, taken;
	int null_fd;

	title_set("arrow-keeper", k->instance->id);
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
	sigemptyset(&taken);
	sigaddset(&taken, SIGTERM);
	sigaddset(&taken, SIGIO); /* see server.h */
	k->signal_fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signal_fd < 0)
		return arrow_fail(error, errno, "cannot watch signals: %m");
	return 0;
}

/* The end: in this order, so that whoever is told of it finds nothing left of it. */
static void keeper_end(struct keeper *k)
{
	bool failed_start = !k->program.started && k->state->started[0] == '\0';

	close_keep_errno(k->listen_fd);
	net_detach(k->config->network);
	runs_tell_stop(k);
	if (k->config->spec->life.auto_remove) {
		arrow_instance_remove(k->instance, true);
	} else {
		k->state->life = failed_start ? ARROW_LIFE_CREATED : ARROW_LIFE_EXITED;
		k->state->keeper_pid = 0;
		(void)!arrow_state_write(k->instance->dir_fd, k->state);
		arrow_instance_end(k->instance);
		close_keep_errno(steal_fd(&k->instance->lock_fd));
	}
	runs_tell_end(k, false);
	loop_flush_peers(k);
	if (!k->config->spec->life.auto_remove)
		arrow_instance_sync(k->instance);
	keeper_say_farewell(k);
}

void keeper_main(const struct keeper_config *config)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct keeper k;
	struct peer *client;
	int r;

	keeper_init(&k, config);
	client = peers_add(&k.peers, config->client_fd);
	if (!client)
		_exit(1);
	client->bound = config->bound;
	client->streams = config->streams;
	k.state->keeper_pid = getpid();
	r = keeper_leave_session(&k, &error);
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
		runs_start(&k);
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
			keeper_turn(&k);
	} while (runs_end(&k));
	keeper_end(&k);
	_exit(0);
}
