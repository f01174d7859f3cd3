// SPDX-License-Identifier: Apache-2.0
#include "core/keeper/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/template/jailroot.h"
#include "engine/jail.h"
#include "util/cleanup.h"
#include "util/io.h"

#define CHANNEL_FD 3 /* where the program looks for it */

/* More than a guest is told to keep things for (fs/entry.c), and the way of the last answers. */
#define SHARE_MS 1500u

#define END_DEADLINE_MS 5000

/*
 * A lease (fcntl(2)) on a file of the volume that every user opens: it is had by an only one, told
 * by SIGIO of the next, who waits until it is given up.
 */
static bool server_take_leases(struct server *s, const struct server_config *config)
{
	s->leases = config->leases;
	for (s->n_leases = 0; s->n_leases < config->n_shares; s->n_leases++) {
		int fd = config->leases ? config->leases[s->n_leases] : -1;

		if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
			server_give_leases(s);
			return false;
		}
	}
	return true;
}

void server_give_leases(struct server *s)
{
	for (unsigned int i = 0; s->leases && i < s->n_leases; i++)
		(void)fcntl(s->leases[i], F_SETLEASE, F_UNLCK);
	s->leases = NULL;
	s->n_leases = 0;
	s->share_due = 0;
}

void server_share(struct server *s)
{
	if (!s->leases || s->share_due)
		return;
	if (s->pid > 0)
		kill(s->pid, SIGUSR2);
	s->share_due = now_ms() + SHARE_MS;
}

/* In the child. The channel and the pipe may have any number, also that of the other. */
static void __attribute__((noreturn))
server_execute(const struct arrow_jail *jail, bool exclusive, int keeper, int channel, int words)
{
	char *const argv[] = {(char *)"arrow-fs", exclusive ? (char *)"--exclusive" : NULL, NULL};
	char *const environment[] = {NULL};
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), r;
	const char *what = "";
	sigset_t mask;

	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(words, 2) < 0)
		_exit(127);
	/* What comes before the program looks at it waits. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	r = arrow_jail_enter(jail, keeper, &what);
	if (r < 0) {
		dprintf(2, "cannot set up its jail (%s): %s\n", what, strerror(-r));
		_exit(126);
	}
	r = channel == CHANNEL_FD ? fcntl(channel, F_SETFD, 0) : dup2(channel, CHANNEL_FD);
	if (r >= 0)
		execve(ARROW_JAIL_SERVER, argv, environment);
	dprintf(2, "cannot run " ARROW_JAIL_SERVER ": %s\n", strerror(errno));
	_exit(127);
}

int server_start(struct server *s, const struct server_config *config, int channel,
	struct arrow_error *error)
{
	struct arrow_jail_mount mounts[ARROW_JAIL_MOUNTS];
	struct arrow_jail jail = {.root = config->root,
		.mounts = mounts,
		.n_mounts = config->n_shares,
		.userns_fd = config->userns_fd,
		.serves = true,
		.uid_base = config->uid_base,
		.limits = config->limits,
		.ram_fd = -1,
		.ram_socket = -1,
		.write_fd = -1};
	_cleanup_close_ int keeper = (int)syscall(SYS_pidfd_open, getpid(), 0), words = -1;
	int pipe_fds[2];
	bool exclusive;
	pid_t pid;

	*s = (struct server)SERVER_INIT;
	if (keeper < 0)
		return arrow_fail(error, errno, "cannot start the server of the volumes: %m");
	if (config->n_shares > ARROW_JAIL_MOUNTS)
		return arrow_fail(error, E2BIG, "%u volumes are more than an Arrow can have (%u)",
			config->n_shares, ARROW_JAIL_MOUNTS);
	for (unsigned int i = 0; i < config->n_shares; i++)
		mounts[i] = (struct arrow_jail_mount){.fd = config->shares[i].fd,
			.read_only = config->shares[i].read_only,
			.file = config->shares[i].file};
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return arrow_fail(error, errno, "cannot start the server of the volumes: %m");
	s->words_fd = pipe_fds[0];
	words = pipe_fds[1];
	exclusive = server_take_leases(s, config);
	pid = arrow_jail_fork(&jail);
	if (pid == 0)
		server_execute(&jail, exclusive, keeper, channel, words);
	if (pid < 0) {
		server_end(s);
		return arrow_fail(error, -pid, "cannot start the server of the volumes: %m");
	}
	s->pid = pid;
	s->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (s->pid_fd < 0) {
		int r = arrow_fail(error, errno, "cannot watch the server of the volumes: %m");

		server_end(s);
		return r;
	}
	return 0;
}

bool server_has_ended(struct server *s)
{
	int status;
	ssize_t n;

	if (s->pid <= 0 || waitpid(s->pid, &status, WNOHANG) != s->pid)
		return false;
	s->pid = 0;
	n = read(s->words_fd, s->why, sizeof(s->why) - 1);
	s->why[n > 0 ? n : 0] = '\0';
	s->why[strcspn(s->why, "\n")] = '\0';
	if (!s->why[0] && WIFSIGNALED(status))
		snprintf(s->why, sizeof(s->why), "it was killed by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!s->why[0] && WEXITSTATUS(status) != 0)
		snprintf(s->why, sizeof(s->why), "it ended with status %d", WEXITSTATUS(status));
	server_end(s);
	return true;
}

void server_end(struct server *s)
{
	if (s->pid > 0) {
		struct pollfd p = {s->pid_fd, POLLIN, 0};

		kill(s->pid, SIGKILL); /* not reaped yet, so the number is still its own */
		/* One that waits for a disk that does not answer ends when that does. */
		while (p.fd >= 0 && poll(&p, 1, END_DEADLINE_MS) < 0 && errno == EINTR)
			;
		(void)waitpid(s->pid, NULL, p.fd >= 0 ? WNOHANG : 0);
	}
	s->pid = 0;
	server_give_leases(s);
	close_keep_errno(steal_fd(&s->pid_fd));
	close_keep_errno(steal_fd(&s->words_fd));
}
