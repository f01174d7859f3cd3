/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_EVENT_H
#define ARROW_UTIL_EVENT_H

/*
 * What happens to Arrows, images, networks and volumes, for `arrow events`: one JSON object a line,
 * as Docker has it, in DATA/events.json. Keepers and commands add to it themselves, each line by
 * one write, so nobody waits for anybody. A file of more than EVENT_FILE_MAX becomes events.json.1.
 * What cannot be written, as on a full disk, is not told; nothing fails for it.
 */

#include <jansson.h>

#define EVENT_FILE "events.json"
#define EVENT_FILE_OLD EVENT_FILE ".1"
#define EVENT_FILE_MAX (4u << 20)  /* bytes */
#define EVENT_LINE_MAX (64u << 10) /* bytes; of one that is longer only the name is told */

/*
 * Tells of something.
 *   data:       the data directory
 *   type:       container, image, network, volume
 *   attributes: an object, stolen; or NULL
 */
void event_write(
	const char *data, const char *type, const char *action, const char *id, json_t *attributes);

#endif
