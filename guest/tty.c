// SPDX-License-Identifier: Apache-2.0
#include "guest/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "util/cleanup.h"

void tty_resize(int master, uint16_t rows, uint16_t columns)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};

	/* Fails only for a terminal that is gone, and then nobody looks at it. */
	if (ioctl(master, TIOCSWINSZ, &size) < 0)
		errno = 0;
}

int tty_eof_byte(int master)
{
	struct termios t;

	if (tcgetattr(master, &t) < 0 || !(t.c_lflag & ICANON))
		return -1;
	return t.c_cc[VEOF];
}

int tty_open(const struct job *job, bool first, int *master, int *slave, struct failure *failure)
{
	_cleanup_close_ int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	_cleanup_close_ int s = -1;
	_cleanup_close_ int console = -1;
	unsigned int number;
	int zero = 0;
	char path[32];

	if (m < 0 || ioctl(m, TIOCSPTLCK, &zero) < 0 || ioctl(m, TIOCGPTN, &number) < 0)
		return fail(failure, 125, errno, "cannot make a terminal: %m%s",
			errno == ENOENT ? "; the guest's kernel lacks Unix98 terminals" : "");
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	s = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0)
		return fail(failure, 125, errno, "cannot open the terminal %s: %m", path);
	if (job->window.rows && job->window.columns)
		tty_resize(m, job->window.rows, job->window.columns);

	/* That of the program is /dev/console too, as Docker has it. */
	if (!first) {
		*master = steal_fd(&m);
		*slave = steal_fd(&s);
		return 0;
	}
	console = open("/dev/console", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (console < 0 && errno != EEXIST)
		return fail(failure, 125, errno, "cannot make /dev/console: %m");
	if (mount(path, "/dev/console", NULL, MS_BIND, NULL) < 0)
		return fail(failure, 125, errno, "cannot mount %s on /dev/console: %m", path);
	*master = steal_fd(&m);
	*slave = steal_fd(&s);
	return 0;
}
