/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_PROGRAM_H
#define ARROW_IMAGE_PROGRAM_H

#include "image/store.h"

/*
 * Lays out the root of a program, as arrow_image_from_program() has it, in TEMP/root.
 *   path:       of the program, or a name that is looked for in PATH
 *   entrypoint: gets its path in there; owned by the caller
 */
int program_stage(struct image_temp *temp, const char *path, const char *library_path,
	char **entrypoint, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
