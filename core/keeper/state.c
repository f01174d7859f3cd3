// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/state.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/io.h"

void keeper_init(struct keeper *k, const struct keeper_config *config)
{
	*k = (struct keeper){
		.config = config,
		.instance = config->instance,
		.state = &config->instance->state,
		.machine = {.template = config->template,
			.groups = ARROW_CONFINEMENT_INIT,
			.server = SERVER_INIT},
		.console = {.fd = -1},
		.guest = {.channel = {.fd = -1}},
		.snapshot = {.fd = -1, .code_fd = -1},
		.execs = {.guest = &k->guest, .instance = config->instance},
		.health = {.config = &config->spec->life.health,
			.paths = config->paths,
			.instance = config->instance,
			.pid_fd = -1,
			.out_fd = -1},
		.signal_fd = -1,
		.listen_fd = -1,
		.network_fd = -1,
	};
}

void keeper_write_state(struct keeper *k)
{
	k->state_changed = false;
	if (arrow_state_write(k->instance->dir_fd, k->state) < 0)
		keeper_note(k, "the state file cannot be written");
	if (k->synced)
		return;
	if (!k->config->spec->life.auto_remove)
		arrow_instance_sync(k->instance);
	/* Frees what the start took: from here on little is needed, perhaps for a long time. */
	malloc_trim(0);
	k->synced = true;
}

void keeper_set_phase(struct keeper *k, enum phase phase, uint32_t deadline_ms)
{
	k->phase = phase;
	k->deadlines.phase = deadline_ms ? now_ms() + deadline_ms : 0;
	k->deadlines.phase_ms = deadline_ms;
}

void keeper_fail(struct keeper *k, int status, const char *fmt, ...)
{
	va_list ap;

	keeper_set_phase(k, OVER, 0);
	if (k->failure.status || k->program.exited)
		return;
	k->failure.status = status;
	va_start(ap, fmt);
	vsnprintf(k->failure.text, sizeof(k->failure.text), fmt, ap);
	va_end(ap);
}

void keeper_note(struct keeper *k, const char *what)
{
	char text[ARROW_TEXT_MAX];
	uint64_t us = now_us() - k->config->begin_us;
	int n;

	if (!k->config->spec->verbose)
		return;
	n = snprintf(text, sizeof(text), "%6llu.%llu ms  %s", (unsigned long long)(us / 1000),
		(unsigned long long)(us % 1000 / 100), what);
	peers_tell(&k->peers, ARROW_NOTE, text,
		(size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void keeper_send(
	struct keeper *k, uint16_t stream, uint16_t type, const void *payload, size_t length)
{
	if (guest_link_send(&k->guest, stream, type, payload, length) < 0)
		keeper_fail(k, ARROW_STATUS_ERROR, "the guest does not read");
}

bool keeper_budget_take(struct budget *budget, unsigned int per_second)
{
	uint64_t now = now_ms();

	if (now - budget->since >= 1000)
		*budget = (struct budget){.since = now};
	if (budget->used == per_second)
		return false;
	budget->used++;
	return true;
}
