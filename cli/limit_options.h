/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_LIMIT_OPTIONS_H
#define ARROW_CLI_LIMIT_OPTIONS_H

/* Options of arrow run, create and update: what can be changed later, too. */

enum {
	LIMIT_MEMORY_SWAP = 0x4c00,
	LIMIT_CPUSET,
	LIMIT_PIDS,
	LIMIT_BLKIO_WEIGHT,
	LIMIT_RESTART,
};

/* clang-format off */
#define LIMIT_OPTIONS \
	{"memory-swap", LIMIT_MEMORY_SWAP, "SIZE", 0, "Limit of memory plus swap on the host; -1 for unlimited swap", 0}, \
	{"cpu-shares", 'c', "N", 0, "Relative CPU weight on the host", 0}, \
	{"cpuset-cpus", LIMIT_CPUSET, "LIST", 0, "CPUs of the host to run on, as in 0-2,5", 0}, \
	{"pids-limit", LIMIT_PIDS, "N", 0, "Maximum number of processes and threads; -1 for unlimited", 0}, \
	{"blkio-weight", LIMIT_BLKIO_WEIGHT, "N", 0, "Relative I/O weight on the host, 10 to 1000", 0}

#define LIMIT_RESTART_OPTION \
	{"restart", LIMIT_RESTART, "POLICY", 0, "Restart policy: no, on-failure[:N], always, unless-stopped", 0}
/* clang-format on */

#endif
