// SPDX-License-Identifier: Apache-2.0
#include "net/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"

#define BACKLOG 1024
#define RANDOM_TRIES 64
#define FILES_SPARE 256u /* descriptors for everything else */

static int ports_add(struct net_ports *ports, const struct net_port *port)
{
	struct net_port *larger;

	if (ports->n >= NET_PORTS_MAX)
		return -E2BIG;
	larger = realloc(ports->v, (ports->n + 1) * sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	ports->v = larger;
	ports->v[ports->n++] = *port;
	return 0;
}

/* Reads FIRST or FIRST-LAST up to the end. */
static int ports_parse_range(const char *text, uint16_t *first, uint16_t *last)
{
	unsigned long a, b;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	a = b = strtoul(text, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		b = strtoul(end + 1, &end, 10);
	if (*end || a > b || b > 65535)
		return -EINVAL;
	*first = (uint16_t)a;
	*last = (uint16_t)b;
	return 0;
}

/* Cuts "/udp" off. */
static int ports_parse_protocol(char *text, bool *udp)
{
	char *slash = strchr(text, '/');

	*udp = slash && strcmp(slash, "/udp") == 0;
	if (slash && !*udp && strcmp(slash, "/tcp") != 0)
		return -EINVAL;
	if (slash)
		*slash = '\0';
	return 0;
}

/* Takes [ADDRESS:][HOST:] in front of the guest's port. */
static int ports_parse_host(char *text, struct net_address *address, char **ports)
{
	char *end, *start = text;

	if (*text == '[') {
		start++;
		end = strchr(start, ']');
		if (!end || end[1] != ':')
			return -EINVAL;
		*end = '\0';
		*ports = end + 2;
	} else {
		end = strrchr(text, ':');
		*ports = end ? end + 1 : text;
		if (!end)
			return 0;
		*end = '\0';
	}
	if (net_address_parse(start, address) < 0 || strchr(start, '/'))
		return -EINVAL;
	for (size_t i = 0; i < 16; i++)
		if (address->bytes[i])
			return 0;
	/* 0.0.0.0 is all IPv4 addresses and means what leaving it out means. */
	if (address->family == 4)
		*address = (struct net_address){0};
	return 0;
}

static int ports_parse(struct net_ports *ports, char *text)
{
	uint16_t guest = 0, guest_last = 0, host = 0, host_last = 0;
	struct net_port port = {0};
	char *colon, *host_text = NULL;
	int r = ports_parse_protocol(text, &port.udp);

	if (r < 0)
		return r;
	colon = strrchr(text, ':');
	if (colon) {
		*colon = '\0';
		r = ports_parse_range(colon + 1, &guest, &guest_last);
		if (r == 0)
			r = ports_parse_host(text, &port.host, &host_text);
		if (r == 0 && *host_text) {
			r = ports_parse_range(host_text, &host, &host_last);
			if (r == 0 && host == 0 && host_last)
				r = -EINVAL;
		}
	} else {
		r = ports_parse_range(text, &guest, &guest_last);
	}
	if (r < 0 || guest == 0)
		return -EINVAL;
	/* Ranges are of one length, or a range of the host is for one port of the guest. */
	if (host_last != host && guest_last != guest && host_last - host != guest_last - guest)
		return -EINVAL;
	if (host && host_last == host && guest_last != guest)
		return -EINVAL;
	for (unsigned int i = 0; i <= (unsigned int)(guest_last - guest) && r == 0; i++) {
		port.guest_port = (uint16_t)(guest + i);
		port.host_port = host ? (uint16_t)(host + i) : 0;
		port.host_last = guest == guest_last ? host_last : port.host_port;
		r = ports_add(ports, &port);
	}
	return r;
}

static int ports_fail_number(struct arrow_error *error)
{
	return arrow_fail(error, E2BIG, "at most %u ports can be published", NET_PORTS_MAX);
}

int net_ports_parse(struct net_ports *ports, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text);
	int r = copy ? ports_parse(ports, copy) : -ENOMEM;

	if (r == -E2BIG)
		return ports_fail_number(error);
	return r < 0 ? arrow_fail(error, -r,
			       "invalid published port '%s': give one such as 8080:80, 127.0.0.1:8080:80, [::1]:8080:80, 8000-8010:80-90 or 80, with /udp for UDP",
			       text)
		     : 0;
}

int net_ports_expose(struct net_ports *ports, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text);
	struct net_port port = {0};
	uint16_t first = 0, last = 0;
	int r = copy ? ports_parse_protocol(copy, &port.udp) : -ENOMEM;

	if (r == 0)
		r = ports_parse_range(copy, &first, &last);
	if (r == 0 && first == 0)
		r = -EINVAL;
	for (unsigned int p = first; p <= last && r == 0; p++) {
		port.guest_port = (uint16_t)p;
		r = ports_add(ports, &port);
	}
	if (r == -E2BIG)
		return ports_fail_number(error);
	return r < 0 ? arrow_fail(error, -r,
			       "invalid exposed port '%s': give one such as 80, 80-90 or 53/udp",
			       text)
		     : 0;
}

int net_ports_copy(struct net_ports *to, const struct net_ports *from)
{
	int r = 0;

	for (size_t i = 0; i < from->n && r == 0; i++)
		r = ports_add(to, &from->v[i]);
	return r;
}

void net_ports_release(struct net_ports *ports)
{
	free(ports->v);
	*ports = (struct net_ports){0};
}

json_t *net_ports_json(const struct net_ports *ports)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ports->n; i++) {
		const struct net_port *p = &ports->v[i];
		char text[NET_ADDRESS_TEXT];

		json_array_append_new(
			list, json_pack("{s:s, s:i, s:i, s:i, s:s}", "host",
				      net_address_text(&p->host, false, text), "host_port",
				      p->host_port, "host_last", p->host_last, "guest_port",
				      p->guest_port, "protocol", p->udp ? "udp" : "tcp"));
	}
	return list;
}

static bool ports_take_number(const json_t *o, const char *key, uint16_t *port)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	*port = (uint16_t)n;
	return n >= 0 && n <= 65535;
}

static void ports_add_binding(json_t *list, const char *host, const char *number)
{
	json_array_append_new(list, json_pack("{s:s, s:s}", "HostIp", host, "HostPort", number));
}

json_t *net_ports_bindings(const struct net_ports *ports, bool bound)
{
	json_t *object = json_object();

	for (size_t i = 0; i < ports->n; i++) {
		const struct net_port *p = &ports->v[i];
		char key[24], number[8] = "", text[NET_ADDRESS_TEXT];
		json_t *list;

		snprintf(key, sizeof(key), "%u/%s", p->guest_port, p->udp ? "udp" : "tcp");
		if (p->host_port)
			snprintf(number, sizeof(number), "%u", p->host_port);
		list = json_object_get(object, key);
		if (!list) {
			list = json_array();
			json_object_set_new(object, key, list);
		}
		if (!p->host.family && bound) {
			ports_add_binding(list, "0.0.0.0", number);
			ports_add_binding(list, "::", number);
		} else {
			ports_add_binding(list,
				p->host.family ? net_address_text(&p->host, false, text) : "",
				number);
		}
	}
	return object;
}

int net_ports_from_json(struct net_ports *ports, const json_t *json)
{
	json_t *o;
	size_t i;
	int r = 0;

	json_array_foreach (json, i, o) {
		const char *host = json_string_value(json_object_get(o, "host"));
		const char *protocol = json_string_value(json_object_get(o, "protocol"));
		struct net_port p = {0};

		if (!host || (*host && net_address_parse(host, &p.host) < 0) ||
			!ports_take_number(o, "host_port", &p.host_port) ||
			!ports_take_number(o, "host_last", &p.host_last) ||
			!ports_take_number(o, "guest_port", &p.guest_port))
			return -EBADMSG;
		p.udp = protocol && strcmp(protocol, "udp") == 0;
		r = ports_add(ports, &p);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Binds one socket. Returns it or a negative errno; *port gets the number. */
static int sockets_bind_one(
	const struct net_address *address, uint8_t family, uint16_t *port, bool udp)
{
	_cleanup_close_ int fd = socket(family == 6 ? AF_INET6 : AF_INET,
		(udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(*port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
	struct sockaddr *to = family == 6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t size = family == 6 ? sizeof(in6) : sizeof(in);
	int yes = 1;

	if (fd < 0)
		return -errno;
	if (address->family) {
		memcpy(&in.sin_addr, address->bytes, 4);
		memcpy(&in6.sin6_addr, address->bytes, 16);
	}
	if (family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) < 0)
		return -errno;
	/* Connections of a server before, that wait for their end, do not take the port. */
	if (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0)
		return -errno;
	if (bind(fd, to, size) < 0 || (!udp && listen(fd, BACKLOG) < 0) ||
		getsockname(fd, to, &size) < 0)
		return -errno;
	*port = ntohs(family == 6 ? in6.sin6_port : in.sin_port);
	return steal_fd(&fd);
}

/* Binds what a port needs at one number. Returns 0 or a negative errno. */
static int sockets_bind_port(const struct net_port *port, uint16_t *number, int fds[2])
{
	int r;

	fds[0] = fds[1] = -1;
	if (port->host.family != 6) {
		r = fds[0] = sockets_bind_one(&port->host, 4, number, port->udp);
		if (r < 0)
			return r;
	}
	if (port->host.family != 4) {
		r = fds[1] = sockets_bind_one(&port->host, 6, number, port->udp);
		/* A host without IPv6 has none of its addresses either. */
		if ((r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) && !port->host.family)
			r = 0;
		if (r < 0) {
			close_keep_errno(steal_fd(&fds[0]));
			return r;
		}
	}
	return 0;
}

static int sockets_bind_free(struct net_port *port, int fds[2])
{
	uint16_t number;
	int r = -EADDRINUSE;

	if (port->host_port == 0) {
		/* One that is free for IPv4 may be taken for IPv6. */
		for (int i = 0; i < RANDOM_TRIES && r == -EADDRINUSE; i++) {
			number = 0;
			r = sockets_bind_port(port, &number, fds);
		}
	}
	for (unsigned int p = port->host_port; p && p <= port->host_last && r == -EADDRINUSE; p++) {
		number = (uint16_t)p;
		r = sockets_bind_port(port, &number, fds);
	}
	if (r == 0)
		port->host_port = port->host_last = number;
	return r;
}

static int sockets_keep(struct net_sockets *sockets, int fd, size_t port)
{
	struct net_socket *larger = realloc(sockets->v, (sockets->n + 1) * sizeof(*larger));
	int higher = -1;

	if (!larger) {
		close(fd);
		return -ENOMEM;
	}
	/* Low numbers are left for who uses select(), such as libnftables. */
	if (sockets->n >= FILES_SPARE && fd < FD_SETSIZE)
		higher = fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE);
	if (higher >= 0) {
		close(fd);
		fd = higher;
	}
	sockets->v = larger;
	sockets->v[sockets->n++] = (struct net_socket){fd, port};
	return 0;
}

/* Two descriptors a port, of which a shell's limit allows a thousand. */
static void sockets_make_room(size_t n_ports)
{
	rlim_t needed = 2 * n_ports + FD_SETSIZE;
	struct rlimit files;

	if (n_ports < FILES_SPARE / 2 || getrlimit(RLIMIT_NOFILE, &files) < 0 ||
		files.rlim_cur >= needed)
		return;
	files.rlim_cur = needed < files.rlim_max ? needed : files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

int net_sockets_bind(
	struct net_sockets *sockets, struct net_ports *ports, struct arrow_error *error)
{
	sockets_make_room(ports->n);
	for (size_t i = 0; i < ports->n; i++) {
		struct net_port *p = &ports->v[i];
		char text[NET_ADDRESS_TEXT];
		int fds[2], r = sockets_bind_free(p, fds);

		net_address_text(&p->host, false, text);
		if (r < 0)
			return arrow_fail(error, -r, "cannot publish port %s%s%u/%s: %m; %s", text,
				*text ? ":" : "", p->host_port, p->udp ? "udp" : "tcp",
				r == -EADDRINUSE      ? "choose another with -p"
				: r == -EADDRNOTAVAIL ? "this host does not have that address"
				: r == -EMFILE        ? "raise the limit of open files (ulimit -Hn)"
						      : "ports below 1024 require root");
		for (int k = 0; k < 2; k++) {
			r = fds[k] < 0 ? 0 : sockets_keep(sockets, steal_fd(&fds[k]), i);
			if (r < 0)
				return arrow_fail(error, ENOMEM, "out of memory");
		}
	}
	return 0;
}

void net_sockets_release(struct net_sockets *sockets)
{
	for (size_t i = 0; i < sockets->n; i++)
		close_keep_errno(sockets->v[i].fd);
	free(sockets->v);
	*sockets = (struct net_sockets){0};
}
