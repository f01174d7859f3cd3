// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/networks.h"

#include <errno.h>
#include <string.h>

#include "net/network.h"
#include "util/cleanup.h"
#include "util/io.h"

/* The name of a network as --network has it. */
static const char *networks_text(const char *network)
{
	return strcmp(network, "default") == 0 ? NET_DEFAULT : network;
}

static bool networks_has(const struct arrow_spec *spec, const char *text)
{
	for (size_t i = 0; i < spec->net.names.n; i++)
		if (strcmp(networks_text(spec->net.names.v[i]), text) == 0)
			return true;
	return false;
}

/* Leaves the networks that are not in the spec any more. */
static int networks_leave(
	struct keeper *k, const struct arrow_spec *spec, struct arrow_error *error)
{
	struct net_attachment *a = k->config->network;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < a->n_cards; i++)
		if (!a->cards[i].idle && !networks_has(spec, a->cards[i].name))
			r = net_disconnect(a, i, error);
	return r;
}

/* Joins those that are new, by the name that the Arrow has now. */
static int networks_join(struct keeper *k, const struct arrow_spec *spec, const char *name,
	struct arrow_error *error)
{
	struct net_attachment *a = k->config->network;
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->net.names.n; i++) {
		const char *text = networks_text(spec->net.names.v[i]);

		if (strcmp(text, "none") == 0 || net_card_on(a, text) >= 0)
			continue;
		r = net_connect(a, text,
			&(struct net_request){
				.id = k->instance->id,
				.name = name,
				.endpoints = {arrow_spec_endpoint(spec, i)},
				.aliases = (const char *const *)spec->net.aliases.v,
			},
			error);
	}
	return r;
}

/* Notes the change for the next VM, for `arrow inspect`, and for following the watches. */
static int networks_take_over(
	struct keeper *k, const struct arrow_spec *spec, struct arrow_error *error)
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

int networks_change(struct keeper *k, struct arrow_job *records, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error later = ARROW_ERROR_INIT;
	struct arrow_instance now;
	struct arrow_spec spec;
	int r;

	/* While the job is on its way it cannot change. */
	if (k->phase != WAITING && (!k->program.started || k->program.exited))
		return arrow_fail(error, EAGAIN, "the Arrow is starting or ending: try again");
	if (keeper_is_frozen(k))
		return arrow_fail(error, EAGAIN, "the Arrow is being saved: try again");
	/* A network that comes up starts what serves others, too, and must not end with this VM. */
	arrow_limits_leave(&k->machine.groups);
	r = arrow_instance_open(&now, k->config->paths, k->instance->id, &spec, error);
	if (r == 0) {
		r = networks_leave(k, &spec, error);
		if (r == 0)
			r = networks_join(k, &spec, now.name, error);
		/* Also if one of them failed: others may have changed. */
		if (networks_take_over(k, &spec, &later) < 0 && r == 0)
			r = arrow_fail(error, ENOMEM, "%s", later.text);
	}
	/* Without a program there is nobody to tell: the next VM's job has it. */
	if (r == 0 && k->phase != WAITING) {
		r = arrow_job_place(records, &spec, k->instance->id, k->config->network);
		if (r < 0)
			arrow_fail(error, -r, "cannot describe the network: %m");
	}
	arrow_instance_release(&now);
	arrow_spec_release(&spec);
	return r;
}
