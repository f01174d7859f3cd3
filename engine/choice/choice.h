/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_CHOICE_CHOICE_H
#define ARROW_ENGINE_CHOICE_CHOICE_H

/* Which engines there are, and which one runs VMs on this host. */

#include "engine/engine.h"
#include "engine/kvm/probe.h"

/* NULL-terminated, in order of preference. */
extern const struct arrow_engine *const arrow_engines[];

/*
 * Engines run helpers of their own by executing this program with another argv[0]. Returns the
 * exit status of the helper that argv[0] names, or -1 if it names none.
 */
int arrow_engine_helper(int argc, char **argv);

struct arrow_engine_choice {
	const struct arrow_engine *engine;
	const struct arrow_engine_mode *mode;
	const struct arrow_engine_settings *settings; /* borrowed, for calls of the engine */
	struct arrow_kvm_verdict kvm;                 /* why that mode */
	uint32_t tsc_khz; /* rate of the guest's TSC in kHz; 0 where it is not constant */
};

/*
 * Chooses an engine and its mode: those that are named ("qemu", "qemu:kvm", "qemu:tcg"), or for
 * NULL the first engine; of the modes the first that works here.
 *   settings:  kept in the choice
 *   cache_dir: as for arrow_kvm_probe()
 * Errors: -EINVAL (no such engine or mode), -ENODEV (the named mode needs KVM, which cannot be
 * used).
 */
int arrow_engine_choose(struct arrow_engine_choice *choice, const char *name,
	const struct arrow_engine_settings *settings, const char *cache_dir,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
