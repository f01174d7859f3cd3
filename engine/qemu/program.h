/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_PROGRAM_H
#define ARROW_ENGINE_QEMU_PROGRAM_H

#include <stdbool.h>

#include "engine/engine.h"
#include "util/error.h"

#define QEMU_BINARY "qemu-system-x86_64"
#define QEMU_PACKAGE "qemu-system-x86"

/*
 * Which QEMU runs the VMs: the one of the settings, else Arrow's own where `make hypervisor` built
 * one, else Debian's, in PATH.
 */
struct qemu_program {
	char *path;     /* owned */
	char *firmware; /* directory with its firmware, for -L, or NULL: it knows; owned */
	bool own;       /* Arrow's, with the patches of hypervisor/ */
};

/* Errors: -ENOENT with what to install. */
int qemu_program_find(struct qemu_program *program, const struct arrow_engine_settings *settings,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Whether it can keep what it translates of this VM's code: Arrow's own can, under TCG. */
bool qemu_keeps_code(const struct qemu_program *program, const struct arrow_vm_config *config);

/*
 * Whether this VM is a clone of a template that translated code is kept with, so that the first
 * clone may prepare it for the next ones (blocks.h, zygote.h).
 */
bool qemu_warms_template(const struct qemu_program *program, const struct arrow_vm_config *config);

/*
 * That program, then the files that it opens by itself: firmware, and the module that Debian's TCG
 * is in. NULL-terminated; owned by the caller. Errors: as above.
 */
int qemu_program_files(const struct arrow_engine_settings *settings, char ***files,
	struct arrow_error *error) ARROW_MUST_CHECK;

void qemu_program_release(struct qemu_program *program);

static inline void qemu_program_releasep(struct qemu_program *program)
{
	qemu_program_release(program);
}

#define _cleanup_qemu_program_ __attribute__((cleanup(qemu_program_releasep)))

#endif
