// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/program.h"

#include <signal.h>

#include "core/instance/event.h"
#include "core/keeper/snapshot.h"
#include "util/io.h"

void program_signal(struct keeper *k, uint32_t signal)
{
	if (!keeper_program_runs(k))
		return;
	arrow_event_number(k->instance, "kill", "signal", signal);
	guest_link_signal(&k->guest, signal);
	snapshot_cancel(k);
	if (signal == SIGKILL && !k->deadlines.vm_kill)
		k->deadlines.vm_kill = now_ms() + KILL_DEADLINE_MS;
}

void program_stop(struct keeper *k, uint32_t signal, uint32_t seconds)
{
	const struct arrow_spec *spec = k->config->spec;

	k->restarts.stopping = true;
	if (k->phase == WAITING || !k->program.started) {
		keeper_fail(k, 128 + SIGKILL, "it was stopped before its program started");
		return;
	}
	if (k->program.exited)
		return;
	if (signal == 0)
		signal = spec->life.stop_signal ? spec->life.stop_signal : SIGTERM;
	program_signal(k, signal);
	if (seconds != ARROW_FOREVER)
		k->deadlines.kill = now_ms() + seconds * 1000ull;
}

void program_take_output(struct keeper *k, unsigned int fd, const uint8_t *data, size_t size)
{
	if (!guest_link_receive_output(&k->guest, fd, size)) {
		keeper_fail(k, ARROW_STATUS_ERROR,
			"the guest broke the protocol: it sent more output than it may");
		return;
	}
	peers_output(&k->peers, fd, data, size);
	log_write(&k->log, fd, data, size);
}

static void program_send_input_of(struct keeper *k, struct peer *peer)
{
	size_t size = peer->input.end - peer->input.start;

	if (size > 0)
		peer_input_taken(peer, guest_link_send_stdin(&k->guest,
					       peer->input.data + peer->input.start, size));
	if (peer->input.eof && peer->input.start == peer->input.end)
		guest_link_end_stdin(&k->guest);
}

void program_send_input(struct keeper *k)
{
	if (!guest_link_is_open(&k->guest) || !k->program.started || keeper_is_frozen(k))
		return;
	for (unsigned int i = 0; i < k->peers.n; i++)
		program_send_input_of(k, k->peers.v[i]);
}

void program_grant(struct keeper *k)
{
	if (keeper_is_frozen(k))
		return;
	for (unsigned int fd = 1; fd <= 2; fd++)
		guest_link_grant(&k->guest, fd, peers_unread(&k->peers, fd));
}
