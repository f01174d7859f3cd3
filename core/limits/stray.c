// SPDX-License-Identifier: Apache-2.0
#include "core/limits/stray.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define END_DEADLINE_MS 10000
#define STAT_FIELDS_TO_START 19 /* from the state to the start: proc(5) has them as 3 and 22 */

/* In clock ticks since the boot of the host; 0 if there is no such process. */
static uint64_t stray_find_start(pid_t pid)
{
	_cleanup_free_ char *path = path_format("/proc/%d/stat", pid), *text = NULL;
	char *field;

	if (!path || read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	/* The name may hold spaces and parentheses. */
	field = strrchr(text, ')');
	for (int i = 0; field && i <= STAT_FIELDS_TO_START; i++)
		field = strchr(field + 1, ' ');
	return field ? strtoull(field + 1, NULL, 10) : 0;
}

int arrow_stray_note(const char *path, pid_t pid)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	fprintf(f, "%d %" PRIu64 "\n", pid, stray_find_start(pid));
	return fclose(f) != 0 ? -errno : 0;
}

void arrow_stray_kill(int dir_fd, const char *path)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int process = -1;
	struct pollfd gone = {.events = POLLIN};
	uint64_t start;
	int pid;

	if (read_file(dir_fd, path, 64, &text, NULL) < 0 ||
		sscanf(text, "%d %" SCNu64, &pid, &start) != 2 || pid <= 1 || start == 0)
		return;
	/* The descriptor first: then the id cannot become another's between the look and the
	 * signal. */
	process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0 || stray_find_start(pid) != start ||
		syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) < 0)
		return;
	gone.fd = process;
	while (poll(&gone, 1, END_DEADLINE_MS) < 0 && errno == EINTR)
		;
}
