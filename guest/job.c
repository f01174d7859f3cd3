// SPDX-License-Identifier: Apache-2.0
#include "guest/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Pure: no system calls, so the host's tests run it too.
 *
 * Two passes. The first checks the lengths and counts what repeats, the second fills the job. Each
 * string is ended in place: its NUL lands on the tag of the next record, which has been read by
 * then.
 */

/* The capabilities that Docker gives: chown, dac_override, fowner, fsetid, kill, setgid, setuid,
 * setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap. */
#define DEFAULT_CAPS UINT64_C(0xa80425fb)

#define CAP_SYS_ADMIN (UINT64_C(1) << 21)

struct counts {
	size_t of[ARROW_RECORD_LAST + 1];
};

static bool job_is_of_process(uint32_t tag)
{
	return tag == ARROW_JOB_FLAGS || tag == ARROW_JOB_ARG || tag == ARROW_JOB_ENV ||
	       tag == ARROW_JOB_CWD || tag == ARROW_JOB_USER || tag == ARROW_JOB_CAPS ||
	       tag == ARROW_JOB_WINSIZE;
}

static bool job_is_of_network(uint32_t tag)
{
	return tag == ARROW_JOB_NIC || tag == ARROW_JOB_ADDRESS || tag == ARROW_JOB_ROUTE ||
	       tag == ARROW_JOB_HOSTS || tag == ARROW_JOB_RESOLV;
}

/*
 * What the records are: a job, of a process beside the program, who a restored Arrow is now, which
 * networks an Arrow is on now.
 */
enum kind { KIND_JOB, KIND_EXEC, KIND_IDENTITY, KIND_NETWORK };

static const char *job_count_records(
	uint8_t *data, size_t size, enum kind kind, struct counts *counts)
{
	struct arrow_record record;
	const char *why;

	for (size_t at = 0; at < size;) {
		why = arrow_record_next(data, size, &at, &record);
		if (why)
			return why;
		if (kind == KIND_EXEC && !job_is_of_process(record.tag))
			return "a record is about the Arrow, not about a process";
		if (kind == KIND_NETWORK && !job_is_of_network(record.tag))
			return "a record is not about networks";
		counts->of[record.tag]++;
		if (counts->of[record.tag] > 1 && !arrow_record_repeats(record.tag))
			return "a record that may come once comes twice";
	}
	if (kind == KIND_NETWORK)
		return NULL;
	if (kind == KIND_IDENTITY && counts->of[ARROW_JOB_ARG] + counts->of[ARROW_JOB_MOUNT] > 0)
		return "it has a program or a mount";
	if (kind != KIND_IDENTITY && counts->of[ARROW_JOB_ARG] == 0)
		return "it has no program";
	/* Without it, clones of one template would share their random numbers. */
	if (kind != KIND_EXEC && counts->of[ARROW_JOB_SEED] == 0)
		return "it has no seed";
	return NULL;
}

static const char *job_take_mount(struct job *job, const struct arrow_record *record)
{
	struct arrow_job_mount mount;
	const char *why = arrow_record_mount(record, &mount);

	if (why)
		return why;
	if (mount.kind != ARROW_MOUNT_ROOT) {
		job->mounts[job->mount_count++] = mount;
		return NULL;
	}
	if (job->root)
		return "it has two roots";
	job->root = mount.source;
	job->root_uniform = mount.flags & ARROW_ROOT_UNIFORM;
	job->root_options = mount.options;
	return NULL;
}

/* The records of the network. */
static const char *job_take_network(struct job *job, const struct arrow_record *record)
{
	struct job_network *network = &job->network;

	switch (record->tag) {
	case ARROW_JOB_NIC:
		return arrow_record_nic(record, &network->nics[network->nic_count++]);
	case ARROW_JOB_ADDRESS:
		return arrow_record_address(record, &network->addresses[network->address_count++]);
	default:
		return arrow_record_route(record, &network->routes[network->route_count++]);
	}
}

/* text: the value, whose memory is the job's, so that strings may be changed in place. */
static const char *job_take_record(
	struct job *job, const struct arrow_record *record, char *text, struct counts *done)
{
	size_t *count = &done->of[record->tag];

	switch ((enum arrow_job_tag)record->tag) {
	case ARROW_JOB_FLAGS:
		return arrow_record_u32(record, &job->flags);
	case ARROW_JOB_ARG:
		job->argv[(*count)++] = text;
		break;
	case ARROW_JOB_ENV:
		if (!memchr(text, '=', record->length) || *text == '=')
			return "a variable of the environment is not NAME=VALUE";
		job->env[(*count)++] = text;
		break;
	case ARROW_JOB_CWD:
		if (record->length == 0 || *text != '/')
			return "its working directory is not an absolute path";
		job->cwd = text;
		break;
	case ARROW_JOB_USER:
		job->user = text;
		break;
	case ARROW_JOB_HOSTNAME:
		job->hostname = text;
		break;
	case ARROW_JOB_HOSTS:
		job->hosts[(*count)++] = text;
		break;
	case ARROW_JOB_RESOLV:
		job->resolv = text;
		break;
	case ARROW_JOB_MOUNT:
		return job_take_mount(job, record);
	case ARROW_JOB_RLIMIT:
		return arrow_record_rlimit(record, &job->rlimits[job->rlimit_count++]);
	case ARROW_JOB_CAPS:
		job->caps = arrow_record_u64(record);
		job->has_caps = true;
		break;
	case ARROW_JOB_SYSCTL:
		job->sysctls[(*count)++] = text;
		break;
	case ARROW_JOB_SEED:
		memcpy(job->seed, text, sizeof(job->seed));
		break;
	case ARROW_JOB_CLOCK:
		return arrow_record_clock(record, &job->clock);
	case ARROW_JOB_WINSIZE:
		arrow_record_winsize(record, &job->window);
		break;
	case ARROW_JOB_SHM_SIZE:
		job->shm_size = arrow_record_u64(record);
		break;
	case ARROW_JOB_MACHINE_ID:
		memcpy(job->machine_id, text, sizeof(job->machine_id));
		job->has_machine_id = true;
		break;
	case ARROW_JOB_CPU_MAX:
		return arrow_record_u32(record, &job->cpu_max);
	case ARROW_JOB_NIC:
	case ARROW_JOB_ADDRESS:
	case ARROW_JOB_ROUTE:
		return job_take_network(job, record);
	case ARROW_JOB_ID:
		job->id = text;
		break;
	case ARROW_JOB_NAME:
		job->name = text;
		break;
	case ARROW_JOB_RESTORE_SIGNAL:
		return arrow_record_u32(record, &job->restore_signal);
	case ARROW_JOB_PIDS_MAX:
		return arrow_record_u32(record, &job->pids_max);
	case ARROW_JOB_GROUP:
		job->groups[(*count)++] = text;
		break;
	}
	return NULL;
}

/* Gives the job its arrays, in one piece of memory. */
static int job_make_arena(struct job *job, const struct counts *counts)
{
	size_t mounts = counts->of[ARROW_JOB_MOUNT] * sizeof(*job->mounts);
	size_t rlimits = counts->of[ARROW_JOB_RLIMIT] * sizeof(*job->rlimits);
	size_t strings = counts->of[ARROW_JOB_ARG] + counts->of[ARROW_JOB_ENV] +
			 counts->of[ARROW_JOB_HOSTS] + counts->of[ARROW_JOB_SYSCTL] +
			 counts->of[ARROW_JOB_GROUP] + 5;
	size_t nics = counts->of[ARROW_JOB_NIC] * sizeof(*job->network.nics);
	size_t addresses = counts->of[ARROW_JOB_ADDRESS] * sizeof(*job->network.addresses);
	size_t routes = counts->of[ARROW_JOB_ROUTE] * sizeof(*job->network.routes);
	char *p =
		calloc(1, mounts + rlimits + strings * sizeof(char *) + nics + addresses + routes);

	if (!p)
		return -ENOMEM;
	job->arena = p;
	job->mounts = (struct arrow_job_mount *)p;
	job->rlimits = (struct arrow_job_rlimit *)(p + mounts);
	job->argv = (char **)(p + mounts + rlimits);
	job->env = job->argv + counts->of[ARROW_JOB_ARG] + 1;
	job->hosts = job->env + counts->of[ARROW_JOB_ENV] + 1;
	job->sysctls = job->hosts + counts->of[ARROW_JOB_HOSTS] + 1;
	job->groups = job->sysctls + counts->of[ARROW_JOB_SYSCTL] + 1;
	p += mounts + rlimits + strings * sizeof(char *);
	job->network.nics = (struct arrow_job_nic *)p;
	job->network.addresses = (struct arrow_job_address *)(p + nics);
	job->network.routes = (struct arrow_job_route *)(p + nics + addresses);
	return 0;
}

static const char *job_take_records(uint8_t *data, size_t size, struct job *job)
{
	struct counts done = {0};
	struct arrow_record record;
	const char *why;

	for (size_t at = 0; at < size;) {
		uint8_t *previous_end = data + at;

		why = arrow_record_next(data, size, &at, &record);
		if (why)
			return why;
		*previous_end = '\0';
		why = job_take_record(job, &record, (char *)data + at - record.length, &done);
		if (why)
			return why;
	}
	data[size] = '\0';
	return NULL;
}

static int job_decode_as(
	uint8_t *data, size_t size, enum kind kind, struct job *job, const char **why)
{
	struct counts counts = {0};

	*why = job_count_records(data, size, kind, &counts);
	if (*why)
		return -EINVAL;
	if (job_make_arena(job, &counts) < 0) {
		*why = "there is no memory for it; give the Arrow more";
		return -ENOMEM;
	}
	*why = job_take_records(data, size, job);
	if (!*why && kind == KIND_JOB && !job->root)
		*why = "it has no root";
	if (*why) {
		job_release(job);
		return -EINVAL;
	}
	if (job->flags & ARROW_JOB_PRIVILEGED)
		job->caps = UINT64_MAX;
	return 0;
}

int job_decode(uint8_t *data, size_t size, struct job *job, const char **why)
{
	static char root_dir[] = "/", nobody_named[] = "";

	*job = (struct job){.cwd = root_dir, .user = nobody_named, .caps = DEFAULT_CAPS};
	return job_decode_as(data, size, KIND_JOB, job, why);
}

int job_decode_network(uint8_t *data, size_t size, struct job *job, const char **why)
{
	*job = (struct job){0};
	return job_decode_as(data, size, KIND_NETWORK, job, why);
}

int job_decode_exec(uint8_t *data, size_t size, struct job *job, const char **why)
{
	*job = (struct job){0};
	return job_decode_as(data, size, KIND_EXEC, job, why);
}

int job_decode_identity(uint8_t *data, size_t size, struct job *job, const char **why)
{
	*job = (struct job){0};
	return job_decode_as(data, size, KIND_IDENTITY, job, why);
}

static bool job_sets_variable(char **env, const char *pair)
{
	size_t name = strcspn(pair, "=") + 1;

	for (; *env; env++) {
		if (strncmp(*env, pair, name) == 0)
			return true;
	}
	return false;
}

char **job_merge_env(char **program, char **own)
{
	size_t count = 0, kept = 0;
	char **env;

	while (program[count])
		count++;
	for (char **e = own; *e; e++)
		count++;
	env = calloc(count + 1, sizeof(*env));
	if (!env)
		return NULL;
	for (char **e = program; *e; e++) {
		if (!job_sets_variable(own, *e))
			env[kept++] = *e;
	}
	/* Of two of one name the later counts. */
	for (char **e = own; *e; e++) {
		if (!job_sets_variable(e + 1, *e))
			env[kept++] = *e;
	}
	return env;
}

bool job_outlives(const struct job *job)
{
	for (size_t i = 0; i < job->mount_count; i++)
		if (job->mounts[i].kind != ARROW_MOUNT_TMPFS)
			return true;
	return job->caps & CAP_SYS_ADMIN;
}

void job_release(struct job *job)
{
	free(job->arena);
	*job = (struct job){0};
}
