/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_JOB_H
#define ARROW_GUEST_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/record.h"

/* What the loader is to do: a job, decoded. All pointers lead into the job's bytes or `arena`. */

struct job_network {
	struct arrow_job_nic *nics;
	struct arrow_job_address *addresses;
	struct arrow_job_route *routes;
	size_t nic_count, address_count, route_count;
};

struct job {
	char **argv; /* NULL-terminated, as env, hosts, sysctls and groups are */
	char **env;
	char **hosts;
	char **sysctls;
	char **groups;  /* of its processes, beside those of the user */
	char *cwd;      /* "/" when the job names none; NULL when an EXEC does */
	char *user;     /* "" for root; NULL when an EXEC names none */
	char *hostname; /* these two NULL when the job names none */
	char *resolv;
	const char *root;               /* block device of the root, without /dev */
	const char *root_options;       /* mode, owner and group of "/"; "" for 0755 of root */
	struct arrow_job_mount *mounts; /* without the root */
	size_t mount_count;
	struct arrow_job_rlimit *rlimits;
	size_t rlimit_count;
	struct job_network network;
	uint64_t caps;
	uint64_t shm_size; /* 0: as the loader has it */
	uint32_t flags;    /* enum arrow_job_flags */
	uint32_t cpu_max;  /* thousandths of a CPU; 0: no limit below the vCPUs */
	uint32_t pids_max; /* 0: no limit */
	uint8_t seed[32];
	uint8_t machine_id[16];
	struct arrow_job_clock clock; /* 0 seconds: leave the clock alone */
	struct arrow_job_winsize window;
	uint32_t restore_signal; /* 0: none */
	bool root_uniform, has_machine_id;
	bool has_caps;         /* CAPS was there */
	const char *id, *name; /* NULL when the job names none */
	void *arena;
};

/*
 * Decodes the records in data[0..size). data[size] must be writable: the strings get their NULs in
 * place. Returns 0 and a job that job_release() frees, or a negative errno (-EINVAL, -ENOMEM)
 * with *why naming what is wrong (a constant).
 */
int job_decode(uint8_t *data, size_t size, struct job *job, const char **why)
	__attribute__((warn_unused_result));

/*
 * The same for the records of an EXEC, which are those of a job that tell of a process: FLAGS,
 * ARG, ENV, CWD, USER, CAPS and WINSIZE.
 */
int job_decode_exec(uint8_t *data, size_t size, struct job *job, const char **why)
	__attribute__((warn_unused_result));

/* The same for the records of the network alone. */
int job_decode_network(uint8_t *data, size_t size, struct job *job, const char **why);

/*
 * The environment of a process beside the program: the program's, with the own variables in place
 * of those of the same name, and behind them. Returns a list that the caller frees, of strings
 * that stay with the two; or NULL when out of memory.
 */
char **job_merge_env(char **program, char **own) __attribute__((warn_unused_result));

/*
 * The same for the new identity of a restored Arrow: records of a job without program and mounts.
 */
int job_decode_identity(uint8_t *data, size_t size, struct job *job, const char **why)
	__attribute__((warn_unused_result));

/*
 * Whether what its processes write may outlive the VM: there are volumes, or they may mount what is
 * none of the loader's.
 */
bool job_outlives(const struct job *job);

void job_release(struct job *job);

#endif
