/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_COLUMNS_H
#define ARROW_CLI_OUTPUT_COLUMNS_H

#include <stddef.h>
#include <stdio.h>

/*
 * Prints lines in aligned columns. A cell ends with a tabulator; what follows the last one of a
 * line is not aligned. min: columns of the terminal that a cell takes at least, together with the
 * gap behind it Errors: -ENOMEM.
 */
int cli_print_columns(FILE *out, const char *text, size_t min);

#endif
