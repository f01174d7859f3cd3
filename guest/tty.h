/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_TTY_H
#define ARROW_GUEST_TTY_H

#include <stdint.h>

#include "guest/failure.h"
#include "guest/job.h"

/* Opens a terminal. first: of the program, so it is /dev/console too. 0 or -errno. */
int tty_open(const struct job *job, bool first, int *master, int *slave, struct failure *failure);
void tty_resize(int master, uint16_t rows, uint16_t columns);

/* The byte that means end of input, or -1 when the terminal is not in canonical mode. */
int tty_eof_byte(int master);

#endif
