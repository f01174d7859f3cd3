// SPDX-License-Identifier: Apache-2.0
#include "core/client/update.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/control.h"
#include "core/instance/event.h"
#include "core/client/exec.h"
#include "core/spec/parse.h"
#include "core/instance/instance.h"
#include "util/cleanup.h"

#define ANSWER_MS 30000u
#define MEMORY_SPARE (16u << 20) /* bytes that are left free where memory is taken away */

struct update {
	const struct arrow_spec *values;
	const struct arrow_spec *before;
	unsigned int fields;
	bool kept;
	bool asked_keeper, asked_guest; /* what is to be undone */
};

static int update_cpus(struct arrow_spec *s, const struct update *u, struct arrow_error *error)
{
	unsigned int vcpus = arrow_spec_vcpus(s);

	if (u->kept && arrow_spec_vcpus(u->values) > vcpus)
		return arrow_fail(error, EBUSY,
			"its VM was started with %u CPU%s and cannot get more while it runs: stop it first",
			vcpus, vcpus == 1 ? "" : "s");
	s->limits.millicpus =
		u->values->limits.millicpus ? u->values->limits.millicpus : vcpus * 1000;
	s->limits.cpus_given = true;
	return 0;
}

static int update_memory(struct arrow_spec *s, const struct update *u, struct arrow_error *error)
{
	if (s->source.from)
		return arrow_fail(error, EINVAL,
			"it was restored from %s, so its memory cannot change", s->source.from);
	if (u->values->limits.memory < ARROW_MEMORY_MIN)
		return arrow_fail(error, EINVAL,
			"%llu KiB of memory is too little to boot: give at least %llu MiB with -m",
			(unsigned long long)(u->values->limits.memory >> 10),
			ARROW_MEMORY_MIN >> 20);
	s->limits.memory = u->values->limits.memory;
	return 0;
}

static int update_spec(struct arrow_spec *s, void *arg, struct arrow_error *error)
{
	const struct update *u = arg;
	const struct arrow_spec *v = u->values;
	int r = 0;

	if ((u->fields & ARROW_UPDATE_RESTART) && s->life.auto_remove &&
		v->life.restart != ARROW_RESTART_NO)
		return arrow_fail(error, EINVAL,
			"it is removed when it ends (--rm), so it cannot have a restart policy");
	if (u->fields & ARROW_UPDATE_MEMORY)
		r = update_memory(s, u, error);
	if (r == 0 && (u->fields & ARROW_UPDATE_CPUS))
		r = update_cpus(s, u, error);
	if (r < 0)
		return r;
	if (u->fields & ARROW_UPDATE_MEMORY_SWAP) {
		s->limits.memory_swap = v->limits.memory_swap;
		s->limits.memory_swap_given = v->limits.memory_swap_given;
	}
	if (u->fields & ARROW_UPDATE_CPU_SHARES)
		s->limits.cpu_shares = v->limits.cpu_shares;
	if (u->fields & ARROW_UPDATE_PIDS)
		s->limits.pids_max = v->limits.pids_max;
	if (u->fields & ARROW_UPDATE_BLKIO_WEIGHT)
		s->limits.blkio_weight = v->limits.blkio_weight;
	if (u->fields & ARROW_UPDATE_RESTART) {
		s->life.restart = v->life.restart;
		s->life.restart_max = v->life.restart_max;
	}
	if (u->fields & ARROW_UPDATE_CPUSET) {
		free(s->limits.cpuset_cpus);
		s->limits.cpuset_cpus = strdup(v->limits.cpuset_cpus);
		if (!s->limits.cpuset_cpus)
			return arrow_no_memory(error);
	}
	return arrow_check_limits(s, error);
}

/* As it was before: a change that could not be made in what runs. */
static int update_restore(struct arrow_spec *s, void *arg, struct arrow_error *error)
{
	const struct arrow_spec *before = arg;

	s->limits.memory = before->limits.memory;
	s->life.restart = before->life.restart;
	s->life.restart_max = before->life.restart_max;
	arrow_spec_take_limits(s, before);
	return 0;
}

/* Has the loader limit what runs in the guest. */
static int update_limit_guest(const struct arrow_paths *paths, const struct arrow_instance *i,
	const struct arrow_spec *s, struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	char cpus[16], pids[16];
	const char *const argv[] = {"limit", cpus, pids, NULL};
	size_t size;
	int r, err;

	snprintf(cpus, sizeof(cpus), "%u", s->limits.millicpus % 1000 ? s->limits.millicpus : 0);
	snprintf(pids, sizeof(pids), "%u", s->limits.pids_max);
	r = arrow_worker_output(paths, i->id, argv, 64, &text, &size, error);
	if (r < 0)
		return r;
	err = atoi(text);
	if (err == 0)
		return 0;
	return arrow_fail(error, err,
		"the limit cannot be set in the guest: %m; its kernel may lack cgroups: stop it first");
}

static unsigned long long usage_number(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

/* What the guest could only give by killing is not taken. */
static int update_check_spare(const struct arrow_paths *paths, const struct arrow_instance *i,
	uint64_t less, struct arrow_error *error)
{
	static const char *const argv[] = {"usage", NULL};
	_cleanup_free_ char *text = NULL;
	unsigned long long total, used;
	size_t size;
	int r = arrow_worker_output(paths, i->id, argv, 4096, &text, &size, error);

	if (r < 0)
		return r;
	total = usage_number(text, "mem_total ");
	used = usage_number(text, "mem_used ");
	if (used + less + MEMORY_SPARE <= total)
		return 0;
	return arrow_fail(error, EBUSY,
		"%llu of its %llu MiB of memory are in use: stop it first, or choose a higher limit",
		used >> 20, total >> 20);
}

/* MiB for the keeper's RELOAD; 0 leaves the memory as it is. */
static uint32_t update_mib(const struct update *u, const struct arrow_spec *spec)
{
	return u->fields & ARROW_UPDATE_MEMORY ? (uint32_t)(spec->limits.memory >> 20) : 0;
}

static int update_ask_keeper(
	const struct arrow_instance *i, uint32_t mib, struct arrow_error *error)
{
	uint8_t payload[ARROW_NUMBER_BYTES];

	arrow_number_encode(payload, mib);
	return control_ask(i, ARROW_RELOAD, payload, sizeof(payload), ANSWER_MS, NULL, error);
}

/* Brings what is stored to what runs: the keeper, with the host's control groups, then the guest.
 */
static int update_running(const struct arrow_paths *paths, const struct arrow_instance *i,
	const struct arrow_spec *spec, struct update *u, struct arrow_error *error)
{
	uint32_t mib = update_mib(u, spec);
	int r = 0;

	if (mib && spec->limits.memory < u->before->limits.memory)
		r = update_check_spare(
			paths, i, u->before->limits.memory - spec->limits.memory, error);
	if (r == 0) {
		u->asked_keeper = true;
		r = update_ask_keeper(i, mib, error);
	}
	if (r == 0 && u->fields & (ARROW_UPDATE_PIDS | ARROW_UPDATE_CPUS)) {
		u->asked_guest = true;
		r = update_limit_guest(paths, i, spec, error);
	}
	/* It ended just now: what is stored counts for the next start. */
	if (r < 0 && !arrow_instance_is_kept(i)) {
		arrow_error_clear(error);
		r = 0;
	}
	return r;
}

/* Undoes all that update_running() may have done. What fails now is left: there is no way on. */
static void update_undo(
	const struct arrow_paths *paths, const struct arrow_instance *i, const struct update *u)
{
	struct arrow_error ignored = ARROW_ERROR_INIT;

	if (arrow_instance_change(paths, i->id, update_restore, (void *)u->before, &ignored) < 0) {
		arrow_error_clear(&ignored);
		return;
	}
	if (u->asked_keeper && update_ask_keeper(i, update_mib(u, u->before), &ignored) < 0)
		arrow_error_clear(&ignored);
	if (u->asked_guest && update_limit_guest(paths, i, u->before, &ignored) < 0)
		arrow_error_clear(&ignored);
}

static int update_open(const struct arrow_paths *paths, const struct arrow_instance *i,
	const struct arrow_spec *before, struct update *u, struct arrow_error *error)
{
	struct arrow_spec after;
	struct arrow_instance now;
	int r;

	u->before = before;
	u->kept = arrow_instance_is_kept(i);
	r = arrow_instance_change(paths, i->id, update_spec, u, error);
	if (r < 0 || !u->kept)
		return r;
	r = arrow_instance_open(&now, paths, i->id, &after, error);
	if (r == 0)
		r = update_running(paths, &now, &after, u, error);
	if (r < 0)
		update_undo(paths, i, u);
	arrow_instance_release(&now);
	arrow_spec_release(&after);
	return r;
}

int arrow_update(const struct arrow_paths *paths, const char *name, const struct arrow_spec *values,
	unsigned int fields, struct arrow_error *error)
{
	struct update u = {.values = values, .fields = fields};
	struct arrow_instance i;
	struct arrow_spec before;
	char id[ARROW_ID_HEX];
	int r = arrow_instance_find(paths, name, id, error);

	if (r < 0)
		return r;
	r = arrow_instance_open(&i, paths, id, &before, error);
	if (r == 0) {
		r = update_open(paths, &i, &before, &u, error);
		if (r == 0)
			arrow_event(&i, "update", NULL);
		if (r < 0)
			r = arrow_error_prefix(error, r, "cannot update Arrow %s", i.name);
	}
	arrow_instance_release(&i);
	arrow_spec_release(&before);
	return r;
}
