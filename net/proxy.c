// SPDX-License-Identifier: Apache-2.0
#include "net/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/caps.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"
#include "util/title.h"

#define DATAGRAM_MAX 65535
#define FLOWS_MAX 1024u     /* UDP: clients that are remembered */
#define FLOW_IDLE_MS 90000u /* and for how long */
#define CHUNK (64u * 1024u) /* bytes in a pipe */
#define EVENTS 64

/* What a descriptor of the epoll set belongs to; each begins so. */
enum kind { LISTENER, SERVER, TCP_SIDE, FLOW };

struct source {
	enum kind kind;
	int fd;
};

struct listener {
	struct source source; /* LISTENER (TCP) or SERVER (UDP) */
	struct net_address guest;
	uint16_t port;
};

struct connection;

struct side {
	struct source source; /* TCP_SIDE */
	struct connection *connection;
	int pipe[2];   /* what came from it */
	size_t queued; /* bytes in the pipe */
	bool ended;    /* it sends no more */
	bool shut;     /* and the other was told */
};

struct connection {
	struct side side[2]; /* the client, the Arrow */
	bool connecting, dead;
	struct connection *next_dead;
};

struct flow {
	struct source source; /* FLOW: connected to the Arrow; fd -1: free */
	const struct listener *listener;
	struct sockaddr_storage client;
	socklen_t client_size;
	uint64_t last_ms;
};

struct proxy {
	int epoll;
	struct listener *listeners;
	size_t n;
	struct flow *flows;
	struct connection *dead; /* freed once no event can name them */
	uint64_t accept_again;   /* ms; 0: descriptors have not run out */
	char buffer[DATAGRAM_MAX];
};

static socklen_t proxy_guest_address(const struct listener *l, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (l->guest.family == 6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(l->port);
		memcpy(&in6->sin6_addr, l->guest.bytes, 16);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(l->port);
	memcpy(&in->sin_addr, l->guest.bytes, 4);
	return sizeof(*in);
}

static int proxy_watch_source(struct proxy *p, struct source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

/* A socket that is connected, or being connected, to the Arrow. */
static int proxy_connect_guest(const struct listener *l, int type)
{
	struct sockaddr_storage to;
	socklen_t size = proxy_guest_address(l, &to);
	_cleanup_close_ int fd = socket(to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, (struct sockaddr *)&to, size) < 0 && errno != EINPROGRESS))
		return -errno;
	return steal_fd(&fd);
}

static void proxy_end_connection(struct proxy *p, struct connection *c)
{
	if (c->dead)
		return;
	for (int i = 0; i < 2; i++) {
		close_keep_errno(steal_fd(&c->side[i].source.fd));
		close_keep_errno(steal_fd(&c->side[i].pipe[0]));
		close_keep_errno(steal_fd(&c->side[i].pipe[1]));
	}
	c->dead = true;
	c->next_dead = p->dead;
	p->dead = c;
}

/* Moves what one side sent to the other, as far as it goes. False if the connection is broken. */
static bool proxy_move_bytes(struct side *from, struct side *to)
{
	for (;;) {
		bool moved = false;
		ssize_t n;

		if (!from->ended && from->queued < CHUNK) {
			n = splice(from->source.fd, NULL, from->pipe[1], NULL, CHUNK - from->queued,
				SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n > 0) {
				from->queued += (size_t)n;
				moved = true;
			} else if (n == 0) {
				from->ended = true;
			} else if (errno != EAGAIN && errno != EINTR) {
				return false;
			}
		}
		if (from->queued > 0) {
			n = splice(from->pipe[0], NULL, to->source.fd, NULL, from->queued,
				SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n > 0) {
				from->queued -= (size_t)n;
				moved = true;
			} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
				return false;
			}
		}
		if (!moved)
			break;
	}
	if (from->ended && from->queued == 0 && !from->shut) {
		shutdown(to->source.fd, SHUT_WR);
		from->shut = true;
	}
	return true;
}

static void proxy_carry_connection(struct proxy *p, struct connection *c, uint32_t events)
{
	int err = 0;
	socklen_t size = sizeof(err);

	if (c->dead)
		return;
	if (c->connecting) {
		if (getsockopt(c->side[1].source.fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0 ||
			err) {
			proxy_end_connection(p, c);
			return;
		}
		if (!(events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
			return;
		c->connecting = false;
	}
	if (!proxy_move_bytes(&c->side[0], &c->side[1]) ||
		!proxy_move_bytes(&c->side[1], &c->side[0]) || (c->side[0].shut && c->side[1].shut))
		proxy_end_connection(p, c);
}

static void proxy_begin_connection(struct proxy *p, const struct listener *l, int client)
{
	struct connection *c = calloc(1, sizeof(*c));
	int yes = 1;

	if (!c) {
		close(client);
		return;
	}
	for (int i = 0; i < 2; i++)
		c->side[i] =
			(struct side){.source = {TCP_SIDE, -1}, .connection = c, .pipe = {-1, -1}};
	c->side[0].source.fd = client;
	c->connecting = true;
	c->side[1].source.fd = proxy_connect_guest(l, SOCK_STREAM);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (c->side[1].source.fd < 0 || pipe2(c->side[0].pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
		pipe2(c->side[1].pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
		proxy_watch_source(
			p, &c->side[0].source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0 ||
		proxy_watch_source(
			p, &c->side[1].source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
		proxy_end_connection(p, c);
		return;
	}
	setsockopt(c->side[1].source.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static void proxy_accept_clients(struct proxy *p, const struct listener *l)
{
	int fd;

	while ((fd = accept4(l->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		proxy_begin_connection(p, l, fd);
	/* Without descriptors the client waits in the queue, and so do we, or we would spin. */
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		p->accept_again = now_ms() + 100;
}

static struct flow *proxy_find_flow(struct proxy *p, const struct listener *l,
	const struct sockaddr_storage *client, socklen_t size)
{
	uint64_t now = now_ms();
	struct flow *oldest = &p->flows[0];

	for (size_t i = 0; i < FLOWS_MAX; i++) {
		struct flow *f = &p->flows[i];

		if (f->source.fd >= 0 && f->listener == l && f->client_size == size &&
			memcmp(&f->client, client, size) == 0)
			return f;
		if (f->source.fd < 0 || (oldest->source.fd >= 0 && f->last_ms < oldest->last_ms))
			oldest = f;
	}
	close_keep_errno(oldest->source.fd);
	*oldest = (struct flow){
		.source = {FLOW, proxy_connect_guest(l, SOCK_DGRAM)},
		.listener = l,
		.client = *client,
		.client_size = size,
		.last_ms = now,
	};
	if (oldest->source.fd >= 0 && proxy_watch_source(p, &oldest->source, EPOLLIN) < 0)
		close(steal_fd(&oldest->source.fd));
	return oldest->source.fd >= 0 ? oldest : NULL;
}

static void proxy_serve_datagrams(struct proxy *p, const struct listener *l)
{
	struct sockaddr_storage client = {0};
	socklen_t size = sizeof(client);
	ssize_t n;

	while ((n = recvfrom(l->source.fd, p->buffer, sizeof(p->buffer), 0,
			(struct sockaddr *)&client, &size)) >= 0) {
		struct flow *f = proxy_find_flow(p, l, &client, size);

		if (f) {
			f->last_ms = now_ms();
			/* What cannot be sent is lost, as UDP has it. */
			if (send(f->source.fd, p->buffer, (size_t)n, 0) < 0)
				errno = 0;
		}
		size = sizeof(client);
	}
}

static void proxy_answer_client(struct proxy *p, struct flow *f)
{
	ssize_t n;

	while (f->source.fd >= 0 &&
		(n = recv(f->source.fd, p->buffer, sizeof(p->buffer), 0)) >= 0) {
		f->last_ms = now_ms();
		if (sendto(f->listener->source.fd, p->buffer, (size_t)n, 0,
			    (struct sockaddr *)&f->client, f->client_size) < 0)
			errno = 0;
	}
}

static void proxy_forget_old_flows(struct proxy *p)
{
	uint64_t now = now_ms();

	for (size_t i = 0; i < FLOWS_MAX; i++) {
		struct flow *f = &p->flows[i];

		if (f->source.fd >= 0 && now - f->last_ms > FLOW_IDLE_MS)
			close(steal_fd(&f->source.fd));
	}
}

static void proxy_run(struct proxy *p)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(p->epoll, events, EVENTS, p->accept_again ? 100 : 10000);

		for (int i = 0; i < n; i++) {
			struct source *s = events[i].data.ptr;

			switch (s->kind) {
			case LISTENER:
				proxy_accept_clients(p, (struct listener *)s);
				break;
			case SERVER:
				proxy_serve_datagrams(p, (struct listener *)s);
				break;
			case TCP_SIDE:
				proxy_carry_connection(
					p, ((struct side *)s)->connection, events[i].events);
				break;
			case FLOW:
				proxy_answer_client(p, (struct flow *)s);
				break;
			}
		}
		while (p->dead) {
			struct connection *c = p->dead;

			p->dead = c->next_dead;
			free(c);
		}
		if (p->accept_again && now_ms() >= p->accept_again) {
			p->accept_again = 0;
			for (size_t i = 0; i < p->n; i++)
				if (p->listeners[i].source.kind == LISTENER)
					proxy_accept_clients(p, &p->listeners[i]);
		}
		if (n == 0)
			proxy_forget_old_flows(p);
	}
}

/* Closes all but stdio and the sockets. Returns 0 or a negative errno. */
static int proxy_close_others(const struct net_sockets *sockets)
{
	_cleanup_free_ int *fds = calloc(sockets->n, sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	for (size_t i = 0; i < sockets->n; i++)
		fds[i] = sockets->v[i].fd;
	close_all_but(fds, sockets->n);
	return 0;
}

static int proxy_set_up(struct proxy *p, const struct net_sockets *sockets,
	const struct net_ports *ports, const struct net_address *guest)
{
	struct rlimit files;
	int r = proxy_close_others(sockets);

	if (r < 0)
		return r;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	p->listeners = calloc(sockets->n, sizeof(*p->listeners));
	p->flows = calloc(FLOWS_MAX, sizeof(*p->flows));
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0 || !p->listeners || !p->flows)
		return -ENOMEM;
	for (size_t i = 0; i < FLOWS_MAX; i++)
		p->flows[i].source.fd = -1;
	for (; p->n < sockets->n && r == 0; p->n++) {
		const struct net_port *port = &ports->v[sockets->v[p->n].port];

		p->listeners[p->n] = (struct listener){
			.source = {port->udp ? SERVER : LISTENER, sockets->v[p->n].fd},
			.guest = *guest,
			.port = port->guest_port,
		};
		r = proxy_watch_source(p, &p->listeners[p->n].source, EPOLLIN | EPOLLET);
	}
	return r;
}

int net_proxy_start(const struct net_sockets *sockets, const struct net_ports *ports,
	const struct net_address *guest)
{
	pid_t parent = getpid(), pid = fork();
	struct proxy *p;
	sigset_t none;

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	title_set("arrow-proxy", NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	p = calloc(1, sizeof(*p));
	/* It reads what strangers send, and its sockets are bound already: it needs no rights. */
	if (caps_keep(0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(1);
	if (getppid() == parent && p && proxy_set_up(p, sockets, ports, guest) == 0)
		proxy_run(p);
	_exit(1);
}
