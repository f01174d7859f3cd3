/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_INPUT_SETTINGS_H
#define ARROW_CLI_INPUT_SETTINGS_H

/*
 * What the environment sets for a command. This is the only file that reads it.
 *   ARROW_DATA_DIR     the data directory; else /var/lib/arrow, or without root
 *                      $XDG_DATA_HOME/arrow (~/.local/share/arrow)
 *   ARROW_RUN_DIR      the run directory; else /run/arrow, or without root
 *                      $XDG_RUNTIME_DIR/arrow (/tmp/arrow-UID)
 *   ARROW_QEMU, ARROW_ZYGOTE, ARROW_ZYGOTE_IDLE, ARROW_ZYGOTE_FORKS, ARROW_JAIL_UID_BASE
 *                      struct arrow_engine_settings
 *   ARROW_NETWORK      the network of an Arrow that names none
 *   LD_LIBRARY_PATH    where programs of this host find their libraries
 *   ARROW_IMAGE_MAX_SIZE, ARROW_IMAGE_MAX_FILES
 *                      struct arrow_image_limits
 *   SOURCE_DATE_EPOCH  the time of built images
 */

#include "core/spec/settings.h"

/*
 * Paths with all settings of the environment; their notes go to stderr. Released by
 * arrow_paths_release().
 * Errors: no home, a directory that cannot be made, a run directory of somebody else,
 * a limit that is not a number.
 */
int cli_paths_init(struct arrow_paths *paths, struct arrow_error *error) ARROW_MUST_CHECK;

/* The value of ARROW_NETWORK, or NULL. */
const char *cli_settings_network(void);

/* The value of any variable, for -e NAME, or NULL. */
const char *cli_settings_variable(const char *name);

#endif
