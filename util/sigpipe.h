/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_SIGPIPE_H
#define ARROW_UTIL_SIGPIPE_H

/*
 * Writing to a pipe whose reader is gone, for a library: the write fails with EPIPE, and neither
 * the process dies of SIGPIPE nor does it get a handler. Of this thread only.
 *
 *	_cleanup_sigpipe_ struct sigpipe_block block = sigpipe_block();
 */

#include <signal.h>
#include <stdbool.h>

struct sigpipe_block {
	sigset_t before; /* signals that were blocked */
	bool pending;    /* a SIGPIPE was on its way already: it stays */
};

struct sigpipe_block sigpipe_block(void);

/* Takes away the SIGPIPE that came meanwhile, and blocks what was blocked before. */
void sigpipe_unblock(struct sigpipe_block *block);

#define _cleanup_sigpipe_ __attribute__((cleanup(sigpipe_unblock)))

#endif
