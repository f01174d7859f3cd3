// SPDX-License-Identifier: Apache-2.0
#include "core/spec/settings.h"

#include <stddef.h>

const struct arrow_engine_settings *arrow_settings_engine(const struct arrow_paths *paths)
{
	return paths && paths->settings ? &paths->settings->engine : &arrow_engine_defaults;
}

const struct arrow_image_limits *arrow_settings_image_limits(const struct arrow_paths *paths)
{
	static const struct arrow_image_limits defaults = {0};

	return paths && paths->settings ? &paths->settings->image_limits : &defaults;
}

const struct arrow_notes *arrow_settings_notes(const struct arrow_paths *paths)
{
	static const struct arrow_notes nobody = {NULL, NULL};

	return paths && paths->settings ? &paths->settings->notes : &nobody;
}

const char *arrow_settings_library_path(const struct arrow_paths *paths)
{
	return paths && paths->settings ? paths->settings->library_path : NULL;
}

bool arrow_settings_interactive(const struct arrow_paths *paths)
{
	return paths && paths->settings && paths->settings->interactive;
}
