// SPDX-License-Identifier: Apache-2.0
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "core/client/client.h"

int cli_take_signals(void)
{
	sigset_t signals;
	int fd;

	client_signals(&signals);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}
