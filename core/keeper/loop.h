/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_LOOP_H
#define ARROW_CORE_KEEPER_LOOP_H

#include "core/keeper/state.h"

/*
 * One turn of the keeper's loop, in any phase but OVER: waits until something happens, and takes it
 * in. For keeper_main(), and for tests.
 */
void keeper_turn(struct keeper *k);

#endif
