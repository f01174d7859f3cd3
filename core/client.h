/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_H
#define ARROW_CORE_CLIENT_H

#include <signal.h>

#include "core/arrow.h"

/*
 * The client's side of a run: carries stdin, stdout, stderr, signals and the window's size between
 * this process and the keeper, until the keeper says how it ended.
 *   fd:     the socket to the keeper, taken over
 *   status: gets the exit status of the program
 * The caller has blocked the signals of client_signals() before the keeper was forked.
 */
int client_run(int fd, const struct arrow_spec *spec, int *status,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The signals that go to the program instead of ending this process. */
void client_signals(sigset_t *set);

/* Size of the terminal on stdin, stdout or stderr; 24 x 80 where there is none. */
void client_window(uint16_t *rows, uint16_t *columns);

#endif
