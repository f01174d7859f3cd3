/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_SIGNALS_H
#define ARROW_CLI_SIGNALS_H

/*
 * From now on signals are for the program of an Arrow (struct arrow_attach): blocks those of
 * client_signals() in this process. Returns a signalfd of them, or a negative errno.
 */
int cli_take_signals(void);

#endif
