/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_SPEC_SPEC_JSON_H
#define ARROW_CORE_SPEC_SPEC_JSON_H

/*
 * Specs as JSON, so that an Arrow can be started again from disk. A field of struct arrow_spec is
 * stored if it is in the table of spec_json.c: a new one is one line there.
 */

#include <jansson.h>

#include "core/spec/spec.h"

/*
 * Everything that is not as arrow_spec_init() makes it. Text that is not UTF-8 becomes
 * {"hex": "..."}, so that it comes back as it was.
 * Returns NULL when out of memory; owned by the caller.
 */
json_t *arrow_spec_to_json(const struct arrow_spec *spec) ARROW_MUST_CHECK;

/*
 * Fills in a spec that arrow_spec_init() prepared. Keys that are not known are left alone.
 * Errors: -EINVAL (a field of another type than it should be, or out of range), -ENOMEM; what was
 * read so far is in the spec, to be released.
 */
int arrow_spec_from_json(
	struct arrow_spec *spec, const json_t *json, struct arrow_error *error) ARROW_MUST_CHECK;

/* Text for people: what is not UTF-8 becomes '?'. json_null() for NULL. */
json_t *arrow_text_json(const char *text) ARROW_MUST_CHECK;

/* A list of texts as an array; strings "key=value" as an object, whose values may be "". */
json_t *arrow_texts_json(const struct arrow_strings *list) ARROW_MUST_CHECK;
json_t *arrow_pairs_json(const struct arrow_strings *list) ARROW_MUST_CHECK;

#endif
