/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_LIMIT_OPTIONS_H
#define ARROW_CLI_LIMIT_OPTIONS_H

#include <stdint.h>

/* Options of arrow run, create and update: what can be changed later, too. */

enum {
	LIMIT_MEMORY_SWAP = 0x4c00,
	LIMIT_CPUSET,
	LIMIT_PIDS,
	LIMIT_BLKIO_WEIGHT,
	LIMIT_RESTART,
	LIMIT_CPU_PERIOD,
	LIMIT_CPU_QUOTA,
};

/* What --cpu-period and --cpu-quota say, which make up --cpus together. */
struct limit_cpu_time {
	uint32_t period, quota; /* microseconds; 0: not given */
};

/* clang-format off */
#define LIMIT_OPTIONS \
	{"memory-swap", LIMIT_MEMORY_SWAP, "SIZE", 0, "Limit of memory plus swap on the host; -1 for unlimited swap", 0}, \
	{"cpu-shares", 'c', "N", 0, "Relative CPU weight on the host", 0}, \
	{"cpu-quota", LIMIT_CPU_QUOTA, "US", 0, "CPU time in each period, in microseconds; another way to say --cpus", 0}, \
	{"cpu-period", LIMIT_CPU_PERIOD, "US", 0, "Period of --cpu-quota, in microseconds (100000)", 0}, \
	{"cpuset-cpus", LIMIT_CPUSET, "LIST", 0, "CPUs of the host to run on, as in 0-2,5", 0}, \
	{"pids-limit", LIMIT_PIDS, "N", 0, "Maximum number of processes and threads; -1 for unlimited", 0}, \
	{"blkio-weight", LIMIT_BLKIO_WEIGHT, "N", 0, "Relative I/O weight on the host, 10 to 1000", 0}

#define LIMIT_RESTART_OPTION \
	{"restart", LIMIT_RESTART, "POLICY", 0, "Restart policy: no, on-failure[:N], always, unless-stopped", 0}
/* clang-format on */

#endif
