/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_NETWORKS_H
#define ARROW_CORE_KEEPER_NETWORKS_H

/* Networks of an Arrow that runs: `arrow network connect` and `disconnect`. */

#include "core/keeper/state.h"

/*
 * Puts the Arrow on the networks of its config.json and takes it off all others.
 *   records: gets what the guest has to be told, for the loader's worker `network`; empty without a
 *            program. Owned by the caller, also after a failure
 * Errors: -EAGAIN (the Arrow starts, ends or is being saved), as of net_connect(). What was changed
 * before a failure stays.
 */
int networks_change(
	struct keeper *k, struct arrow_job *records, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
