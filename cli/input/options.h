/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_INPUT_OPTIONS_H
#define ARROW_CLI_INPUT_OPTIONS_H

/* The options of a command, taken by argp. */

#include <argp.h>
#include <stdbool.h>

#include "util/error.h"

/*
 * Parses a command's options. A wrong option prints what is wrong and exits with 125, as Docker
 * does;
 * --help prints and exits with 0. An option has to be written out: its beginning is an error. One
 * without a value takes =true and =false, of which the last one counts.
 *   argv:  changed
 *   flags: of argp; with ARGP_IN_ORDER all behind the first operand belongs to that
 */
void cli_parse(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input);

/* As argp_error(), for operands that are missing or superfluous: exits with 1, as Docker does. */
void cli_argument_error(const struct argp_state *state, const char *fmt, ...) ARROW_PRINTF(2, 3);

/* Puts "--NAME: " in front of an error about the value of an option, if it does not name one. */
void cli_name_option(const struct argp_state *state, int key, struct arrow_error *error);

/* --format of the commands that print a table or JSON. */
#define CLI_FORMAT_KEY 0x466d
/* clang-format off */
#define CLI_FORMAT_OPTION {"format", CLI_FORMAT_KEY, "table|json", 0, "Output format (table)", 0}
/* clang-format on */

/* Takes the value of --format. Anything else than table or json ends the command. */
bool cli_format_is_json(const char *value, const struct argp_state *state);

#endif
