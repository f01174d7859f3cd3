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

#define RECORD_HEADER 8u
#define LAST_TAG ARROW_JOB_PIDS_MAX
#define SIGNAL_MAX 64u
#define NICS_MAX 8u /* cards of an Arrow */

struct counts {
	size_t of[LAST_TAG + 1];
};

struct record {
	uint32_t tag;
	uint32_t length;
	uint8_t *value;
};

/* How long a record of this tag may be, and whether it repeats. A string has size 0. */
struct rule {
	uint32_t size;
	bool repeats;
};

static const struct rule rules[LAST_TAG + 1] = {
	[ARROW_JOB_FLAGS] = {4, false},
	[ARROW_JOB_ARG] = {0, true},
	[ARROW_JOB_ENV] = {0, true},
	[ARROW_JOB_CWD] = {0, false},
	[ARROW_JOB_USER] = {0, false},
	[ARROW_JOB_HOSTNAME] = {0, false},
	[ARROW_JOB_HOSTS] = {0, true},
	[ARROW_JOB_RESOLV] = {0, false},
	[ARROW_JOB_MOUNT] = {0, true},
	[ARROW_JOB_RLIMIT] = {24, true},
	[ARROW_JOB_CAPS] = {8, false},
	[ARROW_JOB_SYSCTL] = {0, true},
	[ARROW_JOB_SEED] = {32, false},
	[ARROW_JOB_CLOCK] = {12, false},
	[ARROW_JOB_WINSIZE] = {4, false},
	[ARROW_JOB_SHM_SIZE] = {8, false},
	[ARROW_JOB_MACHINE_ID] = {16, false},
	[ARROW_JOB_CPU_MAX] = {4, false},
	[ARROW_JOB_NIC] = {sizeof(struct arrow_job_nic), true},
	[ARROW_JOB_ADDRESS] = {sizeof(struct arrow_job_address), true},
	[ARROW_JOB_ROUTE] = {sizeof(struct arrow_job_route), true},
	[ARROW_JOB_ID] = {0, false},
	[ARROW_JOB_NAME] = {0, false},
	[ARROW_JOB_RESTORE_SIGNAL] = {4, false},
	[ARROW_JOB_PIDS_MAX] = {4, false},
};

/* Takes the record at *at. Returns NULL, or what is wrong with it. */
static const char *next_record(uint8_t *data, size_t size, size_t *at, struct record *record)
{
	size_t left = size - *at;
	uint32_t want;

	if (left < RECORD_HEADER)
		return "a record is cut off";
	record->tag = arrow_get32(data + *at);
	record->length = arrow_get32(data + *at + 4);
	record->value = data + *at + RECORD_HEADER;
	if (record->length > left - RECORD_HEADER)
		return "a record is longer than the job";
	if (record->tag == 0 || record->tag > LAST_TAG)
		return "a record has an unknown tag; the host is newer than the loader";

	want = rules[record->tag].size;
	if (want != 0 && record->length != want)
		return "a record has the wrong length";
	if (want == 0 && record->tag != ARROW_JOB_MOUNT &&
		memchr(record->value, '\0', record->length))
		return "a string holds a NUL";
	*at += RECORD_HEADER + record->length;
	return NULL;
}

static bool of_process(uint32_t tag)
{
	return tag == ARROW_JOB_FLAGS || tag == ARROW_JOB_ARG || tag == ARROW_JOB_ENV ||
	       tag == ARROW_JOB_CWD || tag == ARROW_JOB_USER || tag == ARROW_JOB_CAPS ||
	       tag == ARROW_JOB_WINSIZE;
}

static bool of_network(uint32_t tag)
{
	return tag == ARROW_JOB_NIC || tag == ARROW_JOB_ADDRESS || tag == ARROW_JOB_ROUTE ||
	       tag == ARROW_JOB_HOSTS || tag == ARROW_JOB_RESOLV;
}

/*
 * What the records are: a job, of a process beside the program, who a restored Arrow is now, which
 * networks an Arrow is on now.
 */
enum kind { KIND_JOB, KIND_EXEC, KIND_IDENTITY, KIND_NETWORK };

static const char *count_records(uint8_t *data, size_t size, enum kind kind, struct counts *counts)
{
	struct record record;
	const char *why;

	for (size_t at = 0; at < size;) {
		why = next_record(data, size, &at, &record);
		if (why)
			return why;
		if (kind == KIND_EXEC && !of_process(record.tag))
			return "a record tells of the Arrow, not of a process";
		if (kind == KIND_NETWORK && !of_network(record.tag))
			return "a record does not tell of networks";
		counts->of[record.tag]++;
		if (counts->of[record.tag] > 1 && !rules[record.tag].repeats)
			return "a record that may come once comes twice";
	}
	if (kind == KIND_NETWORK)
		return NULL;
	if (kind == KIND_IDENTITY && counts->of[ARROW_JOB_ARG] + counts->of[ARROW_JOB_MOUNT] > 0)
		return "it brings a program or a mount";
	if (kind != KIND_IDENTITY && counts->of[ARROW_JOB_ARG] == 0)
		return "it names no program";
	/* Without it, clones of one template would share their random numbers. */
	if (kind != KIND_EXEC && counts->of[ARROW_JOB_SEED] == 0)
		return "it has no seed";
	return NULL;
}

/* Splits "source NUL target NUL options", the last of which may be left out. */
static const char *take_mount(struct job *job, const struct record *record)
{
	struct job_mount mount = {.options = (char *)record->value + record->length};
	char *text = (char *)record->value + sizeof(struct arrow_job_mount);
	char *end = mount.options, *nul;

	if (record->length < sizeof(struct arrow_job_mount))
		return "a mount is cut off";
	mount.kind = arrow_get32(record->value);
	mount.flags = arrow_get32(record->value + 4);
	mount.source = text;
	nul = memchr(text, '\0', (size_t)(end - text));
	if (nul) {
		mount.target = nul + 1;
		nul = memchr(mount.target, '\0', (size_t)(end - mount.target));
		if (nul)
			mount.options = nul + 1;
	}
	if (memchr(mount.options, '\0', (size_t)(end - mount.options)))
		return "a mount has too many parts";

	switch ((enum arrow_mount_kind)mount.kind) {
	case ARROW_MOUNT_ROOT:
		if (job->root)
			return "it has two roots";
		if (text == end || *text == '\0' ||
			memchr(text, '/', strnlen(text, (size_t)(end - text))))
			return "its root is not the name of a block device";
		job->root = text;
		job->root_uniform = mount.flags & ARROW_ROOT_UNIFORM;
		return NULL;
	case ARROW_MOUNT_9P:
	case ARROW_MOUNT_9P_FILE:
		if (text == end || *text == '\0')
			return "a volume has no tag";
		break;
	case ARROW_MOUNT_TMPFS:
		break;
	default:
		return "a mount is of an unknown kind; the host is newer than the loader";
	}
	if (!mount.target || mount.target == end || *mount.target != '/')
		return "the target of a mount is not an absolute path";
	job->mounts[job->mount_count++] = mount;
	return NULL;
}

static const char *check_prefix(uint32_t index, uint8_t family, uint8_t prefix)
{
	if (index >= NICS_MAX)
		return "it has too many network cards";
	if ((family != 4 && family != 6) || prefix > (family == 4 ? 32 : 128))
		return "an address or a route is of an unknown kind";
	return NULL;
}

/* The records of the network. */
static const char *take_network(struct job *job, const struct record *record)
{
	struct job_network *network = &job->network;
	struct arrow_job_address *a;
	struct arrow_job_route *r;

	switch (record->tag) {
	case ARROW_JOB_NIC:
		memcpy(&network->nics[network->nic_count], record->value, record->length);
		return network->nics[network->nic_count++].index < NICS_MAX
			       ? NULL
			       : "it has too many network cards";
	case ARROW_JOB_ADDRESS:
		a = &network->addresses[network->address_count++];
		memcpy(a, record->value, record->length);
		return check_prefix(a->index, a->family, a->prefix);
	default:
		r = &network->routes[network->route_count++];
		memcpy(r, record->value, record->length);
		return check_prefix(r->index, r->family, r->prefix);
	}
}

/* The place in its array of the next string of a tag that repeats. */
static void push(char **list, size_t *count, const struct record *record)
{
	list[(*count)++] = (char *)record->value;
}

static const char *take_record(struct job *job, const struct record *record, struct counts *done)
{
	char *text = (char *)record->value;
	size_t *count = &done->of[record->tag];

	switch ((enum arrow_job_tag)record->tag) {
	case ARROW_JOB_FLAGS:
		job->flags = arrow_get32(text);
		break;
	case ARROW_JOB_ARG:
		push(job->argv, count, record);
		break;
	case ARROW_JOB_ENV:
		if (!memchr(text, '=', record->length) || *text == '=')
			return "a variable of the environment is not NAME=VALUE";
		push(job->env, count, record);
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
		push(job->hosts, count, record);
		break;
	case ARROW_JOB_RESOLV:
		job->resolv = text;
		break;
	case ARROW_JOB_MOUNT:
		return take_mount(job, record);
	case ARROW_JOB_RLIMIT:
		job->rlimits[job->rlimit_count++] = (struct job_rlimit){
			.resource = (int)arrow_get32(text),
			.soft = arrow_get64(text + 8),
			.hard = arrow_get64(text + 16),
		};
		break;
	case ARROW_JOB_CAPS:
		job->caps = arrow_get64(text);
		job->has_caps = true;
		break;
	case ARROW_JOB_SYSCTL:
		push(job->sysctls, count, record);
		break;
	case ARROW_JOB_SEED:
		memcpy(job->seed, text, sizeof(job->seed));
		break;
	case ARROW_JOB_CLOCK:
		job->clock_seconds = arrow_get64(text);
		job->clock_nanoseconds = arrow_get32(text + 8);
		if (job->clock_seconds > INT64_MAX || job->clock_nanoseconds >= 1000000000u)
			return "its clock is not a time";
		break;
	case ARROW_JOB_WINSIZE:
		job->rows = arrow_get16(text);
		job->columns = arrow_get16(text + 2);
		break;
	case ARROW_JOB_SHM_SIZE:
		job->shm_size = arrow_get64(text);
		break;
	case ARROW_JOB_MACHINE_ID:
		memcpy(job->machine_id, text, sizeof(job->machine_id));
		job->has_machine_id = true;
		break;
	case ARROW_JOB_CPU_MAX:
		job->cpu_max = arrow_get32(text);
		if (job->cpu_max == 0 || job->cpu_max > 1000000u)
			return "its share of CPUs is out of range";
		break;
	case ARROW_JOB_NIC:
	case ARROW_JOB_ADDRESS:
	case ARROW_JOB_ROUTE:
		return take_network(job, record);
	case ARROW_JOB_ID:
		job->id = text;
		break;
	case ARROW_JOB_NAME:
		job->name = text;
		break;
	case ARROW_JOB_RESTORE_SIGNAL:
		job->restore_signal = arrow_get32(text);
		if (job->restore_signal > SIGNAL_MAX)
			return "its signal is out of range";
		break;
	case ARROW_JOB_PIDS_MAX:
		job->pids_max = arrow_get32(text);
		if (job->pids_max == 0)
			return "it may have no processes";
		break;
	}
	return NULL;
}

/* Gives the job its arrays, in one piece of memory. */
static int make_arena(struct job *job, const struct counts *counts)
{
	size_t mounts = counts->of[ARROW_JOB_MOUNT] * sizeof(*job->mounts);
	size_t rlimits = counts->of[ARROW_JOB_RLIMIT] * sizeof(*job->rlimits);
	size_t strings = counts->of[ARROW_JOB_ARG] + counts->of[ARROW_JOB_ENV] +
			 counts->of[ARROW_JOB_HOSTS] + counts->of[ARROW_JOB_SYSCTL] + 4;
	size_t nics = counts->of[ARROW_JOB_NIC] * sizeof(*job->network.nics);
	size_t addresses = counts->of[ARROW_JOB_ADDRESS] * sizeof(*job->network.addresses);
	size_t routes = counts->of[ARROW_JOB_ROUTE] * sizeof(*job->network.routes);
	char *p =
		calloc(1, mounts + rlimits + strings * sizeof(char *) + nics + addresses + routes);

	if (!p)
		return -ENOMEM;
	job->arena = p;
	job->mounts = (struct job_mount *)p;
	job->rlimits = (struct job_rlimit *)(p + mounts);
	job->argv = (char **)(p + mounts + rlimits);
	job->env = job->argv + counts->of[ARROW_JOB_ARG] + 1;
	job->hosts = job->env + counts->of[ARROW_JOB_ENV] + 1;
	job->sysctls = job->hosts + counts->of[ARROW_JOB_HOSTS] + 1;
	p += mounts + rlimits + strings * sizeof(char *);
	job->network.nics = (struct arrow_job_nic *)p;
	job->network.addresses = (struct arrow_job_address *)(p + nics);
	job->network.routes = (struct arrow_job_route *)(p + nics + addresses);
	return 0;
}

static const char *take_records(uint8_t *data, size_t size, struct job *job)
{
	struct counts done = {0};
	struct record record;
	const char *why;

	for (size_t at = 0; at < size;) {
		uint8_t *previous_end = data + at;

		why = next_record(data, size, &at, &record);
		if (why)
			return why;
		*previous_end = '\0';
		why = take_record(job, &record, &done);
		if (why)
			return why;
	}
	data[size] = '\0';
	return NULL;
}

static int decode(uint8_t *data, size_t size, enum kind kind, struct job *job, const char **why)
{
	struct counts counts = {0};

	*why = count_records(data, size, kind, &counts);
	if (*why)
		return -EINVAL;
	if (make_arena(job, &counts) < 0) {
		*why = "there is no memory for it; give the Arrow more";
		return -ENOMEM;
	}
	*why = take_records(data, size, job);
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
	return decode(data, size, KIND_JOB, job, why);
}

int job_decode_network(uint8_t *data, size_t size, struct job *job, const char **why)
{
	*job = (struct job){0};
	return decode(data, size, KIND_NETWORK, job, why);
}

int job_decode_exec(uint8_t *data, size_t size, struct job *job, const char **why)
{
	*job = (struct job){0};
	return decode(data, size, KIND_EXEC, job, why);
}

int job_decode_identity(uint8_t *data, size_t size, struct job *job, const char **why)
{
	*job = (struct job){0};
	return decode(data, size, KIND_IDENTITY, job, why);
}

static bool sets(char **env, const char *pair)
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
		if (!sets(own, *e))
			env[kept++] = *e;
	}
	/* Of two of one name the later counts. */
	for (char **e = own; *e; e++) {
		if (!sets(e + 1, *e))
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
