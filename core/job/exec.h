/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_JOB_EXEC_H
#define ARROW_CORE_JOB_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/spec/spec.h"

/* What to execute beside the program of an Arrow. Owned by the one who fills it in. */
struct arrow_exec {
	struct arrow_strings args; /* of a command, or a worker with its arguments */
	struct arrow_strings env;  /* besides that of the program */
	char *user, *workdir;      /* or NULL: the program's */
	bool interactive, tty, privileged;
	uint16_t rows, columns;    /* of the terminal, with tty; 0: not known */
	bool detach;               /* leave it as soon as it has started */
	bool worker;               /* of guest/worker.h */
	int (*take_signals)(void); /* as of struct arrow_attach; or NULL */
	const char *detach_keys;   /* or NULL: Docker's */
};

#endif
