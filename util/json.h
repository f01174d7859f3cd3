/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_JSON_H
#define ARROW_UTIL_JSON_H

#include <jansson.h>

/* A text of an object, borrowed; "" where there is none. */
static inline const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

#endif
