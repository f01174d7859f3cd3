/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_INPUT_OPTIONS_H
#define ARROW_CLI_INPUT_OPTIONS_H

/* The options of a command, taken by argp. */

#include <argp.h>
#include <stdbool.h>

/*
 * Parses a command's options. Wrong usage prints what is wrong and exits with 125, as Docker does;
 * --help prints and exits with 0.
 */
void cli_parse(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input);

/* --format of the commands that print a table or JSON. */
#define CLI_FORMAT_KEY 0x466d
/* clang-format off */
#define CLI_FORMAT_OPTION {"format", CLI_FORMAT_KEY, "table|json", 0, "Output format (table)", 0}
/* clang-format on */

/* Takes the value of --format. Anything else than table or json ends the command. */
bool cli_format_is_json(const char *value, const struct argp_state *state);

#endif
