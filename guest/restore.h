/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_RESTORE_H
#define ARROW_GUEST_RESTORE_H

#include "guest/loader.h"

/* Asks the host for the time; the answer may come while other work is done. */
void clock_ask(struct loader *loader);

/* The answer has come. */
void clock_answer(struct loader *loader, const struct arrow_time *time);

/* Waits for the answer, for a while. Returns 0 or a negative errno of the channel. */
int clock_wait(struct loader *loader);

/* SAVE: returns when the VM goes on, be it this one or one that was restored. */
void save_hold(struct loader *loader);

/*
 * RESTORE: the records have come, so the Arrow becomes the one that they describe. Returns 0 or a
 * negative errno, with the failure.
 */
int restore_begin(struct loader *loader, struct failure *failure);

#endif
