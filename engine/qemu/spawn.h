/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_SPAWN_H
#define ARROW_ENGINE_QEMU_SPAWN_H

/* QEMU's process, in its jail. */

#include <sys/types.h>

#include "engine/engine.h"

/* What it is made of; all is borrowed. */
struct qemu_process {
	const struct arrow_vm_config *config;
	const char *program;
	char **argv;
	int qmp_fd, stderr_fd; /* its ends */
	int blocks_fd;         /* or -1 */
	int jail_fd;           /* of one that maps memory private: see engine/jail.h */
};

/* Whether it maps a file as its memory that it must not change. */
bool qemu_maps_private(const struct arrow_vm_config *config);

/*
 * Forks it. It enters the jail, executes QEMU, and ends with this process. Returns the process id
 * or a negative errno.
 */
pid_t qemu_spawn(const struct qemu_process *process) ARROW_MUST_CHECK;

#endif
