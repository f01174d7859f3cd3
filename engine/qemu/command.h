/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_COMMAND_H
#define ARROW_ENGINE_QEMU_COMMAND_H

#include <stddef.h>

#include "engine/engine.h"
#include "engine/qemu/program.h"

/* A command line in the making. */
struct qemu_command {
	char **argv; /* NULL-terminated, owned */
	size_t count;
	size_t room;
	int failed; /* 0, or the negative errno of the first failure */
};

/* What is between the engine and its QEMU only. */
struct qemu_ends {
	int qmp_fd;
	int blocks_fd; /* translated blocks (blocks.h), or -1 */
	bool forks;    /* it is going to be paused and forked (zygote.h) */
};

/*
 * Builds the command line of a QEMU for a VM: -M microvm with only the devices that
 * the configuration needs. Descriptors are named by number, so the process that runs it must
 * inherit them. Returns 0 or -ENOMEM.
 */
int qemu_command_build(struct qemu_command *command, const struct qemu_program *program,
	const struct arrow_vm_config *config, const struct qemu_ends *ends) ARROW_MUST_CHECK;

/* The descriptor that a VM of this configuration is loaded from, or -1. */
int qemu_incoming_fd(const struct arrow_vm_config *config);

void qemu_command_release(struct qemu_command *command);

/* All that is in its environment: nothing of the caller's, which may hold secrets. */
extern char *const qemu_environment[];

#endif
