// SPDX-License-Identifier: Apache-2.0
#include "net/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/bridge.h"
#include "net/lease.h"
#include "net/rules.h"
#include "net/watch_state.h"
#include "util/caps.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"
#include "util/process.h"
#include "util/text.h"
#include "util/title.h"

#define LINGER_MS 5000u         /* an empty network stays so long: the next Arrow finds it up */
#define CHECK_MS 1000u          /* between two looks at the firewall */
#define READY_DEADLINE_MS 5000u /* of the name server */
#define RESTART_MS 500u         /* between two starts of a name server that ends */
#define RETRY_MS 5000u          /* of one that does not come up */
#define NOBODY 65534u           /* user and group of the name server */
/* Rules and bridges; files, also below a directory of another user; the name server's user and end.
 */
#define WATCH_CAPS                                                                                 \
	(CAPS_BIT(CAP_NET_ADMIN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_SETUID) |             \
		CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_NET_BIND_SERVICE) | CAPS_BIT(CAP_KILL))
#define HOSTS_DIR "/mnt" /* where the name server sees RUN/networks/<network>/hosts */

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

/* Asks the name server for its version until it answers. */
static bool watch_wait_names(const struct watch *w)
{
	/* version.bind, TXT, class CHAOS: answered by itself. */
	static const uint8_t question[] = "\x41\x52\x01\0\0\1\0\0\0\0\0\0\7version\4bind\0\0\x10\0";
	uint64_t end = now_ms() + READY_DEADLINE_MS;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint8_t answer[512];

	memcpy(&to.sin_addr, w->network->gateway4.bytes, 4);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return false;
	while (now_ms() < end) {
		struct pollfd p[] = {{fd, POLLIN, 0}, {w->names_fd, POLLIN, 0}};

		/* The class' last byte is the NUL that ends the string, plus 3 for CHAOS. */
		uint8_t packet[sizeof(question)];

		memcpy(packet, question, sizeof(question));
		packet[sizeof(packet) - 1] = 3;
		if (send(fd, packet, sizeof(packet), 0) < 0 && errno != ECONNREFUSED)
			return false;
		if (poll(p, 2, 3) > 0) {
			if (p[1].revents)
				return false;
			if (recv(fd, answer, sizeof(answer), 0) > 2)
				return true;
			poll(NULL, 0, 2); /* nobody is there yet */
		}
	}
	return false;
}

/*
 * Nobody who may take port 53. The name server does not change its user itself: the kernel then
 * forgets that it is to die with the watch.
 */
static int watch_become_nobody(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const uint32_t port = 1u << CAP_NET_BIND_SERVICE;
	struct __user_cap_data_struct data[2] = {{port, port, port}, {0, 0, 0}};

	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
		setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
		syscall(SYS_capset, &header, data) < 0 ||
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) watch_run_names(const struct watch *w, pid_t parent)
{
	char address[NET_ADDRESS_TEXT];
	_cleanup_free_ char *program = process_find("dnsmasq"), *listen = NULL;
	sigset_t none;

	if (!program && access("/usr/sbin/dnsmasq", X_OK) == 0)
		program = strdup("/usr/sbin/dnsmasq");
	listen = path_format(
		"--listen-address=%s", net_address_text(&w->network->gateway4, false, address));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!program || !listen || watch_become_nobody() < 0 || getppid() != parent)
		_exit(127);
	execl(program, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
		"--hostsdir=" HOSTS_DIR, "--bind-interfaces", listen, "--pid-file",
		"--user=", "--group=", "--cache-size=1000", "--dns-forward-max=1000",
		"--log-facility=/dev/null", "--no-dhcp-interface=*",
		/* Names without a dot are those of Arrows; nobody else is asked for them. */
		"--domain-needed", w->network->internal ? "--no-resolv" : NULL, NULL);
	_exit(127);
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

static void watch_start_names(struct watch *w)
{
	_cleanup_free_ char *mark = net_watch_file(w->paths, w->network->name, "names");
	pid_t parent = getpid();

	w->restart = now_ms() + RESTART_MS;
	w->names = fork();
	if (w->names == 0)
		watch_run_names(w, parent);
	if (w->names < 0) {
		w->names = 0;
		return;
	}
	w->names_fd = (int)syscall(SYS_pidfd_open, w->names, 0);
	if (w->names_fd >= 0)
		fcntl(w->names_fd, F_SETFD, FD_CLOEXEC);
	/* The mark stays while one that was killed is started again: Arrows get its address. */
	if (mark && watch_wait_names(w)) {
		close_keep_errno(open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	} else if (mark) {
		unlink(mark);
		watch_stop_names(w);
		w->restart = now_ms() + RETRY_MS;
	}
}

/* The name server's user cannot enter RUN: it gets the directory where it can. */
static int watch_show_hosts(const struct watch *w)
{
	_cleanup_free_ char *hosts = net_watch_file(w->paths, w->network->name, "hosts");

	if (!hosts || unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount(hosts, HOSTS_DIR, NULL, MS_BIND, NULL) < 0)
		return -errno;
	return 0;
}

static void watch_remove_joined(const struct watch *w)
{
	_cleanup_free_ char *dir = path_format("%s/networks/" NET_JOINED, w->paths->run);

	if (dir)
		remove_tree(AT_FDCWD, dir);
}

/*
 * Takes the lock of all networks, for the network that this is the watch of. One of that name that
 * was made since has a watch of its own, and its lock is another file.
 */
static int watch_lock_current(struct watch *w, struct arrow_error *error)
{
	_cleanup_free_ char *path = net_watch_file(w->paths, w->network->name, "watch");
	int lock = net_lock(w->paths, error);
	struct stat ours, now;

	if (lock < 0 || !path || fstat(w->lock, &ours) < 0)
		return lock;
	if (stat(path, &now) == 0 && now.st_ino == ours.st_ino && now.st_dev == ours.st_dev)
		return lock;
	/* Before the lock goes: its address may be the next one's. */
	watch_stop_names(w);
	_exit(0);
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
	watch_stop_names(w);
	if (watch_is_joined(w))
		watch_remove_joined(w);
	else
		net_bridge_down(w->network, w->paths);
	return true;
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
	struct watch w = {
		.network = network, .paths = paths, .lock = lock_fd, .names_fd = -1, .events = -1};
	_cleanup_free_ char *leases = net_watch_file(paths, network->name, "leases");
	_cleanup_free_ char *alive = net_watch_file(paths, network->name, "alive");
	sigset_t none;
	bool names;

	setsid();
	watch_leave_all(lock_fd, ready);
	title_set("arrow-net", network->name);
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
		inotify_add_watch(w.events, leases, IN_CLOSE_WRITE | IN_DELETE) < 0)
		_exit(1);
	/* That of the rules is not known: they may have been flushed since they were put in. */
	w.empty = now_ms();
	w.changed.all = true;
	names = !watch_is_joined(&w) && watch_show_hosts(&w) == 0;
	/* Interfaces that were taken over are given back in their own namespace. */
	if (caps_keep(WATCH_CAPS | (watch_is_joined(&w) ? CAPS_BIT(CAP_SYS_ADMIN) : 0)) < 0)
		_exit(1);
	if (names)
		watch_start_names(&w);
	else
		w.restart = UINT64_MAX;
	if (write(ready, "r", 1) != 1)
		_exit(1);
	close(ready);
	watch_run(&w);
}

static int watch_make_dirs(const struct arrow_paths *paths, const char *network)
{
	_cleanup_free_ char *leases = net_watch_file(paths, network, "leases");
	_cleanup_free_ char *hosts = net_watch_file(paths, network, "hosts");
	_cleanup_free_ char *alive = net_watch_file(paths, network, "alive");
	int r = leases && hosts && alive ? mkdir_all(leases, 0700) : -ENOMEM;

	if (r == 0)
		r = mkdir_all(hosts, 0755);
	if (r == 0 && mkfifo(alive, 0600) < 0 && errno != EEXIST)
		r = -errno;
	return r;
}

int net_watch_start(const struct net_network *network, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	_cleanup_free_ char *path = net_watch_file(paths, network->name, "watch");
	_cleanup_free_ char *names = net_watch_file(paths, network->name, "names");
	_cleanup_close_ int lock = -1, ready = -1;
	int r = watch_make_dirs(paths, network->name), fds[2];
	pid_t pid;
	char byte;

	if (r == 0 && !(path && names))
		r = -ENOMEM;
	if (r == 0) {
		lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		r = lock < 0 ? -errno : 0;
	}
	if (r < 0)
		return arrow_fail(error, -r, "cannot watch network %s: %m", network->name);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return 0; /* it is there */
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
