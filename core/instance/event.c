// SPDX-License-Identifier: Apache-2.0
#include "core/instance/event.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/instance/config.h"
#include "core/spec/spec_json.h"
#include "util/cleanup.h"
#include "util/event.h"

void arrow_event(const struct arrow_instance *i, const char *action, json_t *more)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_instance now = *i;
	struct arrow_spec spec;
	json_t *attributes = NULL;
	const char *source;

	/* As it is now: it may have been renamed. */
	arrow_spec_init(&spec);
	now.name = NULL;
	if (instance_read_config(&now, &spec, &error) == 0) {
		source = spec.source.image     ? spec.source.image
			 : spec.source.program ? spec.source.program
					       : spec.source.rootfs;
		attributes = arrow_pairs_json(&spec.labels);
		json_object_set_new(attributes, "image", arrow_text_json(source ? source : ""));
		json_object_set_new(attributes, "name", json_string(now.name));
	}
	if (!attributes)
		attributes = json_pack("{s:s}", "name", i->name);
	if (more)
		json_object_update(attributes, more);
	json_decref(more);
	free(now.name);
	arrow_spec_release(&spec);
	event_write(i->data_dir, "container", action, i->id, attributes);
}

void arrow_event_number(
	const struct arrow_instance *i, const char *action, const char *key, long long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", n);
	arrow_event(i, action, json_pack("{s:s}", key, text));
}
