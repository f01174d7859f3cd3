/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_SPEC_SETTINGS_H
#define ARROW_CORE_SPEC_SETTINGS_H

/*
 * What a door sets once for all Arrows of a data directory. Nothing below a door reads the
 * environment or prints: it takes these values, which come along in struct arrow_paths.
 */

#include <stdbool.h>

#include "engine/engine.h"
#include "image/limits.h"
#include "util/note.h"
#include "util/paths.h"

/* Texts are borrowed, and live as long as the settings. */
struct arrow_settings {
	struct arrow_engine_settings engine;
	struct arrow_image_limits image_limits;
	struct arrow_notes notes;
	bool interactive;              /* somebody reads the notes as they come, as at a terminal */
	const char *library_path;      /* where programs of the host find libraries; or NULL */
	const char *source_date_epoch; /* the time of built images, as text; or NULL */
};

/* Parts of the settings of paths; the defaults where paths have none or are NULL. */
const struct arrow_engine_settings *arrow_settings_engine(const struct arrow_paths *paths);
const struct arrow_image_limits *arrow_settings_image_limits(const struct arrow_paths *paths);
const char *arrow_settings_library_path(const struct arrow_paths *paths);
const struct arrow_notes *arrow_settings_notes(const struct arrow_paths *paths);
bool arrow_settings_interactive(const struct arrow_paths *paths);

#endif
