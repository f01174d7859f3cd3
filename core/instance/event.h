/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_EVENT_H
#define ARROW_CORE_INSTANCE_EVENT_H

/* Tells `arrow events` what happens to an Arrow (util/event.h). */

#include <jansson.h>

#include "core/instance/instance.h"

/*
 * Tells of an Arrow, with its name, image and labels as they are now.
 *   more: further attributes, stolen; or NULL
 */
void arrow_event(const struct arrow_instance *instance, const char *action, json_t *more);

/* The same with one number as attribute. */
void arrow_event_number(
	const struct arrow_instance *instance, const char *action, const char *key, long long n);

#endif
