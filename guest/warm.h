/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_WARM_H
#define ARROW_GUEST_WARM_H

#include "guest/stage.h"

/*
 * Has a copy of the loader do a job. Returns 1 in the copy, 0 in the loader once the copy has
 * ended, or a negative errno in either.
 */
int warm_rehearse(struct stage *stage);

#endif
