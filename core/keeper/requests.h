/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_REQUESTS_H
#define ARROW_CORE_KEEPER_REQUESTS_H

/*
 * What commands ask of a keeper, by frames on its control socket (docs/protocol.md). A frame that
 * is passed on to the guest waits while that has no room, and so do those behind it of the same
 * command; every other request is done at once, whatever state the guest is in.
 */

#include "core/keeper/state.h"

/*
 * Takes the whole frames that came from a command.
 * Returns false if one is left, which waits for room in the guest's channel.
 */
bool requests_take(struct keeper *k, struct peer *peer);

#endif
