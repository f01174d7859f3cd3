/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_SNAPSHOT_H
#define ARROW_CORE_KEEPER_SNAPSHOT_H

/*
 * What a keeper does to a VM that runs: pause it, let it go on, and write it whole for `arrow
 * save`. Nothing here waits: each step begins where the guest or the engine has done the one
 * before.
 *
 *   SNAPSHOT_HOLD    the loader was asked to hold still, and has not said SAVED
 *   SNAPSHOT_PAUSE   the engine was asked to stop the processors
 *   SNAPSHOT_WRITE   it writes the VM
 *
 * No frame of a command goes to the guest meanwhile. Each request is answered once it is done.
 */

#include "core/keeper/state.h"

/* Pauses the VM, or lets it go on. */
void snapshot_pause(struct keeper *k, struct peer *peer, bool pause);

/*
 * Writes the VM to a file that is there.
 *   stay: it stays paused afterwards
 */
void snapshot_save(struct keeper *k, struct peer *peer, const char *path, bool stay);

/* The loader said SAVED. Returns false if it was not told to hold still. */
bool snapshot_saved(struct keeper *k, const struct arrow_saved_frame *saved);

/* Takes the next step, when its time has come. */
void snapshot_step(struct keeper *k);

/* A VM that is paused, or about to be saved, goes on: a signal is to reach its program. */
void snapshot_cancel(struct keeper *k);

/* A command is gone: it gets no answer. */
void snapshot_forget_peer(struct keeper *k, const struct peer *peer);

#endif
