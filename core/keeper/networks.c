// SPDX-License-Identifier: Apache-2.0
/* Networks of an Arrow that runs: `arrow network connect` and `disconnect`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/keeper/state.h"
#include "net/network.h"
#include "util/cleanup.h"
#include "util/io.h"

/* As --network has it. */
static const char *text_of(const char *network)
{
	return strcmp(network, "default") == 0 ? NET_DEFAULT : network;
}

static bool is_named(const struct arrow_spec *spec, const char *text)
{
	for (size_t i = 0; i < spec->net.names.n; i++)
		if (strcmp(text_of(spec->net.names.v[i]), text) == 0)
			return true;
	return false;
}

/* Off the networks that are not named any more. */
static int leave_others(struct keeper *k, const struct arrow_spec *spec, struct arrow_error *error)
{
	struct net_attachment *a = k->config->network;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < a->n_cards; i++)
		if (!a->cards[i].idle && !is_named(spec, a->cards[i].name))
			r = net_disconnect(a, i, error);
	return r;
}

/* On those that are new. */
static int join_new(struct keeper *k, const struct arrow_spec *spec, struct arrow_error *error)
{
	struct net_attachment *a = k->config->network;
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->net.names.n; i++) {
		const char *text = text_of(spec->net.names.v[i]);

		if (strcmp(text, "none") == 0 || net_card_on(a, text) >= 0)
			continue;
		r = net_connect(a, text,
			&(struct net_request){
				.id = k->instance->id,
				.name = k->instance->name,
				.ip = i ? NULL : spec->net.ip,
				.ip6 = i ? NULL : spec->net.ip6,
				.mac = i ? NULL : spec->net.mac,
				.aliases = (const char *const *)spec->net.aliases.v,
			},
			error);
	}
	return r;
}

/* What there is now, for the next VM, for `arrow inspect`, and for the eye on the watches. */
static int take_over(struct keeper *k, const struct arrow_spec *spec, struct arrow_error *error)
{
	const struct net_attachment *a = k->config->network;
	int r = arrow_job_place(k->config->job, spec, k->instance->id, a);

	close_keep_errno(steal_fd(&k->network_fd));
	k->network_fd = net_follow(a);
	json_decref(k->state->network);
	k->state->network = net_attachment_json(a);
	k->state_changed = true;
	return r < 0 ? arrow_fail(error, -r, "cannot describe the network: %m") : 0;
}

static void answer(struct keeper *k, struct peer *peer, const struct arrow_spec *spec)
{
	struct arrow_job records = {0};
	uint8_t *payload;

	/* Without a program there is nobody to tell: the next VM's job has it. */
	if (k->started && arrow_job_place(&records, spec, k->instance->id, k->config->network) < 0)
		records.size = 0;
	payload = malloc(8 + records.size);
	if (payload && records.size <= ARROW_FRAME_MAX - 8) {
		arrow_put32(payload, ARROW_NETWORKS);
		arrow_put32(payload + 4, 0);
		if (records.size)
			memcpy(payload + 8, records.data, records.size);
		peer_send(k, peer, ARROW_CONTROL, ARROW_ANSWER, payload, 8 + records.size);
	} else {
		peer_answer(k, peer, ARROW_NETWORKS, ENOMEM, "out of memory");
	}
	free(payload);
	arrow_job_release(&records);
}

void keeper_networks(struct keeper *k, struct peer *peer)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT, later = ARROW_ERROR_INIT;
	struct arrow_instance now;
	struct arrow_spec spec;
	int r;

	/* While the job is on its way it cannot change. */
	if (k->phase != WAITING && (!k->started || k->exited)) {
		peer_answer(k, peer, ARROW_NETWORKS, EAGAIN,
			"the Arrow starts or ends just now: try again");
		return;
	}
	r = arrow_instance_open(&now, k->config->paths, k->instance->id, &spec, &error);
	if (r == 0) {
		r = leave_others(k, &spec, &error);
		if (r == 0)
			r = join_new(k, &spec, &error);
		/* Also if one of them failed: others may have changed. */
		if (take_over(k, &spec, &later) < 0 && r == 0)
			r = arrow_fail(&error, ENOMEM, "%s", later.text);
	}
	if (r == 0)
		answer(k, peer, &spec);
	else
		peer_answer(k, peer, ARROW_NETWORKS, -r, error.text);
	arrow_instance_release(&now);
	arrow_spec_release(&spec);
}
