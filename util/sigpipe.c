// SPDX-License-Identifier: Apache-2.0
#include "util/sigpipe.h"

#include <errno.h>
#include <time.h>

static bool sigpipe_is_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

struct sigpipe_block sigpipe_block(void)
{
	struct sigpipe_block block = {.pending = sigpipe_is_pending()};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, &block.before);
	return block;
}

void sigpipe_unblock(struct sigpipe_block *block)
{
	const struct timespec now = {0};
	int err = errno;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	/* Where it was blocked before, it is somebody else's to take. */
	if (!block->pending && !sigismember(&block->before, SIGPIPE) && sigpipe_is_pending())
		while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &block->before, NULL);
	errno = err;
}
