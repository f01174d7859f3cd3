// SPDX-License-Identifier: Apache-2.0
#include "net/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/bridge.h"
#include "net/lease.h"
#include "net/names.h"
#include "net/resolver.h"
#include "net/rules.h"
#include "net/watch_state.h"
#include "util/caps.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"
#include "util/process.h"
#include "util/text.h"
#include "util/title.h"

#define LINGER_MS 5000u /* an empty network stays so long: the next Arrow finds it up */
#define CHECK_MS 1000u  /* between two looks at the firewall */
#define RESTART_MS 500u /* between two starts of a name server that ends */
#define LOCK_MS 2000u   /* until somebody who asks for its lock has let go of it */
#define LOCK_PAUSE_MS 5
#define RETRY_MS 5000u /* where its port is taken */
/* Rules and bridges; files, also below a directory of another user; the name server's user and end.
 */
#define WATCH_CAPS                                                                                 \
	(CAPS_BIT(CAP_NET_ADMIN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_SETUID) |             \
		CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_NET_BIND_SERVICE) | CAPS_BIT(CAP_KILL))

#define CHANGED_MAX 256u /* leases that are looked at singly */

/* The leases that something happened to. */
struct changed {
	char ids[CHANGED_MAX][65];
	size_t n;
	bool all; /* more than these, or nobody knows which */
};

struct watch {
	const struct net_network *network;
	const struct arrow_paths *paths;
	int events;       /* inotify */
	int lock;         /* RUN/networks/<network>/watch */
	int sockets[2];   /* of the name server, -1 for none */
	pid_t names;      /* the name server, 0 for none */
	int names_fd;     /* its pidfd, -1 for none */
	uint64_t restart; /* ms: not before */
	uint64_t empty;   /* ms: since when nobody is on the network; 0: somebody is */
	uint32_t generation;
	struct changed changed;
};

/* The watch over the rules of Arrows on bridges of others: there is no bridge, and are no names. */
static bool watch_is_joined(const struct watch *w)
{
	return strcmp(w->network->name, NET_JOINED) == 0;
}

static void watch_stop_names(struct watch *w)
{
	if (!w->names)
		return;
	kill(w->names, SIGKILL);
	while (waitpid(w->names, NULL, 0) < 0 && errno == EINTR)
		;
	w->names = 0;
	close_keep_errno(steal_fd(&w->names_fd));
}

/* Its port is free from then on. */
static void watch_close_names(struct watch *w)
{
	watch_stop_names(w);
	close_keep_errno(steal_fd(&w->sockets[0]));
	close_keep_errno(steal_fd(&w->sockets[1]));
}

static void watch_start_names(struct watch *w)
{
	_cleanup_free_ char *mark = net_watch_file(w->paths, w->network->name, "names");
	_cleanup_free_ char *path = path_format("%s/names", w->paths->run);
	_cleanup_close_ int dir = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	pid_t parent = getpid();

	w->restart = now_ms() + RESTART_MS;
	if (!mark || dir < 0)
		return;
	/* They stay open, so that what is asked while it is started again is answered then. */
	if (w->sockets[0] < 0 && net_resolver_open(w->network, w->sockets) < 0) {
		unlink(mark);
		w->restart = now_ms() + RETRY_MS;
		return;
	}
	w->names = fork();
	if (w->names == 0)
		net_resolver_run(w->sockets, dir, w->network->name, parent);
	if (w->names < 0) {
		w->names = 0;
		return;
	}
	w->names_fd = (int)syscall(SYS_pidfd_open, w->names, 0);
	if (w->names_fd >= 0)
		fcntl(w->names_fd, F_SETFD, FD_CLOEXEC);
	close_keep_errno(open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void watch_remove_joined(const struct watch *w)
{
	_cleanup_free_ char *dir = path_format("%s/networks/" NET_JOINED, w->paths->run);

	if (dir)
		remove_tree(AT_FDCWD, dir);
}

/*
 * Ends the watch of a network that was removed. One of that name that was made since has a watch of
 * its own, and its lock is another file.
 */
static void watch_exit_if_removed(struct watch *w)
{
	_cleanup_free_ char *path = net_watch_file(w->paths, w->network->name, "watch");
	struct stat ours, now;

	if (!path || fstat(w->lock, &ours) < 0 ||
		(stat(path, &now) == 0 && now.st_ino == ours.st_ino && now.st_dev == ours.st_dev))
		return;
	/* Before its own lock goes: its address may be the next one's. */
	watch_close_names(w);
	_exit(0);
}

/* Takes the lock of all networks, for the network that this is the watch of. */
static int watch_lock_current(struct watch *w, struct arrow_error *error)
{
	int lock = net_lock(w->paths, error);

	if (lock >= 0)
		watch_exit_if_removed(w);
	return lock;
}

/*
 * Takes back what dead Arrows had, of the leases that have changed. One that still lives is looked
 * at again later: the lock of a file that is closed goes after the event of it. Returns how many
 * Arrows are on the network.
 */
static unsigned int watch_sweep_changed(struct watch *w)
{
	struct changed *c = &w->changed;
	size_t kept = 0;

	if (c->all) {
		*c = (struct changed){0};
		return net_lease_sweep(w->paths, w->network->name);
	}
	for (size_t i = 0; i < c->n; i++)
		if (net_lease_sweep_one(w->paths, w->network->name, c->ids[i])) {
			if (kept != i)
				memcpy(c->ids[kept], c->ids[i], sizeof(c->ids[i]));
			kept++;
		}
	c->n = kept;
	return net_lease_count(w->paths, w->network->name);
}

/* Takes back what dead Arrows had. Returns true when the network was taken down. */
static bool watch_sweep(struct watch *w)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int lock = watch_lock_current(w, &error);
	uint64_t now = now_ms();

	if (lock < 0)
		return false;
	if (watch_sweep_changed(w) > 0) {
		w->empty = 0;
		return false;
	}
	if (!w->empty)
		w->empty = now;
	if (now - w->empty < LINGER_MS)
		return false;
	watch_close_names(w);
	if (watch_is_joined(w))
		watch_remove_joined(w);
	else
		net_bridge_down(w->network, w->paths);
	return true;
}

/*
 * True if nothing was flushed, as after a change by an Arrow that starts or ends. Of what was there
 * before the watch nothing is known.
 */
static bool watch_rules_stand(const struct watch *w)
{
	return w->generation && !watch_is_joined(w) && net_bridge_has_rules(w->network, w->paths);
}

/* A firewall that somebody flushed, or a bridge that somebody removed. */
static void watch_check_rules(struct watch *w)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int lock = -1;
	uint32_t generation = net_rules_generation();

	if (generation == w->generation && (watch_is_joined(w) || net_bridge_stands(w->network)))
		return;
	lock = watch_lock_current(w, &error);
	if (lock >= 0 && watch_rules_stand(w)) {
		w->generation = generation;
		return;
	}
	/* To put in what is there changes nothing, so what there is need not be compared. */
	if (lock >= 0 &&
		(watch_is_joined(w) ? net_joined_repair(w->paths, &error)
				    : net_bridge_repair(w->network, w->paths, &error)) == 0)
		w->generation = net_rules_generation();
}

static void watch_add_changed(struct changed *c, const char *id)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->ids[i], id) == 0)
			return;
	if (c->n == CHANGED_MAX || !text_copy(c->ids[c->n], sizeof(c->ids[c->n]), id))
		c->all = true;
	else
		c->n++;
}

/* Takes what inotify tells: which leases were closed by their keepers, or removed. */
static void watch_take_events(struct watch *w)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(w->events, buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *e;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(buffer + at);
			if (e->mask & IN_Q_OVERFLOW)
				w->changed.all = true;
			else if (e->mask & IN_DELETE_SELF)
				/* Without the lock: who removes it holds that, and waits. */
				watch_exit_if_removed(w);
			else if (e->len)
				watch_add_changed(&w->changed, e->name);
		}
	}
}

static void __attribute__((noreturn)) watch_run(struct watch *w)
{
	uint64_t next_check = now_ms() + CHECK_MS;

	for (unsigned int again = 0;;) {
		struct pollfd p[] = {{w->events, POLLIN, 0}, {w->names_fd, POLLIN, 0}};

		if (poll(p, 2, CHECK_MS) < 0 && errno != EINTR)
			_exit(1);
		if (p[1].revents)
			watch_stop_names(w);
		if (!w->names && now_ms() >= w->restart)
			watch_start_names(w);
		if (p[0].revents || w->empty) {
			if (p[0].revents)
				again = 2;
			watch_take_events(w);
			if (watch_sweep(w))
				_exit(0);
		}
		if (now_ms() >= next_check) {
			watch_check_rules(w);
			if (again && again-- && watch_sweep(w))
				_exit(0);
			if (!again)
				w->changed.n = 0;
			next_check = now_ms() + CHECK_MS;
		}
	}
}

/* Closes all but the two and stdio, which becomes /dev/null. */
static void watch_leave_all(int keep_a, int keep_b)
{
	const int keep[] = {keep_a, keep_b};
	int null_fd;

	close_all_but(keep, 2);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3 && null_fd >= 0; i++)
		dup2(null_fd, i);
	close_keep_errno(null_fd);
}

static void __attribute__((noreturn)) watch_become(
	const struct net_network *network, const struct arrow_paths *paths, int lock_fd, int ready)
{
	struct watch w = {.network = network,
		.paths = paths,
		.lock = lock_fd,
		.sockets = {-1, -1},
		.names_fd = -1,
		.events = -1};
	_cleanup_free_ char *leases = net_watch_file(paths, network->name, "leases");
	_cleanup_free_ char *alive = net_watch_file(paths, network->name, "alive");
	sigset_t none;

	setsid();
	watch_leave_all(lock_fd, ready);
	title_set(NET_WATCH_TITLE, network->name);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (chdir("/") < 0)
		_exit(1);
	if (!alive || open(alive, O_RDWR | O_CLOEXEC) < 0)
		_exit(1);
	w.events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	/* A keeper that dies closes its lease. */
	if (w.events < 0 || !leases ||
		inotify_add_watch(w.events, leases, IN_CLOSE_WRITE | IN_DELETE | IN_DELETE_SELF) <
			0)
		_exit(1);
	/* That of the rules is not known: they may have been flushed since they were put in. */
	w.empty = now_ms();
	w.changed.all = true;
	/* Interfaces that were taken over are given back in their own namespace. */
	if (caps_keep(WATCH_CAPS | (watch_is_joined(&w) ? CAPS_BIT(CAP_SYS_ADMIN) : 0)) < 0)
		_exit(1);
	if (watch_is_joined(&w))
		w.restart = UINT64_MAX;
	else
		watch_start_names(&w);
	if (write(ready, "r", 1) != 1)
		_exit(1);
	close(ready);
	watch_run(&w);
}

static void watch_publish(struct net_lease *lease, bool dead, void *arg)
{
	/* One without its names is better than no network. */
	if (!dead)
		(void)!net_lease_publish_names(lease, arg);
}

static int watch_make_dirs(const struct arrow_paths *paths, const struct net_network *n)
{
	const char *network = n->name;
	_cleanup_free_ char *leases = net_watch_file(paths, network, "leases");
	_cleanup_free_ char *alive = net_watch_file(paths, network, "alive");
	int r = leases && alive ? mkdir_all(leases, 0700) : -ENOMEM;

	if (r == 0 && mkfifo(alive, 0600) < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0 || strcmp(network, NET_JOINED) == 0)
		return r;
	r = net_names_prepare(paths, network, n->internal);
	/* Those that were removed while nobody saw to them. */
	if (r == 0)
		r = net_lease_each(paths, network, watch_publish, (void *)paths);
	if (r == 0)
		r = net_lease_each(paths, NET_JOINED, watch_publish, (void *)paths);
	return r;
}

int net_watch_start(const struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	_cleanup_free_ char *path = net_watch_file(paths, network->name, "watch");
	_cleanup_free_ char *names = net_watch_file(paths, network->name, "names");
	_cleanup_close_ int lock = -1, ready = -1;
	int r, fds[2];
	uint64_t end;
	pid_t pid;
	char byte;

	r = watch_make_dirs(paths, network);
	if (r == 0 && net_watch_lives(paths, network->name))
		return 0;
	end = now_ms() + LOCK_MS;
	if (r == 0 && !(path && names))
		r = -ENOMEM;
	if (r == 0) {
		lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		/* Who asks whether it lives has the lock for a moment. */
		while ((r = lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 ? -errno : 0) ==
				-EWOULDBLOCK &&
			now_ms() < end)
			poll(NULL, 0, LOCK_PAUSE_MS);
	}
	if (r < 0)
		return arrow_fail(error, -r, "cannot watch network %s: %m", network->name);
	unlink(names);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return arrow_fail(error, errno, "cannot create a pipe: %m");
	ready = fds[0];
	/* Twice, so that it is nobody's child who does not wait for it. */
	pid = fork();
	if (pid == 0) {
		if (fork() == 0)
			watch_become(network, paths, lock, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	if (pid < 0)
		return arrow_fail(
			error, errno, "cannot start the watch of network %s: %m", network->name);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	while ((r = (int)read(ready, &byte, 1)) < 0 && errno == EINTR)
		;
	return r == 1 ? 0
		      : arrow_fail(
				error, EIO, "the watch of network %s did not start", network->name);
}

int net_watch_start_joined(const struct arrow_paths *paths, struct arrow_error *error)
{
	const struct net_network joined = {.name = NET_JOINED};

	return net_watch_start(&joined, paths, error);
}
