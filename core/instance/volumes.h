/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_INSTANCE_VOLUMES_H
#define ARROW_CORE_INSTANCE_VOLUMES_H

/*
 * Which volumes Arrows use. The configs of Arrows say so, whether they run or not: who starts to
 * use a volume holds its lock (volume/volume.h) until the config is written.
 */

#include <jansson.h>

#include "core/spec/spec.h"

/*
 * An object that has, by the name of each volume that is used, an array of the ids of Arrows. Owned
 * by the caller.
 * Errors: a data directory that cannot be read, -EBADMSG (an Arrow whose config is damaged).
 */
int arrow_volume_users(
	const char *data, json_t **users, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes a volume that no Arrow uses. Takes the lock.
 * Errors: -ENOENT, -EBUSY.
 */
int arrow_volume_remove(
	const char *data, const char *name, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes the volumes without a name of a spec that no other Arrow uses: that of an Arrow which is
 * gone, or which never came to be. What fails is left to `arrow volume prune`.
 *   wait: for the lock; otherwise nothing is removed while somebody has it
 */
void arrow_volumes_drop(const char *data, const struct arrow_spec *spec, bool wait);

#endif
