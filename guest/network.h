/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_NETWORK_H
#define ARROW_GUEST_NETWORK_H

#include "guest/failure.h"
#include "guest/job.h"
#include "guest/stage.h"

/* Takes the spare card away, so that no program sees it; before network_prepare(). */
void network_hide_spare(struct stage *stage);

/* What no job changes, so that it is done in the template. */
void network_prepare(const struct stage *stage);

/* The job's MACs, addresses and routes. Returns 0 or a negative errno, with the failure. */
int network_configure(const struct stage *stage, const struct job *job, struct failure *failure);

/* The same in a restored Arrow, in place of what the saved one had. */
int network_renew(const struct stage *stage, const struct job *job, struct failure *failure);

#endif
