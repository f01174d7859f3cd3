/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_RUNS_H
#define ARROW_CORE_KEEPER_RUNS_H

/* The runs of a keeper's Arrow: each has a VM of its own. The restart policy says whether there is
 * another one. */

#include "core/keeper/state.h"

/* Starts a run, the first or the next. A failure ends it (keeper_fail()). */
void runs_start(struct keeper *k);

/*
 * The run is over, phase OVER: takes its VM down and tells how it ended. Returns whether there is
 * to be another one: then the phase is WAITING until deadlines.phase.
 */
bool runs_end(struct keeper *k);

/* Ends what takes too long, while there is a VM. */
void runs_check_deadlines(struct keeper *k);

/* For `arrow events`: the Arrow has ended because a command asked for it, which waits for that. */
void runs_tell_stop(const struct keeper *k);

/*
 * Tells the commands how the run ended, and lets them go.
 *   again: another one follows, so those that asked for it stay
 */
void runs_tell_end(struct keeper *k, bool again);

#endif
