// SPDX-License-Identifier: Apache-2.0
#include "net/resolver.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/dns.h"
#include "net/names.h"
#include "net/resolv.h"
#include "util/caps.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"
#include "util/title.h"

#define PORT 53
#define BIND_MS 500u /* how long a port that is taken is waited for */
#define BIND_PAUSE_MS 5
#define NOBODY 65534u

#define MESSAGE_MAX 65535u
#define QUESTIONS_MAX 1000u   /* that wait for the host's resolvers */
#define QUESTIONS_EACH 100u   /* of one Arrow */
#define QUESTIONS_AT_ONCE 64u /* then others get their turn */
#define RESOLVER_MS 3000u     /* until the next one of the host's resolvers is asked, too */
#define QUESTION_MS 10000u    /* until a question has failed */
#define CONNECTIONS_MAX 64u   /* over TCP, each a process */
#define CONNECTIONS_EACH 8u
#define CONNECTION_S 30u
#define CONNECT_S 5

/* A question that the host's resolvers are asked over UDP. */
struct waiting {
	int fd; /* connected to the one that was asked last, from a port of its own */
	struct sockaddr_storage client;
	socklen_t client_size;
	struct net_address from;
	uint16_t id;         /* that the client knows */
	uint64_t end, next;  /* ms */
	unsigned int server; /* that was asked last */
	uint8_t *query;      /* owned, with an id of its own */
	size_t size;
};

struct connection {
	pid_t pid;
	struct net_address from;
};

struct resolver {
	int udp, tcp, names;
	const char *network;
	struct net_resolv host;
	struct stat host_seen; /* of NET_RESOLV_CONF when it was read */
	struct waiting waiting[QUESTIONS_MAX];
	size_t n;
	struct connection connections[CONNECTIONS_MAX];
	size_t n_connections;
	bool full; /* no descriptor was left for the last one */
	uint8_t buffer[MESSAGE_MAX];
};

static socklen_t resolver_address(
	const struct net_address *from, uint16_t port, uint32_t scope, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (from->family == 6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		in6->sin6_scope_id = scope;
		memcpy(&in6->sin6_addr, from->bytes, 16);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, from->bytes, 4);
	return sizeof(*in);
}

static struct net_address resolver_from(const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	struct net_address a = {.family = from->ss_family == AF_INET6 ? 6 : 4};

	a.prefix = (uint8_t)net_address_bits(a.family);
	if (a.family == 6)
		memcpy(a.bytes, &in6->sin6_addr, 16);
	else
		memcpy(a.bytes, &in->sin_addr, 4);
	return a;
}

/* A socket of the gateway's. */
static int resolver_bind(const struct net_network *n, int type)
{
	const struct net_address *gateway = n->gateway4.family ? &n->gateway4 : &n->gateway6;
	uint64_t end = now_ms() + BIND_MS;
	struct sockaddr_storage to;
	socklen_t size = resolver_address(gateway, PORT, 0, &to);
	_cleanup_close_ int fd = -1;
	const int on = 1;

	fd = socket(to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Connections that have ended do not keep the port. */
	if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	while (bind(fd, (struct sockaddr *)&to, size) < 0) {
		if (errno != EADDRINUSE || now_ms() >= end)
			return -errno;
		poll(NULL, 0, BIND_PAUSE_MS);
	}
	if (type == SOCK_STREAM && listen(fd, (int)CONNECTIONS_MAX) < 0)
		return -errno;
	return steal_fd(&fd);
}

int net_resolver_open(const struct net_network *network, int fds[2])
{
	fds[1] = -1;
	fds[0] = resolver_bind(network, SOCK_DGRAM);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = resolver_bind(network, SOCK_STREAM);
	if (fds[1] >= 0)
		return 0;
	close_keep_errno(steal_fd(&fds[0]));
	return fds[1];
}

/* The host's resolvers, as they are now. */
static void resolver_read_host(struct resolver *r)
{
	struct stat st = {0};

	(void)!stat(NET_RESOLV_CONF, &st);
	if (st.st_ino == r->host_seen.st_ino && st.st_size == r->host_seen.st_size &&
		st.st_mtim.tv_sec == r->host_seen.st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == r->host_seen.st_mtim.tv_nsec)
		return;
	r->host_seen = st;
	net_resolv_read(&r->host, NET_RESOLV_CONF);
}

static bool resolver_is_in_domain(const char *name)
{
	size_t n = strlen(name), m = strlen(NET_NAMES_DOMAIN);

	return n >= m && strcmp(name + n - m, NET_NAMES_DOMAIN) == 0 &&
	       (n == m || name[n - m - 1] == '.');
}

/*
 * Answers what can be answered here. Returns the size of the answer, or 0 for a question that is
 * the host's resolvers'.
 */
static size_t resolver_answer(struct resolver *r, const uint8_t *query, size_t size,
	const struct net_address *from, size_t max, uint8_t answer[DNS_ANSWER_MAX])
{
	struct net_address found[NET_NAMES_ADDRESSES];
	struct net_names_client client;
	char name[NET_NAMES_TEXT];
	struct dns_question q;
	int n;

	if (dns_parse_query(query, size, &q) < 0)
		return dns_write_code(query, NULL, ns_r_formerr, answer);
	n = net_names_client(r->names, r->network, from, &client);
	if (n == -ENOENT)
		return dns_write_code(query, &q, ns_r_refused, answer);
	if (n == 0 && q.type == ns_t_ptr && dns_parse_reverse(q.name, &found[0]) == 0) {
		n = net_names_reverse(r->names, &client, &found[0], name);
		if (n == 0)
			return dns_write_name(query, &q, name, answer);
		n = n == -ENOENT ? 0 : n;
	}
	if (n == 0)
		n = net_names_find(r->names, &client, q.name, found);
	/* As without descriptors: nobody is told that there is no such name. */
	if (n < 0)
		return dns_write_code(query, &q, ns_r_servfail, answer);
	/* Of several in turn: the id of a question is random. */
	if (n > 0)
		return dns_write_addresses(
			query, &q, found, (size_t)n, (size_t)(query[1] % n), max, answer);
	/* Those without a dot are names of Arrows, and nobody else is asked for them. */
	if (resolver_is_in_domain(q.name) ||
		(*q.name && !strchr(q.name, '.') && (q.type == ns_t_a || q.type == ns_t_aaaa)))
		return dns_write_code(query, &q, ns_r_nxdomain, answer);
	/* Some programs wait after any other failure. */
	if (!client.leads_out)
		return dns_write_code(query, &q, ns_r_nxdomain, answer);
	resolver_read_host(r);
	return r->host.n ? 0 : dns_write_code(query, &q, ns_r_servfail, answer);
}

static void resolver_send(const struct resolver *r, const uint8_t *answer, size_t size,
	const struct sockaddr_storage *to, socklen_t to_size)
{
	/* As with every datagram: one that is lost is asked for again. */
	(void)!sendto(r->udp, answer, size, 0, (const struct sockaddr *)to, to_size);
}

static void resolver_forget(struct resolver *r, size_t i)
{
	close_keep_errno(r->waiting[i].fd);
	free(r->waiting[i].query);
	r->waiting[i] = r->waiting[--r->n];
}

/* A question that nobody answered. */
static void resolver_fail(struct resolver *r, size_t i)
{
	const struct waiting *w = &r->waiting[i];
	uint8_t answer[DNS_ANSWER_MAX];
	struct dns_question q;
	size_t size;

	if (dns_parse_query(w->query, w->size, &q) == 0) {
		size = dns_write_code(w->query, &q, ns_r_servfail, answer);
		answer[0] = (uint8_t)(w->id >> 8);
		answer[1] = (uint8_t)w->id;
		resolver_send(r, answer, size, &w->client, w->client_size);
	}
	resolver_forget(r, i);
}

/* Asks the next one of the host's resolvers. Where none can be reached the question has failed. */
static void resolver_ask(struct resolver *r, struct waiting *w)
{
	struct sockaddr_storage to;
	socklen_t size;

	w->next = now_ms() + RESOLVER_MS;
	/* The only one keeps its socket: it may be slow. */
	if (r->host.n == 1 && w->fd >= 0 && send(w->fd, w->query, w->size, 0) >= 0)
		return;
	for (unsigned int i = 0; i < r->host.n; i++) {
		w->server = (w->server + 1) % r->host.n;
		close_keep_errno(steal_fd(&w->fd));
		size = resolver_address(&r->host.servers[w->server].address, PORT,
			r->host.servers[w->server].scope, &to);
		w->fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (w->fd >= 0 && connect(w->fd, (struct sockaddr *)&to, size) == 0 &&
			send(w->fd, w->query, w->size, 0) >= 0)
			return;
	}
	w->end = 0;
}

static void resolver_forward(struct resolver *r, const uint8_t *query, size_t size,
	const struct sockaddr_storage *client, socklen_t client_size,
	const struct net_address *from)
{
	struct waiting *w = &r->waiting[r->n];
	size_t same = 0;

	for (size_t i = 0; i < r->n; i++)
		same += net_address_equal(&r->waiting[i].from, from);
	/* Too many: the client asks again. */
	if (r->n == QUESTIONS_MAX || same >= QUESTIONS_EACH)
		return;
	*w = (struct waiting){.fd = -1,
		.client = *client,
		.client_size = client_size,
		.from = *from,
		.id = (uint16_t)(query[0] << 8 | query[1]),
		.end = now_ms() + QUESTION_MS,
		.server = r->host.n - 1,
		.query = malloc(size),
		.size = size};
	if (!w->query)
		return;
	memcpy(w->query, query, size);
	/* One that nobody can guess, whatever the Arrow has chosen. */
	if (getrandom(w->query, 2, 0) != 2) {
		free(w->query);
		return;
	}
	r->n++;
	resolver_ask(r, w);
}

static void resolver_take_questions(struct resolver *r)
{
	struct sockaddr_storage client = {0};
	uint8_t answer[DNS_ANSWER_MAX];

	for (unsigned int i = 0; i < QUESTIONS_AT_ONCE; i++) {
		socklen_t client_size = sizeof(client);
		ssize_t n = recvfrom(r->udp, r->buffer, sizeof(r->buffer), 0,
			(struct sockaddr *)&client, &client_size);
		struct net_address from;
		size_t size;

		if (n < 0)
			return;
		/* An answer is never answered: two servers would do so for ever. */
		if ((size_t)n < NS_HFIXEDSZ || !dns_is_query(r->buffer))
			continue;
		from = resolver_from(&client);
		size = resolver_answer(r, r->buffer, (size_t)n, &from, NS_PACKETSZ, answer);
		if (size)
			resolver_send(r, answer, size, &client, client_size);
		else
			resolver_forward(r, r->buffer, (size_t)n, &client, client_size, &from);
	}
}

/* What one of the host's resolvers says. Returns true if the question is done with. */
static bool resolver_take_answer(struct resolver *r, struct waiting *w)
{
	ssize_t n = recv(w->fd, r->buffer, sizeof(r->buffer), 0);
	ns_rcode code;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n >= 0 && ((size_t)n < NS_HFIXEDSZ || memcmp(r->buffer, w->query, 2) != 0))
		return false;
	code = n < 0 ? ns_r_servfail : dns_answer_code(r->buffer, (size_t)n);
	/* Another one may know more; nobody is there at all if all refuse at once. */
	if ((n < 0 || code == ns_r_servfail || code == ns_r_refused) && w->server + 1 < r->host.n) {
		resolver_ask(r, w);
		return false;
	}
	if (n < 0) {
		/* Until then it may come. */
		close_keep_errno(steal_fd(&w->fd));
		return false;
	}
	r->buffer[0] = (uint8_t)(w->id >> 8);
	r->buffer[1] = (uint8_t)w->id;
	resolver_send(r, r->buffer, (size_t)n, &w->client, w->client_size);
	return true;
}

/* A message with its size before it. Returns its size, or 0 at the end. */
static size_t resolver_read_message(int fd, uint8_t buffer[MESSAGE_MAX])
{
	uint8_t head[2];
	size_t size;

	if (read_full(fd, head, sizeof(head)) != (ssize_t)sizeof(head))
		return 0;
	size = (size_t)head[0] << 8 | head[1];
	return read_full(fd, buffer, size) == (ssize_t)size ? size : 0;
}

static int resolver_write_message(int fd, const uint8_t *message, size_t size)
{
	const uint8_t head[2] = {(uint8_t)(size >> 8), (uint8_t)size};
	int r = write_full(fd, head, sizeof(head));

	return r == 0 ? write_full(fd, message, size) : r;
}

/* Asks the host's resolvers over TCP. Returns the size of the answer, 0 if there is none. */
static size_t resolver_relay(struct resolver *r, size_t size)
{
	const struct timeval deadline = {.tv_sec = CONNECT_S};
	static uint8_t query[MESSAGE_MAX];

	memcpy(query, r->buffer, size);
	for (unsigned int i = 0; i < r->host.n; i++) {
		struct sockaddr_storage to;
		socklen_t to_size = resolver_address(
			&r->host.servers[i].address, PORT, r->host.servers[i].scope, &to);
		_cleanup_close_ int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		size_t n;

		if (fd < 0 ||
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)) < 0 ||
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) < 0 ||
			connect(fd, (struct sockaddr *)&to, to_size) < 0 ||
			resolver_write_message(fd, query, size) < 0)
			continue;
		n = resolver_read_message(fd, r->buffer);
		if (n >= NS_HFIXEDSZ)
			return n;
	}
	return 0;
}

static void __attribute__((noreturn))
resolver_serve_connection(struct resolver *r, int fd, const struct net_address *from)
{
	uint8_t answer[DNS_ANSWER_MAX];
	size_t size, n;

	alarm(CONNECTION_S);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		size = resolver_read_message(fd, r->buffer);
		if (size < NS_HFIXEDSZ)
			_exit(0);
		n = resolver_answer(r, r->buffer, size, from, DNS_ANSWER_MAX, answer);
		if (n) {
			n = resolver_write_message(fd, answer, n) == 0;
		} else {
			n = resolver_relay(r, size);
			n = n && resolver_write_message(fd, r->buffer, n) == 0;
		}
		if (!n)
			_exit(0);
	}
}

static void resolver_reap(struct resolver *r)
{
	pid_t pid;

	while (r->n_connections && (pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (size_t i = 0; i < r->n_connections; i++)
			if (r->connections[i].pid == pid) {
				r->connections[i] = r->connections[--r->n_connections];
				break;
			}
}

static void resolver_take_connection(struct resolver *r)
{
	struct sockaddr_storage client = {0};
	socklen_t size = sizeof(client);
	_cleanup_close_ int fd = accept4(r->tcp, (struct sockaddr *)&client, &size, SOCK_CLOEXEC);
	struct net_address from;
	size_t same = 0;
	pid_t pid;

	r->full = fd < 0 && errno != EAGAIN && errno != ECONNABORTED;
	if (fd < 0)
		return;
	from = resolver_from(&client);
	for (size_t i = 0; i < r->n_connections; i++)
		same += net_address_equal(&r->connections[i].from, &from);
	if (same >= CONNECTIONS_EACH)
		return;
	pid = fork();
	if (pid == 0)
		resolver_serve_connection(r, fd, &from);
	if (pid > 0)
		r->connections[r->n_connections++] = (struct connection){pid, from};
}

/* Asks again what waits too long, and gives up what has waited long enough. */
static void resolver_check_waiting(struct resolver *r)
{
	uint64_t now = now_ms();

	for (size_t i = r->n; i-- > 0;) {
		if (now >= r->waiting[i].end || r->host.n == 0)
			resolver_fail(r, i);
		else if (now >= r->waiting[i].next)
			resolver_ask(r, &r->waiting[i]);
	}
}

static void resolver_become_nobody(pid_t parent)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		setresuid(NOBODY, NOBODY, NOBODY) < 0 || caps_keep(0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
}

void net_resolver_run(const int fds[2], int names, const char *network, pid_t parent)
{
	struct resolver *r = calloc(1, sizeof(*r));
	static struct pollfd p[2 + QUESTIONS_MAX];
	const int keep[] = {fds[0], fds[1], names};

	if (!r)
		_exit(1);
	close_all_but(keep, 3);
	title_set("arrow-dns", network);
	resolver_become_nobody(parent);
	r->udp = fds[0];
	r->tcp = fds[1];
	r->names = names;
	r->network = network;
	for (;;) {
		size_t n = r->n;
		int timeout;

		p[0] = (struct pollfd){r->udp, POLLIN, 0};
		p[1] = (struct pollfd){
			r->n_connections < CONNECTIONS_MAX && !r->full ? r->tcp : -1, POLLIN, 0};
		for (size_t i = 0; i < n; i++)
			p[2 + i] = (struct pollfd){r->waiting[i].fd, POLLIN, 0};
		/* Often enough for the deadlines, and to reap. */
		timeout = r->n_connections || r->full ? 1000 : -1;
		if (poll(p, 2 + n, n ? 100 : timeout) < 0 && errno != EINTR)
			_exit(1);
		r->full = false;
		resolver_reap(r);
		/* From the last one on: one that goes is replaced by the last. */
		for (size_t i = n; i-- > 0;)
			if (p[2 + i].revents && resolver_take_answer(r, &r->waiting[i]))
				resolver_forget(r, i);
		if (p[0].revents)
			resolver_take_questions(r);
		if (p[1].revents)
			resolver_take_connection(r);
		if (r->n)
			resolver_check_waiting(r);
	}
}
