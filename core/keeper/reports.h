/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_REPORTS_H
#define ARROW_CORE_KEEPER_REPORTS_H

/* What a keeper's guest reports: its frames are checked and acted upon, and they move the phase. */

#include "core/keeper/state.h"

/* Takes the whole frames that came from the guest. Returns whether there were any. */
bool reports_take(struct keeper *k);

#endif
