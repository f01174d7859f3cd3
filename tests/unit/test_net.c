// SPDX-License-Identifier: Apache-2.0
/* Networks that are made and removed, in a network namespace of this program. */
#include "unit.h"

#include "killed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/bridge.h"
#include "net/dns.h"
#include "net/lease_take.h"
#include "net/link.h"
#include "net/manage.h"
#include "net/names.h"
#include "net/net.h"
#include "net/ports.h"
#include "net/resolv.h"
#include "net/settle.h"
#include "net/up.h"
#include "net/watch_state.h"
#include "util/cleanup.h"
#include "util/io.h"

#define DEADLINE_MS 60000u

static char base[] = "/tmp/arrow-test-net-XXXXXX";
static char data[sizeof(base) + 8], run[sizeof(base) + 8];
static const struct arrow_paths paths = {.data = data, .run = run};

static int set_up(void **state)
{
	struct net_link lo;

	/* All that is made goes with the namespace. */
	if (unshare(CLONE_NEWNET) < 0)
		return errno == EPERM ? 0 : -1;
	*state = base;
	/* Their processes come to this one. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -1;
	if (!mkdtemp(base) || net_link_find("lo", &lo) < 0 || net_link_up(lo.index, 0, 0) < 0)
		return -1;
	snprintf(data, sizeof(data), "%s/data", base);
	snprintf(run, sizeof(run), "%s/run", base);
	return mkdir(data, 0755) < 0 || mkdir(run, 0700) < 0 ? -1 : 0;
}

/* The children of this process, which the watches are, too. Owned by the caller. */
static char *list_children(void)
{
	char *children = NULL;

	assert_int_equal(
		read_file(AT_FDCWD, "/proc/thread-self/children", 65536, &children, NULL), 0);
	return children;
}

static void signal_all(const char *pids, int signal)
{
	char *end;

	for (const char *at = pids; *at; at = end + strspn(end, " "))
		kill((pid_t)strtol(at, &end, 10), signal);
}

/* Also the watches that a test which failed has left. */
static int tear_down(void **state)
{
	_cleanup_free_ char *children = NULL;

	if (!*state)
		return 0;
	children = list_children();
	signal_all(children, SIGKILL);
	while (wait(NULL) > 0)
		;
	return remove_tree(AT_FDCWD, base);
}

static void need_root(void **state)
{
	if (!*state)
		skip(); /* networks need CAP_NET_ADMIN */
}

/* Watches change networks, too. Owned by the caller. */
static int lock_networks(void)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	int lock = net_lock(&paths, &error);

	assert_true(lock >= 0);
	return lock;
}

static void create_network(struct net_network *n, const char *name, const char *subnet)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	const char *const subnets[] = {subnet, NULL};
	int r = net_network_create(n, &paths,
		&(struct net_wish){.name = name, .subnets = subnet ? subnets : NULL}, &error);

	if (r < 0)
		fail_msg("create %s: %s", name, error.text);
}

static void bring_up(struct net_network *n)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	if (net_network_up(n, &paths, &error) < 0)
		fail_msg("up %s: %s", n->name, error.text);
}

/* It takes the lock itself: the caller has its own back then, if it had one. */
static void remove_network(int *lock, const char *name)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	bool held = *lock >= 0;

	close_keep_errno(steal_fd(lock));
	if (net_network_remove(&paths, name, &error) < 0)
		fail_msg("remove %s: %s", name, error.text);
	if (held)
		*lock = lock_networks();
}

/* As `arrow doctor --fix`; then it has nothing more to say. */
static void settle(void)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct net_findings f;

	if (net_settle(&paths, true, &f, &error) < 0)
		fail_msg("settle: %s", error.text);
	assert_int_equal(net_settle(&paths, false, &f, &error), 0);
	assert_int_equal(f.dead + f.left + f.alone + f.broken, 0);
}

static int open_watch(const char *name)
{
	_cleanup_free_ char *path = path_format("%s/networks/%s/watch", run, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Until the watch that locks the file has ended. */
static void wait_watch(int fd)
{
	uint64_t end = now_ms() + DEADLINE_MS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		assert_true(now_ms() < end);
		usleep(20000);
	}
}

static void assert_down(const struct net_network *n)
{
	_cleanup_free_ char *dir = path_format("%s/networks/%s", run, n->name);
	struct net_link link;

	assert_int_equal(net_link_find(n->bridge, &link), -ENODEV);
	assert_int_equal(access(dir, F_OK), -1);
}

static void test_watch_of_a_removed_network_ends(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_network_ struct net_network first = {0}, second = {0};
	_cleanup_close_ int lock = -1, watch = -1;
	const struct net_lease_wish wish = {.id = "0123456789abcdef", .name = "box"};
	struct net_lease lease;
	struct net_link link;

	need_root(state);
	lock = lock_networks();
	create_network(&first, "again", NULL);
	bring_up(&first);
	watch = open_watch("again");
	remove_network(&lock, "again");
	create_network(&second, "again", NULL);
	assert_string_not_equal(first.bridge, second.bridge);
	assert_true(net_address_equal(&first.subnet4, &second.subnet4));
	bring_up(&second);
	/* The port of its name server is free. */
	assert_true(net_watch_resolves(&paths, "again"));
	assert_int_equal(net_lease_take(&lease, &paths, &second, &wish, &error), 0);
	close(steal_fd(&lock));
	wait_watch(watch);
	assert_int_equal(net_link_find(first.bridge, &link), -ENODEV);
	assert_true(net_bridge_stands(&second));
	lock = lock_networks();
	close_keep_errno(net_lease_end(&lease, &paths));
	remove_network(&lock, "again");
	assert_down(&second);
}

/*
 * Removes a network whose watch is stopped, in a child. Returns true if that waits for the watch
 * while others can have the lock.
 */
static bool removal_waits_unlocked(const struct net_network *n)
{
	_cleanup_free_ char *path = path_format("%s/networks/%s.json", data, n->name);
	_cleanup_free_ char *watches = list_children();
	_cleanup_close_ int lock = -1, fd = -1;
	uint64_t end = now_ms() + DEADLINE_MS;
	struct pollfd p = {.events = POLLIN};
	bool waits;
	pid_t pid;

	signal_all(watches, SIGSTOP);
	pid = fork();
	if (pid == 0) {
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

		_exit(net_network_remove(&paths, n->name, &error) < 0);
	}
	p.fd = fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(fd >= 0);
	while (access(path, F_OK) == 0) {
		assert_true(now_ms() < end);
		usleep(5000);
	}
	lock = lock_networks();
	waits = poll(&p, 1, 200) == 0;
	close(steal_fd(&lock));
	signal_all(watches, SIGCONT);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return waits;
}

static void test_who_removes_a_network_waits_without_the_lock(void **state)
{
	bool waits = false;

	need_root(state);
	/* It waits for two seconds only, in which this process may not run. */
	for (int tries = 0; !waits && tries < 5; tries++) {
		_cleanup_network_ struct net_network n = {0};
		_cleanup_close_ int lock = lock_networks();

		create_network(&n, "slow", NULL);
		bring_up(&n);
		close(steal_fd(&lock));
		waits = removal_waits_unlocked(&n);
	}
	assert_true(waits);
}

static void test_a_subnet_that_is_taken_is_left(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_network_ struct net_network chosen = {0}, named = {0}, stored = {0};
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int lock = -1;
	struct net_link taken;
	int watch;

	need_root(state);
	lock = lock_networks();
	create_network(&chosen, NET_DEFAULT, NULL);
	create_network(&named, "named", "10.200.0.0/24");
	assert_int_equal(net_link_make_bridge("taken", mac, 1500), 0);
	assert_int_equal(net_link_find("taken", &taken), 0);
	assert_int_equal(net_link_add_address(taken.index, &chosen.gateway4), 0);
	assert_int_equal(net_link_add_address(taken.index, &named.gateway4), 0);
	bring_up(&chosen);
	assert_false(net_address_in(
		&chosen.subnet4, &(struct net_address){.family = 4, .bytes = {10, 80, 0, 1}}));
	assert_int_equal(net_network_find(&stored, &paths, NET_DEFAULT), 0);
	assert_true(net_address_equal(&stored.subnet4, &chosen.subnet4));
	assert_true(net_address_equal(&stored.gateway4, &chosen.gateway4));
	assert_string_equal(stored.id, chosen.id);
	/* One that was asked for stays. */
	assert_int_equal(net_network_up(&named, &paths, &error), -EADDRINUSE);
	arrow_error_clear(&error);
	net_link_delete("taken");
	remove_network(&lock, "named");
	/* The default network stays, by name and by id; so it is taken down by hand. */
	close_keep_errno(steal_fd(&lock));
	assert_int_equal(net_network_remove(&paths, NET_DEFAULT, &error), -EPERM);
	assert_string_equal(error.text, "bridge is a predefined network and cannot be removed");
	arrow_error_clear(&error);
	assert_int_equal(net_network_remove(&paths, chosen.id, &error), -EPERM);
	lock = lock_networks();
	watch = net_watch_hold(&paths, NET_DEFAULT);
	net_bridge_down(&chosen, &paths);
	net_watch_wait_end(watch);
	path = path_format("%s/networks/" NET_DEFAULT ".json", paths.data);
	assert_int_equal(unlink(path), 0);
	assert_down(&chosen);
}

struct families {
	unsigned int four, six;
};

static void count_address(const struct net_address *address, void *arg)
{
	struct families *n = arg;

	*(address->family == 6 ? &n->six : &n->four) += 1;
}

/* How many elements of a set there are. */
static unsigned int count_set(const struct net_elements *elements, enum net_set set)
{
	unsigned int n = 0;

	for (size_t i = 0; i < elements->n; i++)
		n += elements->v[i].set == set;
	return n;
}

static void test_a_network_without_ipv4(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_network_ struct net_network n = {0}, stored = {0};
	static const char *const subnets4[] = {"10.202.0.0/24", NULL};
	static const char *const subnets6[] = {"fd00:6::/64", NULL};
	/* What is refused, and a word of why. */
	static const struct {
		const char *ip, *ip6, *why;
	} bad[] = {
		{"10.202.0.2", NULL, "network six has no IPv4"},
		{NULL, "fd00:7::2", "has the subnet fd00:6::/64"},
		{NULL, "10.202.0.2", "has the subnet fd00:6::/64"},
		{NULL, "fd00:6::1", "is in use"},
	};
	struct net_wish wish = {.name = "six", .no_ipv4 = true};
	struct net_ports ports = {0};
	struct net_lease_wish chosen = {.id = "0123456789abcdef", .name = "box", .ports = &ports};
	struct net_elements elements = {0};
	struct families found = {0};
	struct net_lease lease;
	struct net_link link;
	_cleanup_close_ int lock = -1;
	json_t *json;

	need_root(state);
	lock = lock_networks();
	assert_int_equal(net_network_create(&n, &paths, &wish, &error), -EINVAL);
	assert_non_null(strstr(error.text, "requires IPv4 or IPv6"));
	arrow_error_clear(&error);
	wish.ipv6 = true;
	wish.subnets = subnets4;
	assert_int_equal(net_network_create(&n, &paths, &wish, &error), -EINVAL);
	assert_non_null(strstr(error.text, "no IPv4 subnet"));
	arrow_error_clear(&error);
	wish.subnets = subnets6;
	assert_int_equal(net_network_create(&n, &paths, &wish, &error), 0);
	assert_int_equal(net_network_find(&stored, &paths, "six"), 0);
	assert_true(stored.ipv6_only);
	assert_int_equal(stored.subnet4.family + stored.gateway4.family + stored.range4.family, 0);
	assert_true(net_address_equal(&stored.subnet6, &n.subnet6));
	json = net_network_json(&stored, &paths);
	assert_true(json_is_false(json_object_get(json, "EnableIPv4")));
	assert_true(json_is_true(json_object_get(json, "EnableIPv6")));
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(json, "IPAM"), "Config")), 1);
	json_decref(json);

	bring_up(&stored);
	assert_int_equal(stored.subnet4.family, 0);
	assert_true(net_bridge_whole(&stored, &paths));
	assert_true(net_watch_resolves(&paths, "six"));
	assert_int_equal(net_link_find(stored.bridge, &link), 0);
	assert_int_equal(net_link_addresses(link.index, count_address, &found), 0);
	assert_int_equal(found.four, 0);
	assert_true(found.six > 0);
	assert_int_equal(net_ports_parse(&ports, "8080:80", &error), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		chosen.ip = bad[i].ip;
		chosen.ip6 = bad[i].ip6;
		assert_true(net_lease_take(&lease, &paths, &stored, &chosen, &error) < 0);
		if (!strstr(error.text, bad[i].why))
			fail_msg("%s", error.text);
		arrow_error_clear(&error);
	}
	chosen.ip6 = "fd00:6::9";
	assert_int_equal(net_lease_take(&lease, &paths, &stored, &chosen, &error), 0);
	assert_int_equal(lease.address4.family, 0);
	assert_int_equal(lease.address6.bytes[15], 9);
	assert_memory_not_equal(lease.mac, link.mac, 6);
	net_lease_elements(&lease, &elements);
	assert_int_equal(count_set(&elements, NET_SET_ADDR4), 0);
	assert_int_equal(count_set(&elements, NET_SET_ANY4), 0);
	assert_int_equal(count_set(&elements, NET_SET_CARRIED_ANY4), 1);
	assert_int_equal(count_set(&elements, NET_SET_ANY6), 1);
	assert_int_equal(count_set(&elements, NET_SET_CARRIED_ANY6), 0);
	assert_int_equal(net_rules_add(&elements), 0);
	net_elements_release(&elements);
	close_keep_errno(net_lease_end(&lease, &paths));
	net_ports_release(&ports);
	remove_network(&lock, "six");
	assert_down(&stored);
}

/* An Arrow on two networks loses what the firewall has for one of its cards. */
static void test_a_tap_without_its_rules_is_missed(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct net_network n[2] = {0};
	static const char *const names[] = {"left", "right"};
	struct net_elements elements[2] = {0}, stale = {0};
	struct net_lease leases[2];
	_cleanup_close_ int lock = -1;

	need_root(state);
	lock = lock_networks();
	for (unsigned int i = 0; i < 2; i++) {
		const struct net_lease_wish wish = {
			.id = "d23456789abcdef0", .name = "box", .card = i};

		create_network(&n[i], names[i], NULL);
		bring_up(&n[i]);
		assert_int_equal(net_lease_take(&leases[i], &paths, &n[i], &wish, &error), 0);
		net_lease_elements(&leases[i], &elements[i]);
		assert_false(net_bridge_has_rules(&n[i], &paths));
		assert_int_equal(net_rules_add(&elements[i]), 0);
		assert_int_equal(net_lease_publish_names(&leases[i], &paths), 0);
		assert_true(net_bridge_has_rules(&n[i], &paths));
	}
	close_keep_errno(net_rules_remove(&elements[1]));
	/* As many taps as leases, but another one. */
	net_elements_mac(&stale, NET_TAP "1-0123456789", leases[1].mac);
	assert_int_equal(net_rules_add(&stale), 0);
	assert_true(net_bridge_has_rules(&n[0], &paths));
	assert_false(net_bridge_has_rules(&n[1], &paths));
	close_keep_errno(net_rules_remove(&stale));
	assert_int_equal(net_rules_add(&elements[1]), 0);
	assert_true(net_bridge_has_rules(&n[1], &paths));
	net_elements_release(&stale);
	for (size_t i = 0; i < 2; i++) {
		net_elements_release(&elements[i]);
		close_keep_errno(net_lease_end(&leases[i], &paths));
		remove_network(&lock, names[i]);
	}
	net_network_release(&n[0]);
	net_network_release(&n[1]);
}

/* A UDP socket that is bound, and connected if `to` is not NULL. */
static int open_udp(const char *from, uint16_t port, const char *to, uint16_t to_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in b = {.sin_family = AF_INET, .sin_port = htons(to_port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, from, &a.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (to) {
		assert_int_equal(inet_pton(AF_INET, to, &b.sin_addr), 1);
		assert_int_equal(connect(fd, (struct sockaddr *)&b, sizeof(b)), 0);
	}
	return fd;
}

static bool is_heard(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	char byte;

	return poll(&p, 1, 1000) == 1 && recv(fd, &byte, 1, 0) == 1;
}

/*
 * Two addresses of this host stand for two Arrows, one after the other. A client that never stops
 * sending from one port reaches the second one.
 */
static void test_udp_flows_end_with_their_arrow(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_network_ struct net_network n = {0};
	_cleanup_close_ int lock = -1, client = -1, first = -1, second = -1;
	struct net_ports ports = {0};
	struct net_lease_wish wish = {.name = "box", .ports = &ports};
	static const char *const ips[] = {"10.201.0.11", "10.201.0.12"};
	static const char *const ids[] = {"0123456789abcdef", "123456789abcdef0"};
	struct net_link link;

	need_root(state);
	lock = lock_networks();
	create_network(&n, "udp", "10.201.0.0/24");
	bring_up(&n);
	assert_int_equal(net_ports_parse(&ports, "5353:53/udp", &error), 0);
	assert_int_equal(net_link_find(n.bridge, &link), 0);
	for (size_t i = 0; i < 2; i++) {
		struct net_address address;

		assert_int_equal(net_address_parse(ips[i], &address), 0);
		assert_int_equal(net_link_add_address(link.index, &address), 0);
	}
	first = open_udp(ips[0], 53, NULL, 0);
	second = open_udp(ips[1], 53, NULL, 0);
	client = open_udp("10.201.0.1", 4000, "10.201.0.1", 5353);
	for (size_t i = 0; i < 2; i++) {
		struct net_elements elements = {0};
		struct net_lease lease;

		wish.id = ids[i];
		wish.ip = ips[i];
		assert_int_equal(net_lease_take(&lease, &paths, &n, &wish, &error), 0);
		net_lease_elements(&lease, &elements);
		assert_int_equal(net_rules_add(&elements), 0);
		net_elements_release(&elements);
		assert_int_equal(send(client, "x", 1, 0), 1);
		assert_true(is_heard(i ? second : first));
		close_keep_errno(net_lease_end(&lease, &paths));
	}
	net_ports_release(&ports);
	remove_network(&lock, "udp");
}

/* How often leases, and the directory that lists them, were opened. */
struct opens {
	int fd; /* inotify, of the directory */
	unsigned int leases[3], list;
};

static const char *const read_ids[] = {"a123456789abcdef", "b123456789abcdef", "c123456789abcdef"};

static void count_opens(struct opens *o)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t size;

	while ((size = read(o->fd, buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *e;

		for (ssize_t at = 0; at < size; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(buffer + at);
			o->list += e->len == 0;
			for (size_t i = 0; i < 3; i++)
				o->leases[i] += e->len && strcmp(e->name, read_ids[i]) == 0;
		}
	}
}

/*
 * Changes the rules, to what they were before, and waits until the watch has looked for leases,
 * which it does then under the lock. Three times: it may be at another look just now.
 */
static void have_rules_looked_at(struct opens *o)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct pollfd p = {o->fd, POLLIN, 0};

	for (int i = 0; i < 3; i++) {
		struct net_elements elements = {0};

		net_elements_mac(&elements, NET_TAP "7-0123456789", mac);
		assert_int_equal(net_rules_add(&elements), 0);
		close_keep_errno(net_rules_remove(&elements));
		net_elements_release(&elements);
		count_opens(o);
		for (unsigned int before = o->list; o->list == before; count_opens(o))
			assert_int_equal(poll(&p, 1, (int)DEADLINE_MS), 1);
		close(lock_networks());
		count_opens(o);
	}
}

/* A start and an end read the lease of their Arrow, and no other. */
static void test_a_start_and_an_end_read_one_lease(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_network_ struct net_network n = {0};
	_cleanup_close_ int lock = -1, events = -1;
	struct net_lease_wish wish = {.name = "box"};
	_cleanup_free_ char *dir = path_format("%s/networks/many/leases", run);
	_cleanup_free_ char *ended = path_format("%s/%s", dir, read_ids[0]);
	const char *const names[] = {"many", NULL};
	struct net_ports ports = {0};
	const struct net_request request = {
		.id = "d123456789abcdef", .name = "another", .ports = &ports};
	uint64_t end = now_ms() + DEADLINE_MS;
	struct net_attachment attachment;
	struct net_lease leases[3];
	struct opens opens = {0};
	struct net_plan plan;

	need_root(state);
	lock = lock_networks();
	create_network(&n, "many", NULL);
	bring_up(&n);
	for (size_t i = 0; i < 3; i++) {
		wish.id = read_ids[i];
		assert_int_equal(net_lease_take(&leases[i], &paths, &n, &wish, &error), 0);
		assert_int_equal(net_lease_publish_names(&leases[i], &paths), 0);
	}
	opens.fd = events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	assert_true(inotify_add_watch(events, dir, IN_OPEN) >= 0);
	close(steal_fd(&lock));
	/* It reads all as it begins, for the dead and for the rules; then nothing more. */
	have_rules_looked_at(&opens);
	assert_true(opens.leases[0] && opens.leases[1] && opens.leases[2]);
	memset(opens.leases, 0, sizeof(opens.leases));
	/* A start that publishes a port, too. */
	assert_int_equal(net_plan(&plan, names, &error), 0);
	assert_int_equal(net_ports_parse(&ports, "80", &error), 0);
	assert_int_equal(net_attach(&attachment, &plan, &request, &paths, &error), 0);
	have_rules_looked_at(&opens);
	net_detach(&attachment);
	have_rules_looked_at(&opens);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(opens.leases[i], 0);
	/* As a keeper that is killed does. */
	close_keep_errno(steal_fd(&leases[0].fd));
	while (access(ended, F_OK) == 0) {
		assert_true(now_ms() < end);
		usleep(20000);
	}
	lock = lock_networks();
	count_opens(&opens);
	assert_true(opens.leases[0] > 0);
	assert_int_equal(opens.leases[1], 0);
	assert_int_equal(opens.leases[2], 0);
	net_lease_release(&leases[0]);
	net_ports_release(&ports);
	for (size_t i = 1; i < 3; i++)
		close_keep_errno(net_lease_end(&leases[i], &paths));
	remove_network(&lock, "many");
}

/* A query for one name, as programs send it. Returns its size. */
static size_t make_query(uint8_t query[512], const char *name, uint16_t type)
{
	static const uint8_t head[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	size_t at = sizeof(head);

	memcpy(query, head, sizeof(head));
	while (*name) {
		size_t label = strcspn(name, ".");

		query[at++] = (uint8_t)label;
		memcpy(query + at, name, label);
		at += label;
		name += label + (name[label] == '.');
	}
	memcpy(query + at, (const uint8_t[]){0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1}, 5);
	return at + 5;
}

/* Asks the name server of a network for the IPv4 address of a name, from an address. */
static void assert_resolves(const char *from, const char *gateway, const char *name, const char *ip)
{
	uint8_t query[512], answer[512], wanted[4];
	size_t size = make_query(query, name, ns_t_a);
	_cleanup_close_ int fd = open_udp(from, 0, gateway, 53);
	struct pollfd p = {fd, POLLIN, 0};
	ssize_t n;

	assert_int_equal(inet_pton(AF_INET, ip, wanted), 1);
	assert_int_equal(send(fd, query, size, 0), (ssize_t)size);
	assert_int_equal(poll(&p, 1, (int)DEADLINE_MS), 1);
	n = recv(fd, answer, sizeof(answer), 0);
	assert_int_equal(n, (ssize_t)size + 16);
	assert_memory_equal(answer + n - 4, wanted, 4);
}

/*
 * The names of a network are removed beside its watch, or were never there, as with a watch of an
 * older version: no address is given twice, and names are resolved from the next start on.
 */
static void test_names_that_are_missing_come_back(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_network_ struct net_network n = {0};
	_cleanup_free_ char *names = path_format("%s/names", run);
	static const char *const ids[] = {
		"a23456789abcdef0", "b23456789abcdef0", "c23456789abcdef0"};
	static const char *const arrows[] = {"first", "second", "third"};
	static const char *const subnets[] = {"10.205.0.0/24", NULL};
	const struct net_endpoint chosen = {.ip = "10.205.0.2"};
	struct net_address address = {0};
	struct net_lease leases[3];
	struct net_findings found;
	_cleanup_close_ int lock = -1;
	struct net_link link;

	need_root(state);
	lock = lock_networks();
	/* Internal: the others have the host's address when they ask over the loopback. */
	assert_int_equal(
		net_network_create(&n, &paths,
			&(struct net_wish){.name = "old", .subnets = subnets, .internal = true},
			&error),
		0);
	/* One that is down has all but the gateway's. */
	assert_int_equal(net_lease_check(&paths, &n, &chosen, &error), 0);
	for (size_t i = 0; i < 3; i++) {
		const struct net_lease_wish wish = {.id = ids[i], .name = arrows[i]};

		if (i == 2) {
			assert_int_equal(remove_tree(AT_FDCWD, names), 0);
			assert_int_equal(net_lease_check(&paths, &n, &chosen, &error), -EADDRINUSE);
			arrow_error_clear(&error);
		}
		bring_up(&n);
		assert_int_equal(net_lease_take(&leases[i], &paths, &n, &wish, &error), 0);
		assert_int_equal(leases[i].address4.bytes[3], 2 + i);
		assert_int_equal(net_lease_publish_names(&leases[i], &paths), 0);
	}
	assert_int_equal(net_link_find(n.bridge, &link), 0);
	assert_int_equal(net_address_parse("10.205.0.2/24", &address), 0);
	assert_int_equal(net_link_add_address(link.index, &address), 0);
	assert_resolves("10.205.0.2", "10.205.0.1", "third", "10.205.0.4");
	assert_resolves("10.205.0.2", "10.205.0.1", "second", "10.205.0.3");
	/* `arrow doctor` sees it, too. */
	close(steal_fd(&lock));
	settle();
	assert_int_equal(remove_tree(AT_FDCWD, names), 0);
	assert_int_equal(net_settle(&paths, false, &found, &error), 0);
	assert_int_equal(found.broken, 1);
	settle();
	assert_resolves("10.205.0.2", "10.205.0.1", "second", "10.205.0.3");
	lock = lock_networks();
	for (size_t i = 0; i < 3; i++)
		close_keep_errno(net_lease_end(&leases[i], &paths));
	remove_network(&lock, "old");
}

static void test_dns_messages(void **state)
{
	uint8_t query[512], answer[DNS_ANSWER_MAX];
	struct net_address addresses[40], back;
	struct dns_question q;
	size_t size = make_query(query, "Web.One", ns_t_a), n;

	assert_int_equal(dns_parse_query(query, size, &q), 0);
	assert_string_equal(q.name, "web.one");
	assert_int_equal(q.type, ns_t_a);
	assert_int_equal(q.end, size);
	/* Cut anywhere, it is none; and so is what points elsewhere, or has two questions. */
	for (size_t i = 0; i < size; i++)
		assert_int_equal(dns_parse_query(query, i, &q), -EBADMSG);
	query[12] = 0xc0;
	assert_int_equal(dns_parse_query(query, size, &q), -EBADMSG);
	query[12] = 3;
	query[5] = 2;
	assert_int_equal(dns_parse_query(query, size, &q), -EBADMSG);
	query[5] = 1;
	query[14] = '/';
	assert_int_equal(dns_parse_query(query, size, &q), 0);
	query[14] = '.';
	assert_int_equal(dns_parse_query(query, size, &q), 0);
	assert_string_equal(q.name, "w\\.b.one");
	query[14] = 0xc3;
	assert_int_equal(dns_parse_query(query, size, &q), 0);
	assert_string_equal(q.name, "w\\195b.one");
	query[14] = 'e';

	size = make_query(query, "web", ns_t_aaaa);
	assert_int_equal(dns_parse_query(query, size, &q), 0);
	for (size_t i = 0; i < 40; i++)
		addresses[i] = (struct net_address){.family = 4, .bytes = {10, 0, 0, (uint8_t)i}};
	/* Another family: the name is there, and has no such address. */
	n = dns_write_addresses(query, &q, addresses, 40, 0, 512, answer);
	assert_int_equal(n, size);
	assert_int_equal(answer[3] & 15, ns_r_noerror);
	assert_int_equal(answer[7], 0);
	size = make_query(query, "web", ns_t_a);
	assert_int_equal(dns_parse_query(query, size, &q), 0);
	n = dns_write_addresses(query, &q, addresses, 3, 1, 512, answer);
	assert_int_equal(n, size + 3 * 16);
	assert_int_equal(answer[7], 3);
	assert_int_equal(answer[n - 1], 0); /* 1, 2, 0 */
	assert_int_equal(answer[2] & 2, 0);
	n = dns_write_addresses(query, &q, addresses, 40, 0, 512, answer);
	assert_true(n <= 512);
	assert_int_equal(answer[2] & 2, 2);
	n = dns_write_addresses(query, &q, addresses, 40, 0, DNS_ANSWER_MAX, answer);
	assert_int_equal(n, size + 40 * 16);
	assert_int_equal(dns_answer_code(answer, n), ns_r_noerror);
	n = dns_write_code(query, &q, ns_r_nxdomain, answer);
	assert_int_equal(dns_answer_code(answer, n), ns_r_nxdomain);
	assert_int_equal(dns_answer_code(query, size), ns_r_servfail);
	n = dns_write_name(query, &q, "box", answer);
	assert_int_equal(n, size + 12 + 5);

	assert_int_equal(dns_parse_reverse("4.3.2.10.in-addr.arpa", &back), 0);
	assert_memory_equal(back.bytes, ((const uint8_t[]){10, 2, 3, 4}), 4);
	assert_int_equal(dns_parse_reverse("4.3.2.10.1.in-addr.arpa", &back), -EINVAL);
	assert_int_equal(dns_parse_reverse("256.3.2.10.in-addr.arpa", &back), -EINVAL);
	assert_int_equal(
		dns_parse_reverse(
			"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
			&back),
		0);
	assert_int_equal(back.bytes[0], 0xfd);
	assert_int_equal(back.bytes[15], 2);
	assert_int_equal(dns_parse_reverse("2.0.ip6.arpa", &back), -EINVAL);
}

static void test_names_are_those_of_all_networks(void **state)
{
	struct net_address found[NET_NAMES_ADDRESSES];
	struct net_names box = {
		.network = "one", .id = "0123456789abcdef0", .name = "Box", .card = '0'};
	struct net_names web = {
		.network = "two", .id = "1123456789abcdef0", .name = "web.v1", .card = '0'};
	struct net_names_client client;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int dir = -1;
	struct rlimit files, none;
	char name[NET_NAMES_TEXT];
	int next;

	assert_int_equal(net_names_prepare(&paths, "one", true), 0);
	assert_int_equal(net_names_prepare(&paths, "two", false), 0);
	path = path_format("%s/names", run);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(net_address_parse("10.1.0.2", &box.address4), 0);
	assert_int_equal(net_address_parse("10.2.0.2", &web.address4), 0);
	assert_int_equal(net_address_parse("fd00::2", &web.address6), 0);
	assert_int_equal(net_names_publish(&paths, &box), 0);
	assert_int_equal(net_names_publish(&paths, &web), 0);
	assert_int_equal(net_names_client(dir, "two", &box.address4, &client), -ENOENT);
	assert_int_equal(net_names_client(dir, "one", &box.address4, &client), 0);
	assert_false(client.leads_out);
	assert_int_equal(net_names_find(dir, &client, "box", found), 1);
	assert_int_equal(net_names_find(dir, &client, "web.v1", found), 0);
	/* A network that is not Arrow's may lead out, and has no names. */
	box.network = NET_JOINED;
	box.card = '1';
	assert_int_equal(net_names_publish_joined(&paths, &box), 0);
	assert_int_equal(net_names_client(dir, "one", &box.address4, &client), 0);
	assert_true(client.leads_out);
	assert_int_equal(net_names_find(dir, &client, "box", found), 1);
	net_names_withdraw(&paths, &box);
	assert_int_equal(net_names_client(dir, "one", &box.address4, &client), 0);
	assert_false(client.leads_out);
	assert_int_equal(net_names_find(dir, &client, "box", found), 1);
	/* Without a descriptor nobody knows what names there are. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = files;
	none.rlim_cur = (rlim_t)(next = dup(dir));
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(net_names_find(dir, &client, "box", found), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	/* It comes to the other network, too. */
	box.network = "two";
	box.card = '1';
	assert_int_equal(net_address_parse("10.2.0.3", &box.address4), 0);
	assert_int_equal(net_names_publish(&paths, &box), 0);
	assert_int_equal(net_names_client(dir, "two", &box.address4, &client), 0);
	assert_int_equal(client.n, 2);
	assert_true(client.leads_out);
	assert_int_equal(net_names_find(dir, &client, "box", found), 2);
	assert_int_equal(net_names_find(dir, &client, "box.two", found), 1);
	assert_int_equal(net_names_find(dir, &client, "web.v1", found), 2);
	assert_int_equal(net_names_find(dir, &client, "web.v1.two", found), 2);
	assert_int_equal(net_names_find(dir, &client, "web.v1.one", found), 0);
	assert_int_equal(net_names_find(dir, &client, "web.v1.two.arrow.internal", found), 2);
	assert_int_equal(net_names_find(dir, &client, "112345678", found), 0);
	assert_int_equal(net_names_find(dir, &client, "1123456789ab", found), 2);
	assert_int_equal(net_names_find(dir, &client, "..", found), 0);
	assert_int_equal(net_names_find(dir, &client, "../../one/names/box", found), 0);
	assert_int_equal(net_names_reverse(dir, &client, &web.address6, name), 0);
	assert_string_equal(name, "web.v1");
	/* What another one has stays. */
	web.id = "2123456789abcdef0";
	net_names_withdraw(&paths, &web);
	assert_int_equal(net_names_find(dir, &client, "web.v1", found), 2);
	web.id = "1123456789abcdef0";
	net_names_withdraw(&paths, &web);
	assert_int_equal(net_names_find(dir, &client, "web.v1", found), 0);
	assert_int_equal(net_names_reverse(dir, &client, &web.address6, name), -ENOENT);
	net_names_remove(&paths, "one");
	net_names_remove(&paths, "two");
}

/* Of each value the largest that is taken, and the next one, by an error that has the words. */
static void test_values_reach_their_limits(void **state)
{
	static const struct {
		size_t length;                  /* of the name */
		const char *options[2], *words; /* NULL: it is taken */
	} networks[] = {
		{1, {NULL}, NULL},
		{64, {NULL}, NULL},
		{65, {NULL}, "1 to 64 letters"},
		{3, {"com.docker.network.driver.mtu=576"}, NULL},
		{3, {"com.docker.network.driver.mtu=575"}, "from 576 to 65535"},
		{3, {"com.docker.network.driver.mtu=65535"}, NULL},
		{3, {"com.docker.network.driver.mtu=65536"}, "from 576 to 65535"},
	};
	const char *names[10] = {NULL};
	struct net_ports ports = {0};
	struct net_plan plan;
	char text[16][8];
	_cleanup_close_ int lock = *state ? lock_networks() : -1;

	for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++) {
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
		_cleanup_network_ struct net_network n = {0};
		const char *const subnets[] = {"10.203.0.0/24", NULL};
		char name[80] = "";
		int r;

		memset(name, 'n', networks[i].length);
		if (!*state && !networks[i].words)
			continue; /* to make one needs CAP_NET_ADMIN */
		r = net_network_create(&n, &paths,
			&(struct net_wish){.name = name,
				.subnets = subnets,
				.options = networks[i].options[0] ? networks[i].options : NULL},
			&error);
		if ((r == 0) != !networks[i].words ||
			(r < 0 && !strstr(error.text, networks[i].words)))
			fail_msg("%s: %d, %s", name, r, error.text);
		if (r == 0)
			remove_network(&lock, name);
	}
	/* Networks of an Arrow. */
	for (size_t i = 0; i <= 8; i++) {
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

		snprintf(text[i], sizeof(text[i]), "n%zu", i);
		names[i] = text[i];
		if (net_plan(&plan, names, &error) != (i < 8 ? 0 : -E2BIG))
			fail_msg("%zu networks: %s", i + 1, error.text);
		assert_true(i < 8 || strstr(error.text, "at most 8 networks"));
	}
	/* Published ports, of one option and of several. */
	for (size_t i = 0; i < 4; i++) {
		static const char *const values[] = {
			"1-4096:1-4096", "5000", "1-4097:1-4097", "1-4097"};
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
		int r = i == 3 ? net_ports_expose(&ports, values[i], &error)
			       : net_ports_parse(&ports, values[i], &error);

		assert_int_equal(r, i ? -E2BIG : 0);
		assert_int_equal(ports.n, 4096);
		assert_true(!i || strstr(error.text, "at most 4096 ports can be published"));
		if (i)
			net_ports_release(&ports);
	}
}

/* A sanitizer copies a list each time that it grows: 4096 ports would take it minutes. */
#ifdef __SANITIZE_ADDRESS__
#define MANY_PORTS 256
#else
#define MANY_PORTS 4096
#endif

/*
 * An Arrow with as many published ports as there can be, whoever starts it from a shell that
 * allows few open files; its long name, another one, and that nothing of either is left.
 */
static void test_as_many_ports_as_there_can_be(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_network_ struct net_network n = {0};
	_cleanup_close_ int lock = -1, dir = -1;
	_cleanup_free_ char *path = path_format("%s/names", run);
	_cleanup_free_ char *range =
		path_format("20000-%d:1-%d", 20000 + MANY_PORTS - 1, MANY_PORTS);
	struct net_address found[NET_NAMES_ADDRESSES];
	const char *const names[] = {"ports", NULL};
	char longest[201], alias[201], too_long[202];
	const char *aliases[] = {alias, NULL};
	struct net_ports ports = {0}, got = {0};
	struct net_request request = {
		.id = "e123456789abcdef", .name = longest, .aliases = aliases, .ports = &ports};
	struct net_attachment attachment;
	struct net_names_client client;
	struct rlimit files;
	struct net_plan plan;

	need_root(state);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_max < 2 * MANY_PORTS + 1024)
		skip();
	files.rlim_cur = 1024;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	/* Of a name in DNS the parts have up to 63 bytes. */
	for (size_t i = 0; i < 200; i++) {
		longest[i] = i % 64 == 63 ? '.' : 'a';
		alias[i] = i % 64 == 63 ? '.' : 'b';
	}
	longest[200] = alias[200] = '\0';
	memset(too_long, 'c', 201);
	too_long[201] = '\0';
	lock = lock_networks();
	create_network(&n, "ports", "10.204.0.0/24");
	bring_up(&n);
	close(steal_fd(&lock));
	assert_int_equal(net_plan(&plan, names, &error), 0);
	assert_int_equal(net_ports_parse(&ports, range, &error), 0);
	aliases[0] = too_long;
	assert_int_equal(net_attach(&attachment, &plan, &request, &paths, &error), -EINVAL);
	assert_non_null(strstr(error.text, "1 to 200 letters"));
	arrow_error_clear(&error);
	aliases[0] = alias;
	assert_int_equal(net_plan(&plan, names, &error), 0);
	if (net_attach(&attachment, &plan, &request, &paths, &error) < 0)
		fail_msg("%s", error.text);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(
		net_names_client(dir, "ports", &attachment.leases[0].address4, &client), 0);
	assert_int_equal(net_names_find(dir, &client, longest, found), 1);
	assert_int_equal(net_names_find(dir, &client, alias, found), 1);
	assert_int_equal(net_lease_rename(&paths, request.id, "short", &error), 0);
	assert_int_equal(net_lease_ports(&paths, "short", &got, &error), 0);
	assert_int_equal(got.n, MANY_PORTS);
	assert_int_equal(got.v[MANY_PORTS - 1].host_port, 20000 + MANY_PORTS - 1);
	assert_int_equal(net_names_find(dir, &client, longest, found), 0);
	assert_int_equal(net_names_find(dir, &client, "short", found), 1);
	net_detach(&attachment);
	assert_int_equal(net_names_find(dir, &client, "short", found), 0);
	assert_int_equal(net_names_find(dir, &client, alias, found), 0);
	net_ports_release(&ports);
	net_ports_release(&got);
	lock = lock_networks();
	remove_network(&lock, "ports");
}

/* Writes a file until nothing more can be written. Returns its size. */
static off_t fill_blocks(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static const char page[4096];
	struct stat st;

	assert_true(fd >= 0);
	while (write(fd, page, sizeof(page)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

/* Makes empty files until there can be no more. Returns how many. */
static unsigned int fill_inodes(const char *dir)
{
	for (unsigned int n = 0;; n++) {
		_cleanup_free_ char *path = path_format("%s/%u", dir, n);

		if (mknod(path, S_IFREG | 0600, 0) < 0) {
			assert_int_equal(errno, ENOSPC);
			return n;
		}
	}
}

/* How many addresses a name of an Arrow has on its networks; whole: what it is called there. */
static int count_name(int dir, const struct net_lease *lease, const char *name, const char *whole)
{
	struct net_address found[NET_NAMES_ADDRESSES];
	struct net_names_client client;
	char text[NET_NAMES_TEXT];

	assert_int_equal(net_names_client(dir, lease->network, &lease->address4, &client), 0);
	assert_int_equal(net_names_reverse(dir, &client, &lease->address4, text), 0);
	assert_string_equal(text, whole);
	assert_int_equal(net_names_reverse(dir, &client, &lease->address6, text), 0);
	assert_string_equal(text, whole);
	assert_int_equal(net_names_find(dir, &client, "also", found), 4);
	return net_names_find(dir, &client, name, found);
}

/*
 * Renames an Arrow on two networks while RUN is full, with one more block or file free each time.
 * Until it has the new name it has the old one, whole.
 */
static void rename_on_full(const struct arrow_paths *full, struct net_lease leases[2], bool blocks)
{
	_cleanup_free_ char *names = path_format("%s/names", full->run);
	_cleanup_free_ char *filler = path_format("%s/filler", full->run);
	_cleanup_close_ int dir = open(names, O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned int failed = 0, files = 0;
	char longest[201];
	off_t size = 0;
	int r;

	memset(longest, 'n', 200);
	longest[200] = '\0';
	if (blocks)
		size = fill_blocks(filler);
	else
		files = fill_inodes(full->run);
	for (;; failed++) {
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
		_cleanup_free_ char *path = path_format("%s/%u", full->run, files - 1);
		struct net_ports ports = {0};

		r = net_lease_rename(full, leases[0].id, longest, &error);
		if (r == 0)
			break;
		assert_non_null(strstr(error.text, "No space left"));
		arrow_error_clear(&error);
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(count_name(dir, &leases[i], "old", "old"), 4);
			assert_int_equal(count_name(dir, &leases[i], longest, "old"), 0);
		}
		assert_int_equal(net_lease_ports(full, "old", &ports, &error), 0);
		if (blocks)
			assert_int_equal(truncate(filler, size -= 4096), 0);
		else
			assert_int_equal(unlink(path), 0);
		files--;
	}
	assert_true(failed > 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(count_name(dir, &leases[i], longest, longest), 4);
		assert_int_equal(count_name(dir, &leases[i], "old", longest), 0);
	}
}

static void test_a_rename_without_space_keeps_the_name(void **state)
{
	_cleanup_free_ char *dir = path_format("%s/full", base);
	const struct arrow_paths full = {.data = data, .run = dir};
	static const char *const networks[] = {"one", "two"};

	need_root(state);
	if (unshare(CLONE_NEWNS) < 0)
		skip();
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	for (int blocks = 0; blocks < 2; blocks++) {
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
		struct net_lease leases[2];
		int lock;

		assert_int_equal(mount("none", dir, "tmpfs", 0, "size=256k,nr_inodes=400"), 0);
		lock = net_lock(&full, &error);
		assert_true(lock >= 0);
		close(lock);
		for (size_t i = 0; i < 2; i++) {
			struct net_lease *l = &leases[i];
			struct stat st = {0};

			*l = (struct net_lease){.fd = -1,
				.id = "f123456789abcdef",
				.name = "old",
				.tap = NET_TAP "0-f123456789",
				.mac = {2, 0, 0, 0, 0, 1},
				.address4 = {.family = 4, .prefix = 32, .bytes = {10, 9, 0, 2}},
				.address6 = {.family = 6, .prefix = 128, .bytes = {0xfd, [15] = 2}},
				.aliases = json_array()};
			l->tap[strlen(NET_TAP)] = (char)('0' + i);
			strcpy(l->network, networks[i]);
			json_array_append_new(l->aliases, json_string("also"));
			/* Shorter than a page, by less than the new name is longer. */
			for (int n = 0; n < 37; n++)
				json_array_append_new(l->aliases, json_sprintf("%0100d", n));
			assert_int_equal(net_names_prepare(&full, networks[i], false), 0);
			assert_int_equal(net_lease_write(l, &full, &error), 0);
			assert_int_equal(fstat(l->fd, &st), 0);
			assert_in_range(st.st_size, 4096 - 190, 4096);
			assert_int_equal(net_lease_publish_names(l, &full), 0);
		}
		rename_on_full(&full, leases, blocks);
		for (size_t i = 0; i < 2; i++)
			net_lease_release(&leases[i]);
		assert_int_equal(umount(dir), 0);
	}
}

static void test_resolv_conf(void **state)
{
	char text[] =
		"# by hand\nnameserver 10.0.0.1 # first\nnameserver x\nnameserver fe80::1%lo\n"
		"domain old.test\nsearch one.test  two.test\noptions ndots:2\n; no\noptions timeout:1";
	char dot[] = "nameserver 10.0.0.1\nsearch .\n";
	struct net_resolv resolv;

	net_resolv_parse(&resolv, text);
	assert_int_equal(resolv.n, 2);
	assert_int_equal(resolv.servers[0].address.bytes[3], 1);
	assert_int_equal(resolv.servers[1].scope, if_nametoindex("lo"));
	assert_string_equal(resolv.search, "one.test two.test");
	assert_string_equal(resolv.options, "ndots:2 timeout:1");
	net_resolv_parse(&resolv, dot);
	assert_string_equal(resolv.search, "");
}

static int net_do_up(void *network)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int lock = net_lock(&paths, &error);

	return lock < 0 ? lock : net_network_up(network, &paths, &error);
}

static int net_do_remove(void *name)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	return net_network_remove(&paths, name, &error);
}

static void test_up_is_killed_at_each_change(void **state)
{
	_cleanup_network_ struct net_network n = {0};
	bool whole = false;
	unsigned int when = 1;

	need_root(state);
	create_network(&n, "killed", NULL);
	for (; !whole; when++) {
		_cleanup_close_ int lock = -1;

		whole = killed_run(net_do_up, &n, when);
		/* The next command mends it, with `doctor --fix` before it and without. */
		if (when % 2)
			settle();
		lock = lock_networks();
		bring_up(&n);
		assert_true(net_bridge_whole(&n, &paths));
		net_bridge_down(&n, &paths);
		assert_down(&n);
	}
	assert_true(when > 5);
	remove_network(&(int){-1}, "killed");
}

static void test_remove_is_killed_at_each_change(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	bool whole = false;
	unsigned int when = 1;

	need_root(state);
	for (; !whole; when++) {
		_cleanup_network_ struct net_network n = {0};
		_cleanup_close_ int lock = lock_networks(), watch = -1;

		create_network(&n, "killed", NULL);
		bring_up(&n);
		watch = open_watch("killed");
		close(steal_fd(&lock));
		whole = killed_run(net_do_remove, (void *)"killed", when);
		if (!whole && net_network_remove(&paths, "killed", &error) < 0) {
			/* The file was gone already, so everything is. */
			assert_non_null(strstr(error.text, "not found"));
			arrow_error_clear(&error);
		}
		wait_watch(watch);
		assert_down(&n);
	}
	assert_true(when > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch_of_a_removed_network_ends),
		cmocka_unit_test(test_who_removes_a_network_waits_without_the_lock),
		cmocka_unit_test(test_a_subnet_that_is_taken_is_left),
		cmocka_unit_test(test_a_network_without_ipv4),
		cmocka_unit_test(test_a_tap_without_its_rules_is_missed),
		cmocka_unit_test(test_udp_flows_end_with_their_arrow),
		cmocka_unit_test(test_a_start_and_an_end_read_one_lease),
		cmocka_unit_test(test_names_that_are_missing_come_back),
		cmocka_unit_test(test_dns_messages),
		cmocka_unit_test(test_names_are_those_of_all_networks),
		cmocka_unit_test(test_values_reach_their_limits),
		cmocka_unit_test(test_as_many_ports_as_there_can_be),
		cmocka_unit_test(test_a_rename_without_space_keeps_the_name),
		cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_up_is_killed_at_each_change),
		cmocka_unit_test(test_remove_is_killed_at_each_change),
	};

	return cmocka_run_group_tests_name("net", tests, set_up, tear_down);
}
