/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_VM_H
#define ARROW_CORE_KEEPER_VM_H

/* The VM of a keeper: a clone of a template, or a cold one; its limits, its console, its end. */

#include <poll.h>

#include "core/keeper/state.h"

/* Starts the VM: a clone where there is a template, else a cold one. */
int vm_start(struct keeper *k, struct arrow_error *error) ARROW_MUST_CHECK;

/* Begins to hand out the job, with the limits, the seed and the clock of this moment. */
void vm_hand_out(struct keeper *k, uint32_t deadline_ms);

/*
 * Leaves the VM, and those that follow it, with so many bytes of its memory.
 * Errors: -EBUSY (it was started with less, or is being saved), -ENOTSUP (its engine cannot).
 */
int vm_set_memory(struct keeper *k, uint64_t bytes, struct arrow_error *error) ARROW_MUST_CHECK;

/* Takes over the limits of a spec, for this VM and those that follow it. */
int vm_set_limits(struct keeper *k, const struct arrow_spec *limits,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Takes in what the engine's descriptors have, p[0..ARROW_VM_FDS). Returns ARROW_VM_ENDED once. */
enum arrow_vm_event vm_take_events(struct keeper *k, const struct pollfd *p);

/* Takes in kernel messages. */
void vm_take_console(struct keeper *k);

/* Gives its volumes to who waits for them, when it is time, and notes whether others use them. */
void vm_share_volumes(struct keeper *k);

/*
 * The server of its volumes has ended, perhaps: says so to the commands, or fails the start. What
 * the guest asks of it gets errors from the engine.
 */
void vm_take_server_end(struct keeper *k);

/* Asks the VM whether it lives, at intervals, and ends it if it does not answer. */
void vm_check(struct keeper *k);

/*
 * A clone that ends or hangs before its program has started: its template is set aside, and a cold
 * VM takes over. The client knows nothing of either yet.
 * Returns false if that cannot be done.
 */
bool vm_fall_back(struct keeper *k, const char *why);

/* The VM ended without DONE: ends the run, and says why as well as can be known. */
void vm_explain_end(struct keeper *k);

/* Ends the VM, and takes down what was set up for it. */
void vm_end(struct keeper *k);

#endif
