// SPDX-License-Identifier: Apache-2.0
/*
 * The process that holds a zygote: starts its QEMU as a clone of the template, has it rehearse
 * jobs, has it paused for forking, and ends it when its time has come. It is executed by zygote.c:
 *
 *   arrow-zygote TEMPLATE LOCK RAM STATE DISK DISKS CARDS JAIL PURPOSE IDLE FORKS UIDS QEMU ARGS...
 *
 * LOCK, RAM, STATE and DISK are descriptors that it inherits, as are the CARDS ("12,-1,"; -1 for
 * one without) and those that QEMU's arguments name below QEMU_ZYGOTE_QMP. DISKS is how many disks
 * the VM has, all of them DISK. JAIL is the root of QEMU's jail, PURPOSE "forks", or "blocks" for
 * one that ends once the file of translated blocks is written, IDLE in seconds, FORKS how many
 * it makes, UIDS the first user id of jails.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/jail.h"
#include "engine/jail_ram.h"
#include "engine/qemu/blocks.h"
#include "engine/qemu/command.h"
#include "engine/qemu/qmp.h"
#include "engine/qemu/rehearse.h"
#include "engine/qemu/zygote.h"
#include "util/cleanup.h"
#include "util/io.h"

#define READY_DEADLINE_MS 60000u /* from the start to the first fork */
#define LOOK_MS 10000u           /* between two looks at the host's memory */
#define LOOK_DEADLINE_MS 10000
#define PAUSE_MS 50 /* before a rehearsal */

struct holder {
	const char *dir, *jail_root;
	int lock, ram, state, disk;
	unsigned int n_disks, n_cards;
	int cards[QEMU_ZYGOTE_NICS]; /* taps; -1 for a card of a socket */
	int peers[QEMU_ZYGOTE_NICS]; /* whose other end stays open here: QEMU gives up a closed one
				      */
	struct arrow_jail_watch jail;
	bool forks;   /* it serves; else it only writes blocks */
	int blocks;   /* the file that they are written to, until they are, or -1 */
	bool isolate; /* forks get namespaces of their own */
	uid_t user;   /* and users from this one on; 0 for none */
	uint64_t idle_ms;
	unsigned long forks_max, forked;
	unsigned long uid_base;
	int console, control; /* our ends; that of the share is the rehearsals' */
	int watch;            /* inotify, of the template */
	pid_t qemu;
	struct qmp qmp;
	struct qemu_rehearsal guest; /* its deadline is that of getting ready */
};

/* ---- QEMU ---- */

/* A socket whose other end becomes QEMU's descriptor of this number. */
static int holder_make_pair(int number, int *ours)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ours = pair[0];
	if (dup2(pair[1], number) < 0)
		return -errno;
	close(pair[1]);
	return 0;
}

/* The socket for requests, under a name that nobody looks for yet. */
static int holder_make_listener(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "zygote.new"};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(address.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 128) < 0 || dup2(fd, QEMU_ZYGOTE_LISTEN) < 0)
		return -errno;
	return 0;
}

/* Blocks to map, or else a file for them. */
static int holder_give_blocks(struct holder *h)
{
	_cleanup_close_ int fd = qemu_blocks_open(".");

	if (fd >= 0)
		return !h->forks ? -EEXIST : dup2(fd, QEMU_ZYGOTE_BLOCKS) < 0 ? -errno : 0;
	if (fd == -ENOENT)
		h->blocks = qemu_blocks_create();
	if (h->blocks >= 0 && dup2(h->blocks, QEMU_ZYGOTE_NEW_BLOCKS) < 0)
		return -errno;
	return h->blocks < 0 && !h->forks ? -ENOENT : 0;
}

/* The clone of the keeper reads its own at this moment, and both would move one offset. */
static int holder_reopen_state(int number)
{
	_cleanup_close_ int fd = open("state", O_RDONLY | O_CLOEXEC);

	return fd < 0 || dup2(fd, number) < 0 ? -errno : 0;
}

static void __attribute__((noreturn))
holder_become_qemu(const struct arrow_jail *jail, int keeper, int log, char **argv)
{
	const char *what = "";
	bool needed[QEMU_ZYGOTE_END] = {false};
	int r;

	/* Memory is the holder's to give, in a jail. */
	for (int fd = 3; fd < QEMU_ZYGOTE_END; fd++)
		needed[fd] = fd != jail->ram_socket && fd != keeper && fd != log &&
			     (fd != jail->ram_fd || !jail->namespaces) && fcntl(fd, F_GETFD) >= 0;
	if (dup2(log, STDERR_FILENO) < 0)
		_exit(127);
	r = arrow_jail_enter(jail, keeper, &what);
	if (r < 0) {
		dprintf(STDERR_FILENO, "cannot set up its jail (%s): %s\n", what, strerror(-r));
		_exit(126);
	}
	for (int fd = 3; fd < QEMU_ZYGOTE_END; fd++)
		if (needed[fd])
			fcntl(fd, F_SETFD, 0);
	execve(argv[0], argv, qemu_environment);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Into the jail of any VM, but for the processes that it is going to make. */
static int holder_spawn(struct holder *h, int log, char **argv)
{
	int read_only[] = {h->ram, h->state, QEMU_ZYGOTE_BLOCKS}, pair[2];
	struct arrow_jail jail = {.root = h->jail_root,
		.userns_fd = -1,
		.forks = true,
		.read_only = read_only,
		.n_read_only = fcntl(QEMU_ZYGOTE_BLOCKS, F_GETFD) < 0 ? 2 : 3,
		.uid_base = h->uid_base,
		.ram_fd = h->ram,
		.write_fd = -1};
	_cleanup_close_ int self = (int)syscall(SYS_pidfd_open, getpid(), 0), theirs = -1;

	if (self < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	h->jail.fd = pair[0];
	theirs = jail.ram_socket = pair[1];
	h->qemu = arrow_jail_fork(&jail);
	if (h->qemu == 0) {
		/* Ours are none of its business. */
		const int ours[] = {h->qmp.fd, h->guest.channel, h->guest.share, h->console,
			h->control, h->watch, h->jail.fd, h->lock, h->blocks, h->disk};

		for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
			close_keep_errno(ours[i]);
		for (unsigned int i = 0; i < h->n_cards; i++) {
			close_keep_errno(h->cards[i]);
			close_keep_errno(h->peers[i]);
		}
		holder_become_qemu(&jail, self, log, argv);
	}
	h->isolate = jail.namespaces;
	h->user = jail.namespaces && !jail.own_users && jail.uid == 0
			  ? arrow_jail_uid_base(h->uid_base)
			  : 0;
	return h->qemu < 0 ? (int)h->qemu : 0;
}

static int holder_start_qemu(struct holder *h, char **argv)
{
	_cleanup_close_ int log =
		open("zygote.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	int qmp = -1, r;

	r = log < 0 ? -errno : holder_make_pair(QEMU_ZYGOTE_QMP, &qmp);
	if (r == 0)
		r = holder_make_pair(QEMU_ZYGOTE_CHANNEL, &h->guest.channel);
	if (r == 0)
		r = holder_make_pair(QEMU_ZYGOTE_CONSOLE, &h->console);
	if (r == 0)
		r = holder_make_pair(QEMU_ZYGOTE_SHARE, &h->guest.share);
	if (r == 0)
		r = holder_make_pair(QEMU_ZYGOTE_CONTROL, &h->control);
	if (r == 0)
		r = holder_make_listener();
	if (r == 0)
		r = holder_give_blocks(h);
	for (unsigned int i = 0; r == 0 && i < h->n_disks; i++)
		r = dup2(h->disk, QEMU_ZYGOTE_DISK + (int)i) < 0 ? -errno : 0;
	for (unsigned int i = 0; r == 0 && i < h->n_cards; i++) {
		if (h->cards[i] < 0)
			r = holder_make_pair(QEMU_ZYGOTE_NIC + (int)i, &h->peers[i]);
		else if (dup2(h->cards[i], QEMU_ZYGOTE_NIC + (int)i) < 0)
			r = -errno;
	}
	h->qmp.fd = qmp;
	if (r == 0)
		r = holder_spawn(h, log, argv);
	for (int fd = QEMU_ZYGOTE_QMP; fd < QEMU_ZYGOTE_END; fd++)
		close(fd);
	return r;
}

static int holder_wait_loaded(struct holder *h)
{
	int r = qmp_init(&h->qmp, h->qmp.fd, h->state, QMP_DEVICES);

	while (r == 0 && !h->qmp.saved) {
		struct pollfd p[] = {{h->qmp.fd, POLLIN, 0}, {h->jail.fd, POLLIN, 0}};
		uint64_t now = now_ms();

		if (now >= h->guest.deadline)
			return -ETIMEDOUT;
		if (poll(p, 2, (int)(h->guest.deadline - now)) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents && arrow_jail_answer(&h->jail) < 0)
			arrow_jail_watch_release(&h->jail);
		if (p[0].revents)
			r = qmp_read(&h->qmp);
		if (h->qmp.error)
			r = -EIO;
	}
	arrow_jail_watch_release(&h->jail); /* nothing more is opened so */
	return r;
}

static int holder_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "zygote.new"};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0
		       ? -errno
		       : steal_fd(&fd);
}

/* Our ends of a trial: of its connection, and of all that it gets. */
struct trial {
	int fd, ours[4 + QEMU_ZYGOTE_NICS], theirs[5 + QEMU_ZYGOTE_NICS + QEMU_ZYGOTE_DISKS];
	size_t n_ours, n_theirs;
};

static int holder_open_trial(struct holder *h, struct trial *t)
{
	int r = 0, fd = open("/dev/null", O_RDWR | O_CLOEXEC), pair[2];

	t->fd = holder_connect();
	if (t->fd < 0 || fd < 0)
		r = -errno;
	t->theirs[t->n_theirs++] = fd;
	/* QMP, channel, console, share. */
	for (unsigned int i = 0; r == 0 && i < 4 + h->n_cards; i++) {
		if (i >= 4 && h->cards[i - 4] >= 0) {
			t->theirs[t->n_theirs++] = fcntl(h->cards[i - 4], F_DUPFD_CLOEXEC, 3);
			continue;
		}
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
			r = -errno;
			break;
		}
		t->ours[t->n_ours++] = pair[0];
		t->theirs[t->n_theirs++] = pair[1];
	}
	for (unsigned int i = 0; r == 0 && i < h->n_disks; i++)
		t->theirs[t->n_theirs++] = fcntl(h->disk, F_DUPFD_CLOEXEC, 3);
	return r;
}

/*
 * QEMU tells of each fork, and how the writing of blocks ended. Returns whether `wanted` was among
 * it, or -EPIPE at the end of QEMU.
 */
static int holder_take_news(struct holder *h, char wanted)
{
	char news[64];
	ssize_t n = read(h->control, news, sizeof(news));

	for (ssize_t i = 0; i < n; i++) {
		h->forked += news[i] == 'F';
		if ((news[i] == 'B' || news[i] == 'N') && h->blocks >= 0) {
			qemu_blocks_finish(h->blocks, news[i] == 'B');
			close(steal_fd(&h->blocks));
		}
	}
	return n <= 0 ? -EPIPE : memchr(news, wanted, (size_t)n) != NULL;
}

/*
 * Has a first copy do a job as any other would, and QEMU look what it has written to: what copies
 * need for themselves is theirs before they are asked for. Without it they only start later.
 */
static void holder_try_out(struct holder *h)
{
	struct trial t = {.fd = -1};
	_cleanup_close_ int process = -1;
	int r = holder_open_trial(h, &t), channel = h->guest.channel, share = h->guest.share;
	struct pollfd p = {.fd = h->control, .events = POLLIN};

	if (r == 0)
		process = r = qemu_zygote_ask(t.fd, "arrow-trial", t.theirs, t.n_theirs);
	if (r >= 0)
		r = send(t.fd, "G", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
	if (r == 0) {
		h->guest.channel = t.ours[1];
		h->guest.share = t.ours[3];
		r = qemu_rehearse(&h->guest, REHEARSE_TRIAL);
		h->guest.channel = channel;
		h->guest.share = share;
	}
	if (r == 0 && send(h->control, "L", 1, MSG_NOSIGNAL) == 1)
		/* The copy has been told, too. */
		while (poll(&p, 1, LOOK_DEADLINE_MS) == 1 && holder_take_news(h, 'L') == 0)
			;
	for (size_t i = 0; i < t.n_theirs; i++)
		close_keep_errno(t.theirs[i]);
	for (size_t i = 0; i < t.n_ours; i++)
		close_keep_errno(t.ours[i]);
	close_keep_errno(t.fd);
}

static void holder_close_cards(struct holder *h)
{
	for (unsigned int i = 0; i < h->n_cards; i++)
		close_keep_errno(steal_fd(&h->cards[i]));
}

/* Pauses it for good. Once it says that it can fork, its socket gets the name that is known. */
static int holder_arm(struct holder *h)
{
	int sockets[4 + QEMU_ZYGOTE_NICS] = {
		QEMU_ZYGOTE_QMP, QEMU_ZYGOTE_CHANNEL, QEMU_ZYGOTE_CONSOLE, QEMU_ZYGOTE_SHARE};
	struct pollfd p = {.fd = h->control, .events = POLLIN};
	uint64_t now = now_ms();
	char ready[2];
	size_t n = 4;
	int r;

	for (unsigned int i = 0; i < h->n_cards; i++)
		sockets[n++] = QEMU_ZYGOTE_NIC + (int)i;
	r = qmp_fork(&h->qmp, &(struct qmp_fork){
				      .listen = QEMU_ZYGOTE_LISTEN,
				      .control = QEMU_ZYGOTE_CONTROL,
				      .sockets = sockets,
				      .n_sockets = n,
				      .n_disks = h->n_disks,
				      .isolate = h->isolate,
				      .user = h->user,
				      .blocks = h->blocks < 0 ? -1 : QEMU_ZYGOTE_NEW_BLOCKS,
			      });
	if (r < 0)
		return r;
	if (now >= h->guest.deadline || poll(&p, 1, (int)(h->guest.deadline - now)) != 1)
		return -ETIMEDOUT;
	r = (int)read(h->control, ready, sizeof(ready));
	if (r <= 0)
		return -EPIPE;
	if (r == 2 && h->forks) /* it can look */
		holder_try_out(h);
	holder_close_cards(h);
	if (h->blocks >= 0 && send(h->control, "W", 1, MSG_NOSIGNAL) != 1)
		return -EPIPE;
	/*
	 * Nobody is served before they are written: the first fork may have inherited the file, and
	 * could change what is going to be copied.
	 */
	while (h->forks && h->blocks >= 0) {
		now = now_ms();
		if (now >= h->guest.deadline || poll(&p, 1, (int)(h->guest.deadline - now)) != 1)
			return -ETIMEDOUT;
		if (holder_take_news(h, 0) < 0)
			return -EPIPE;
	}
	return h->forks && rename("zygote.new", "zygote") < 0 ? -errno : 0;
}

/* Notes why there is no zygote, with the guest's last words, for whoever looks for the reason. */
static void holder_note_failure(struct holder *h, int r)
{
	_cleanup_fclose_ FILE *log = fopen("zygote.log", "ae");
	char words[4096];
	ssize_t n = h->console < 0 ? 0 : recv(h->console, words, sizeof(words), MSG_DONTWAIT);

	if (log)
		fprintf(log, "cannot make a zygote: %s; %s; %s\n%.*s", strerror(-r),
			h->qmp.error ? h->qmp.error : "", h->guest.failed, n > 0 ? (int)n : 0,
			words);
}

/* ---- its time ---- */

/* Less than a twentieth of the host's memory can be had: those who run need it more. */
static bool holder_is_memory_short(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long total = 0, available = 0;
	const char *line;

	if (read_file(AT_FDCWD, "/proc/meminfo", 1u << 16, &text, NULL) < 0)
		return false;
	line = strstr(text, "MemTotal:");
	if (!line || sscanf(line, "MemTotal: %llu", &total) != 1)
		return false;
	line = strstr(text, "MemAvailable:");
	return line && sscanf(line, "MemAvailable: %llu", &available) == 1 &&
	       available < total / 20;
}

/* The template was set aside or is being removed, or the socket is gone: too many forks died. */
static bool holder_is_dismissed(struct holder *h)
{
	union {
		struct inotify_event first;
		char room[4096];
	} events;
	ssize_t n = read(h->watch, &events, sizeof(events));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(events.room + at);

		if (e->mask & IN_MOVE_SELF)
			return true;
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	return access("template.json", F_OK) < 0 || (h->forks && access("zygote", F_OK) < 0);
}

/* Until it is of no use any more. */
static void holder_wait(struct holder *h)
{
	uint64_t used = now_ms();

	for (;;) {
		struct pollfd p[] = {{h->control, POLLIN, 0}, {h->watch, POLLIN, 0}};
		uint64_t left = used + h->idle_ms, now = now_ms();

		if (now >= left || h->forked >= h->forks_max || holder_is_memory_short() ||
			(!h->forks && h->blocks < 0))
			return;
		left -= now;
		if (poll(p, 2, left < LOOK_MS ? (int)left : (int)LOOK_MS) < 0 && errno != EINTR)
			return;
		if (p[1].revents && holder_is_dismissed(h))
			return;
		if (p[0].revents && holder_take_news(h, 0) < 0)
			return;
		if (p[0].revents)
			used = now_ms();
	}
}

/* Takes in the arguments before those of QEMU. */
static int holder_take_arguments(struct holder *h, char **argv)
{
	h->dir = argv[1];
	h->lock = atoi(argv[2]);
	h->ram = atoi(argv[3]);
	h->state = atoi(argv[4]);
	h->disk = atoi(argv[5]);
	h->n_disks = (unsigned int)atoi(argv[6]);
	for (char *at = argv[7], *end; *at; at = end + 1, h->n_cards++) {
		if (h->n_cards == QEMU_ZYGOTE_NICS)
			return -E2BIG;
		h->cards[h->n_cards] = (int)strtol(at, &end, 10);
		if (*end != ',')
			return -EINVAL;
	}
	h->jail_root = argv[8];
	h->forks = strcmp(argv[9], "forks") == 0;
	memset(h->peers, 0xff, sizeof(h->peers));
	h->idle_ms = 1000ull * strtoul(argv[10], NULL, 10);
	h->forks_max = strtoul(argv[11], NULL, 10);
	h->uid_base = strtoul(argv[12], NULL, 10);
	return h->n_disks > QEMU_ZYGOTE_DISKS ? -E2BIG : 0;
}

int qemu_zygote_main(int argc, char **argv)
{
	struct holder h = {
		.guest = {.channel = -1, .share = -1, .deadline = now_ms() + READY_DEADLINE_MS},
		.blocks = -1,
		.console = -1,
		.control = -1,
		.jail = {-1, -1}};
	static const enum qemu_rehearsal_kind rehearsals[] = {REHEARSE_MOUNTING,
		REHEARSE_WITH_SHARE, REHEARSE_WITH_INPUT, REHEARSE_WITH_TERMINAL,
		REHEARSE_WITHOUT_INPUT, REHEARSE_WITH_INPUT, REHEARSE_WITHOUT_INPUT};
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	int r;

	if (argc < 14 || holder_take_arguments(&h, argv) < 0)
		return 1;
	prctl(PR_SET_NAME, "arrow-zygote");
	h.watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	/* Names are relative from here on: the path may be longer than a socket's may be. */
	if (h.watch < 0 || chdir(h.dir) < 0 ||
		inotify_add_watch(h.watch, ".", IN_MOVE_SELF | IN_DELETE) < 0)
		return 1;
	unlink("zygote"); /* of one that was killed; the lock is ours */
	unlink("zygote.crashes");

	r = holder_reopen_state(h.state);
	if (r == 0)
		r = holder_start_qemu(&h, argv + 13);
	if (r == 0)
		r = holder_wait_loaded(&h);
	for (size_t i = 0; r == 0 && i < sizeof(rehearsals) / sizeof(*rehearsals); i++) {
		/* As long as a guest sleeps that waits for its job in earnest. */
		nanosleep(&pause, NULL);
		r = qemu_rehearse(&h.guest, rehearsals[i]);
	}
	if (r == 0)
		r = holder_arm(&h);
	if (r == 0)
		holder_wait(&h);
	else
		holder_note_failure(&h, r);
	if (h.blocks >= 0) /* it failed, or its time was over */
		qemu_blocks_finish(h.blocks, false);
	unlink("zygote");
	unlink("zygote.new");
	if (h.qemu > 0)
		kill(h.qemu, SIGKILL);
	return r == 0 ? 0 : 1;
}
