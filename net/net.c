// SPDX-License-Identifier: Apache-2.0
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/conntrack.h"
#include "net/join.h"
#include "net/manage.h"
#include "net/proxy.h"
#include "net/settle.h"
#include "net/up.h"
#include "net/watch_state.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"
#include "util/process.h"

#define DEAD_TRIES 50u /* until a watch that was killed is gone, or another is there */
#define DEAD_MS 100

bool net_is_permitted(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[0].effective & (1u << CAP_NET_ADMIN)) &&
	       access("/dev/net/tun", R_OK | W_OK) == 0;
}

static int add_entry(struct net_plan *plan, const char *text, struct arrow_error *error)
{
	enum net_mode mode = NET_NETWORK;
	const char *whole = strcmp(text, "default") == 0 ? NET_DEFAULT : text;

	if (plan->n == NET_CARDS_MAX)
		return arrow_fail(
			error, E2BIG, "an Arrow can be on at most %u networks", NET_CARDS_MAX);
	if (strcmp(text, "host") == 0)
		return arrow_fail(error, EINVAL,
			"--network host is not supported: an Arrow has its own kernel and network; publish its ports with -p");
	if (strncmp(text, "container:", 10) == 0)
		return arrow_fail(error, EINVAL,
			"--network %s is not supported: "
			"Arrows have their own kernels and cannot share a loopback; put both on one network, where they find each other by name",
			text);
	if (strcmp(text, "user") == 0) {
		mode = NET_USER;
	} else if (strncmp(text, "bridge:", 7) == 0) {
		mode = NET_BRIDGE;
		text += 7;
	} else if (strncmp(text, "ns:", 3) == 0) {
		mode = NET_NAMESPACE;
		text += 3;
		if (*text != '/')
			return arrow_fail(error, EINVAL,
				"--network ns:%s: give the absolute path of a network namespace, such as ns:/run/netns/NAME",
				text);
	} else if (strcmp(text, "default") == 0) {
		text = NET_DEFAULT;
	}
	for (unsigned int i = 0; i < plan->n; i++)
		if (strcmp(plan->entries[i].name, text) == 0)
			return arrow_fail(error, EINVAL, "network %s is given twice", text);
	if (mode != NET_USER && !net_is_permitted())
		return arrow_fail(error, EPERM,
			"--network %s requires root or CAP_NET_ADMIN, and /dev/net/tun; without them, use --network user",
			text);
	plan->entries[plan->n].mode = mode;
	plan->entries[plan->n].text = whole;
	plan->entries[plan->n++].name = text;
	return 0;
}

/* What there is without root: passt, or what the engine has itself. */
static void plan_user(struct net_plan *plan)
{
	_cleanup_free_ char *passt = process_find("passt");

	plan->user_kind = passt ? NET_CARD_STREAM : NET_CARD_USER;
}

const char *net_default(const char *named)
{
	if (named && *named)
		return named;
	return net_is_permitted() ? NET_DEFAULT : "user";
}

int net_plan(struct net_plan *plan, const char *const *networks, struct arrow_error *error)
{
	const char *chosen[] = {net_default(NULL), NULL};
	int r = 0;

	*plan = (struct net_plan){0};
	if (!networks || !networks[0])
		networks = chosen;
	for (const char *const *n = networks; *n && r == 0; n++) {
		if (strcmp(*n, "none") != 0)
			r = add_entry(plan, *n, error);
		else if (networks[1])
			r = arrow_fail(error, EINVAL,
				"--network none cannot be combined with other networks");
	}
	for (unsigned int i = 0; r == 0 && i < plan->n; i++) {
		if (plan->entries[i].mode != NET_USER)
			continue;
		plan_user(plan);
		if (plan->n > 1)
			r = arrow_fail(error, EINVAL,
				"--network user cannot be combined with other networks");
	}
	return r;
}

enum net_card_kind net_plan_kind(const struct net_plan *plan, unsigned int index)
{
	return index < plan->n && plan->entries[index].mode == NET_USER ? plan->user_kind
									: NET_CARD_TAP;
}

int net_plan_check(
	const struct net_plan *plan, const struct arrow_paths *paths, struct arrow_error *error)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < plan->n; i++) {
		_cleanup_network_ struct net_network n = {0};

		if (plan->entries[i].mode == NET_NETWORK &&
			strcmp(plan->entries[i].name, NET_DEFAULT) != 0)
			r = net_network_open(&n, paths, plan->entries[i].name, error);
	}
	return r;
}

bool net_plan_ipv6(const struct net_plan *plan, const struct arrow_paths *paths)
{
	for (unsigned int i = 0; i < plan->n; i++) {
		_cleanup_network_ struct net_network n = {0};

		if (plan->entries[i].mode == NET_NAMESPACE || plan->entries[i].mode == NET_BRIDGE)
			return true;
		/* One that is not there is told of later. */
		if (plan->entries[i].mode == NET_NETWORK &&
			net_network_find(&n, paths, plan->entries[i].name) == 0 && n.subnet6.family)
			return true;
	}
	return false;
}

void net_use_resolver(struct net_attachment *a, const struct net_network *n)
{
	if (!net_watch_resolves(&a->paths, n->name) || a->n_dns == 3)
		return;
	a->dns[a->n_dns++] = n->gateway4.family ? n->gateway4 : n->gateway6;
	a->names = true;
}

/* 6 for an Arrow that has no IPv4, else 4. */
static uint8_t net_family(const struct net_attachment *a)
{
	uint8_t family = 4;

	for (unsigned int i = 0; i < a->n_leases; i++) {
		if (a->leases[i].address4.family)
			return 4;
		if (a->leases[i].address6.family)
			family = 6;
	}
	return family;
}

/* Those that an Arrow can reach: that are not on the host's loopback. */
void net_use_host_resolvers(struct net_attachment *a)
{
	static const struct net_address loopback = {.family = 6, .bytes = {[15] = 1}};
	uint8_t family = net_family(a);

	for (unsigned int i = 0; a->n_dns == 0 && i < a->host.n; i++) {
		const struct net_address *server = &a->host.servers[i].address;

		if (server->family == family && !a->host.servers[i].scope &&
			(family == 6 ? !net_address_equal(server, &loopback)
				     : server->bytes[0] != 127))
			a->dns[a->n_dns++] = *server;
	}
}

/* Where nothing is known of the addresses, nothing is of the routes. */
static bool leads_out(const struct net_attachment *a, uint8_t family)
{
	for (unsigned int i = 0; i < a->n_cards; i++) {
		const struct net_card *card = &a->cards[i];

		if (card->idle)
			continue;
		for (unsigned int k = 0; k < card->n_routes; k++)
			if (card->routes[k].to.prefix == 0 && card->routes[k].via.family == family)
				return true;
		if (a->leases[i].free)
			return true;
	}
	return false;
}

void net_lead_out(struct net_attachment *a, unsigned int index, const struct net_network *n)
{
	struct net_card *card = &a->cards[index];

	for (uint8_t family = 4; family <= 6; family += 2) {
		const struct net_address *gateway = family == 6 ? &n->gateway6 : &n->gateway4;

		if (!n->internal && gateway->family && !leads_out(a, family))
			card->routes[card->n_routes++] =
				(struct net_route){.to = {.family = family}, .via = *gateway};
	}
}

static void add_address(struct net_card *card, const struct net_address *address)
{
	if (address->family)
		card->addresses[card->n_addresses++] = *address;
}

/* The network is brought up for it. */
int net_attach_network(struct net_attachment *a, unsigned int index, const char *name,
	const struct net_lease_wish *wish, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	struct net_lease *lease = &a->leases[index];
	struct net_card *card = &a->cards[index];
	struct net_elements elements = {0};
	struct net_link bridge, tap;
	int r = net_network_open(&n, &a->paths, name, error);

	if (r < 0)
		return r;
	r = net_network_up(&n, &a->paths, error);
	if (r == 0)
		r = net_lease_take(lease, &a->paths, &n, wish, error);
	if (r < 0)
		return r;
	net_network_event(&a->paths, &n, "connect", lease->id);
	net_lease_elements(lease, &elements);
	r = net_rules_add(&elements);
	/* A port that is free may still be led to an Arrow that was killed just now. */
	if (r < 0 && lease->ports.n) {
		net_lease_sweep_all(&a->paths);
		r = net_rules_add(&elements);
	}
	net_elements_release(&elements);
	if (r < 0)
		return arrow_fail(error, -r, "cannot set up the firewall for %s: %m", n.name);
	net_conntrack_forget_unled(&lease->ports);
	/* Only behind its guard. */
	if (card->fd < 0)
		card->fd = net_tap_open(lease->tap);
	r = card->fd < 0 ? card->fd : net_link_find(lease->tap, &tap);
	if (r == 0)
		r = net_link_find(n.bridge, &bridge);
	if (r == 0)
		r = net_link_up(tap.index, bridge.index, n.mtu);
	if (r == 0)
		r = net_link_set_hairpin(tap.index);
	if (r == 0)
		r = net_lease_publish_names(lease, &a->paths);
	if (r < 0)
		return arrow_fail(error, -r, "cannot join network %s: %m", n.name);
	memcpy(card->mac, lease->mac, 6);
	card->mtu = n.mtu;
	add_address(card, &lease->address4);
	add_address(card, &lease->address6);
	net_lead_out(a, index, &n);
	net_use_resolver(a, &n);
	return 0;
}

static int attach_user(
	struct net_attachment *a, const struct net_request *request, struct arrow_error *error)
{
	struct net_card *card = &a->cards[0];

	struct net_lease *lease = &a->leases[0];
	int r;

	net_user_configure(card, &a->dns[0]);
	a->n_dns = 1;
	/* Only so that `arrow port` finds it: there is nothing to take back. */
	*lease = (struct net_lease){.fd = -1, .aliases = json_array()};
	a->n_leases = 1;
	snprintf(lease->network, sizeof(lease->network), "%s", NET_JOINED);
	snprintf(lease->id, sizeof(lease->id), "%s", request->id);
	snprintf(lease->name, sizeof(lease->name), "%s", request->name);
	memcpy(lease->mac, card->mac, sizeof(lease->mac));
	if (net_ports_copy(&lease->ports, &a->ports) < 0)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = net_lease_write(lease, &a->paths, error);
	if (r < 0)
		return r;
	/* passt and QEMU take the ports themselves. */
	net_sockets_release(&a->sockets);
	if (card->kind == NET_CARD_STREAM)
		return net_user_start(card, &a->ports, error);
	return 0;
}

static int attach_card(struct net_attachment *a, const struct net_plan *plan, unsigned int index,
	const struct net_request *request, struct arrow_error *error)
{
	const char *name = plan->entries[index].name;
	const struct net_endpoint *chosen = &request->endpoints[index];
	/* Ports are published on the first card. */
	struct net_lease_wish wish = {
		.card = index,
		.id = request->id,
		.name = request->name,
		.aliases = request->aliases,
		.more_aliases = chosen->aliases,
		.ip = chosen->ip,
		.ip6 = chosen->ip6,
		.mac = chosen->mac,
		.ports = index ? NULL : &a->ports,
	};
	int r = 0;

	a->cards[index] = (struct net_card){.kind = net_plan_kind(plan, index),
		.fd = -1,
		.name = strdup(plan->entries[index].text)};
	a->n_cards = index + 1;
	if (!a->cards[index].name)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (plan->entries[index].mode == NET_USER)
		return attach_user(a, request, error);
	a->leases[index] = (struct net_lease){.fd = -1};
	a->n_leases = index + 1;
	switch (plan->entries[index].mode) {
	case NET_NETWORK:
		return net_attach_network(a, index, name, &wish, error);
	case NET_BRIDGE:
		r = net_join_bridge(
			&a->leases[index], &a->cards[index], &a->paths, name, &wish, error);
		break;
	case NET_NAMESPACE:
		r = net_join_namespace(
			&a->leases[index], &a->cards[index], &a->paths, name, &wish, error);
		break;
	case NET_USER:
		break;
	}
	if (r < 0)
		return r;
	r = net_lease_publish_names(&a->leases[index], &a->paths);
	return r < 0 ? arrow_fail(error, -r, "cannot join %s: %m", plan->entries[index].text) : 0;
}

/* A card that an Arrow may be connected by while it runs. */
static int attach_idle(
	struct net_attachment *a, const struct net_request *request, struct arrow_error *error)
{
	unsigned int index = a->n_cards;
	const struct net_lease_wish wish = {.card = index, .id = request->id};
	char tap[IFNAMSIZ];

	net_lease_tap_name(tap, &wish);
	a->leases[index] = (struct net_lease){.fd = -1};
	a->cards[index] =
		(struct net_card){.kind = NET_CARD_TAP, .fd = net_tap_open(tap), .idle = true};
	if (a->cards[index].fd < 0)
		return arrow_fail(error, -a->cards[index].fd, "cannot create a network card: %m");
	a->n_cards = a->n_leases = index + 1;
	return 0;
}

/* True if one of its leases is in NET_JOINED. */
static bool net_plan_joins(const struct net_plan *plan)
{
	for (unsigned int i = 0; i < plan->n; i++)
		if (plan->entries[i].mode != NET_NETWORK)
			return true;
	return false;
}

/* passt takes a port on one address, or on all. */
static int net_check_user_ports(const struct net_ports *ports, struct arrow_error *error)
{
	for (size_t i = 0; ports && i < ports->n; i++)
		for (size_t k = 0; k < i; k++)
			if (ports->v[i].host_port &&
				ports->v[i].host_port == ports->v[k].host_port &&
				ports->v[i].host_port == ports->v[i].host_last &&
				ports->v[i].udp == ports->v[k].udp)
				return arrow_fail(error, EINVAL,
					"the user-mode network cannot publish port %u/%s on two addresses: publish it on all of them, or choose another port for one",
					ports->v[i].host_port, ports->v[i].udp ? "udp" : "tcp");
	return 0;
}

/* What makes no sense in a mode. */
static int net_check_request(
	const struct net_plan *plan, const struct net_request *request, struct arrow_error *error)
{
	const struct net_endpoint *first = &request->endpoints[0];
	enum net_mode mode;

	if (plan->n == 0 && request->ports && request->ports->n)
		return arrow_fail(error, EINVAL,
			"ports cannot be published without a network: leave out --network none");
	if (plan->n == 0)
		return 0;
	mode = plan->entries[0].mode;
	if ((mode == NET_BRIDGE || mode == NET_NAMESPACE) && request->ports && request->ports->n)
		return arrow_fail(error, EINVAL,
			"ports cannot be published on a network that is not Arrow's: connect to the Arrow's own address there");
	if (mode == NET_USER && (first->ip || first->ip6 || first->mac))
		return arrow_fail(error, EINVAL,
			"the user-mode network has fixed addresses: leave out --ip, --ip6 and --mac-address");
	return mode == NET_USER && plan->user_kind == NET_CARD_STREAM
		       ? net_check_user_ports(request->ports, error)
		       : 0;
}

int net_attach(struct net_attachment *a, const struct net_plan *plan,
	const struct net_request *request, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	_cleanup_close_ int lock = -1;
	int r = net_check_request(plan, request, error);

	*a = (struct net_attachment){.paths = *paths};
	if (r < 0 || plan->n + plan->n_idle == 0)
		return r;
	if (request->ports && net_ports_copy(&a->ports, request->ports) < 0)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = net_sockets_bind(&a->sockets, &a->ports, error);
	if (r == 0)
		r = lock = net_lock(paths, error);
	if (r >= 0)
		net_lease_sweep_unwatched(paths, net_plan_joins(plan));
	for (unsigned int i = 0; r >= 0 && i < plan->n; i++)
		r = attach_card(a, plan, i, request, error);
	for (unsigned int i = 0; r >= 0 && i < plan->n_idle; i++)
		r = attach_idle(a, request, error);
	close_keep_errno(steal_fd(&lock));
	if (r < 0) {
		net_detach(a);
		return r;
	}
	net_resolv_read(&a->host, NET_RESOLV_CONF);
	net_use_host_resolvers(a);
	return 0;
}

int net_serve(struct net_attachment *a, struct arrow_error *error)
{
	const struct net_lease *lease = a->leases;
	int r;

	if (a->sockets.n == 0)
		return 0;
	while (lease < a->leases + a->n_leases - 1 && lease->ports.n == 0)
		lease++;
	r = net_proxy_start(&a->sockets, &a->ports,
		lease->address4.family ? &lease->address4 : &lease->address6);
	if (r < 0)
		return arrow_fail(error, -r, "cannot start the proxy of published ports: %m");
	a->proxy = r;
	net_sockets_release(&a->sockets);
	return 0;
}

void net_stop_serving(struct net_attachment *a)
{
	if (a->proxy <= 0)
		return;
	kill(a->proxy, SIGKILL);
	while (waitpid(a->proxy, NULL, 0) < 0 && errno == EINTR)
		;
	a->proxy = 0;
}

int net_follow(const struct net_attachment *a)
{
	_cleanup_close_ int fd = epoll_create1(EPOLL_CLOEXEC);
	/* Once for each end of a watch: the next one may take a while to come. */
	struct epoll_event event = {.events = EPOLLET};
	bool any = false;

	for (unsigned int i = 0; fd >= 0 && i < a->n_leases; i++) {
		const char *network = a->leases[i].network;
		int alive = net_watch_follow(&a->paths, network);

		if (alive < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, alive, &event) < 0) {
			close_keep_errno(alive);
			continue;
		}
		any = true;
		/* It may have been killed before. */
		if (!net_watch_lives(&a->paths, network))
			net_mend(a, fd);
	}
	return any ? steal_fd(&fd) : -1;
}

/* A watch that is killed gives back its lock a moment after it has let go of what is followed. */
static bool wait_for_dead(const struct net_attachment *a)
{
	for (unsigned int tries = 0; tries < DEAD_TRIES; tries++) {
		for (unsigned int i = 0; i < a->n_leases; i++)
			if (a->leases[i].fd >= 0 &&
				!net_watch_lives(&a->paths, a->leases[i].network))
				return true;
		poll(NULL, 0, DEAD_MS);
	}
	return false;
}

static void __attribute__((noreturn)) net_mend_and_exit(const struct net_attachment *a)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct net_findings findings;

	/* The keeper's leases, too: they are not to live longer than it. */
	close_all_but(NULL, 0);
	setsid();
	if (wait_for_dead(a))
		(void)!net_settle(&a->paths, true, &findings, &error);
	_exit(0);
}

void net_mend(const struct net_attachment *a, int fd)
{
	struct epoll_event events[NET_CARDS_MAX];
	pid_t pid;

	if (epoll_wait(fd, events, NET_CARDS_MAX, 0) < 0)
		return;
	/* Twice, so that nobody has to wait for it. */
	pid = fork();
	if (pid == 0) {
		if (fork() == 0)
			net_mend_and_exit(a);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/*
 * Closes taps and such in a process of its own: the kernel waits for all CPUs for each, and nobody
 * is behind them any more.
 */
static void close_later(int *fds, size_t n)
{
	bool any = false;
	pid_t pid;

	for (size_t i = 0; i < n; i++)
		any |= fds[i] >= 0;
	pid = any ? fork() : -1;
	if (pid == 0) {
		/* Nothing else of the caller's must live on. */
		close_all_but(fds, n);
		/* By then the caller has closed its own. */
		poll(NULL, 0, 5);
		_exit(0);
	}
	for (size_t i = 0; i < n; i++)
		close_keep_errno(fds[i]);
}

void net_detach(struct net_attachment *a)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_close_ int lock = -1;
	int later[2 * NET_CARDS_MAX];
	size_t n = 0;

	net_stop_serving(a);
	for (unsigned int i = 0; i < a->n_cards; i++)
		later[n++] = steal_fd(&a->cards[i].fd);
	if (a->n_leases)
		lock = net_lock(&a->paths, &error);
	for (unsigned int i = 0; i < a->n_leases; i++) {
		/* Without the lock the next one takes it back. */
		if (lock >= 0 && a->leases[i].fd >= 0)
			later[n++] = net_lease_end(&a->leases[i], &a->paths);
		else
			net_lease_release(&a->leases[i]);
	}
	a->n_leases = 0;
	close_later(later, n);
	net_attachment_release(a);
}

void net_attachment_release(struct net_attachment *a)
{
	for (unsigned int i = 0; i < a->n_cards; i++) {
		close_keep_errno(a->cards[i].fd);
		free(a->cards[i].name);
	}
	for (unsigned int i = 0; i < a->n_leases; i++)
		net_lease_release(&a->leases[i]);
	net_sockets_release(&a->sockets);
	net_ports_release(&a->ports);
	*a = (struct net_attachment){0};
}
