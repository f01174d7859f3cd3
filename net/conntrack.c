// SPDX-License-Identifier: Apache-2.0
#include "net/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/link.h"
#include "util/cleanup.h"

#define BUFFER_SIZE 32768 /* of answers; the kernel's dumps come in pieces of that */
#define TUPLE_MAX 256u
#define CT(type) ((uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | (type)))

/* The flows that are to go: their original tuples, as the kernel has them. */
struct flows {
	uint8_t family;
	const struct net_address *guest; /* those that were led to this one; or NULL: */
	const struct net_ports *ports;   /* those that came to these, and were led nowhere */
	struct net_address *locals;      /* the host's addresses, owned */
	size_t n_locals;
	struct flow {
		uint16_t size;
		uint8_t tuple[TUPLE_MAX];
	} * v; /* owned */
	size_t n;
};

static struct nlmsghdr *put_header(void *at, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *head = mnl_nlmsg_put_header(at);
	struct nfgenmsg *gen;

	head->nlmsg_type = CT(type);
	head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	head->nlmsg_seq = 1;
	gen = mnl_nlmsg_put_extra_header(head, sizeof(*gen));
	gen->nfgen_family = family;
	gen->version = NFNETLINK_V0;
	return head;
}

static const struct nlattr *find_nested(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

/* The address of a tuple, by its attributes for both families. Returns 0 or -EBADMSG. */
static int conntrack_address(const struct nlattr *tuple, uint8_t family, uint16_t four,
	uint16_t six, struct net_address *a)
{
	const struct nlattr *ip = find_nested(tuple, CTA_TUPLE_IP);
	const struct nlattr *attr = ip ? find_nested(ip, family == 6 ? six : four) : NULL;

	*a = (struct net_address){.family = family, .prefix = (uint8_t)net_address_bits(family)};
	if (!attr || mnl_attr_get_payload_len(attr) != net_address_bits(family) / 8)
		return -EBADMSG;
	memcpy(a->bytes, mnl_attr_get_payload(attr), net_address_bits(family) / 8);
	return 0;
}

/* The port that a tuple of UDP goes to; 0 for another protocol. */
static uint16_t conntrack_port(const struct nlattr *tuple)
{
	const struct nlattr *proto = find_nested(tuple, CTA_TUPLE_PROTO);
	const struct nlattr *number = proto ? find_nested(proto, CTA_PROTO_NUM) : NULL;
	const struct nlattr *port = proto ? find_nested(proto, CTA_PROTO_DST_PORT) : NULL;

	return number && port && mnl_attr_get_u8(number) == IPPROTO_UDP
		       ? ntohs(mnl_attr_get_u16(port))
		       : 0;
}

/* True for UDP that came to a published port of the host. */
static bool conntrack_is_published(const struct flows *flows, const struct nlattr *tuple)
{
	uint16_t number = conntrack_port(tuple);
	struct net_address to;
	bool local = false, published = false;

	if (!number ||
		conntrack_address(tuple, flows->family, CTA_IP_V4_DST, CTA_IP_V6_DST, &to) < 0)
		return false;
	for (size_t i = 0; i < flows->n_locals; i++)
		local |= net_address_equal(&flows->locals[i], &to);
	for (size_t i = 0; i < flows->ports->n; i++) {
		const struct net_port *p = &flows->ports->v[i];

		published |= p->udp && p->host_port == number &&
			     (!p->host.family || net_address_equal(&p->host, &to));
	}
	return local && published;
}

static int collect_flow(const struct nlmsghdr *head, void *arg)
{
	const struct nlattr *attr, *tuple = NULL, *reply = NULL, *status = NULL;
	struct flows *flows = arg;
	struct net_address from;
	struct flow *larger;
	uint16_t size;
	bool led;

	mnl_attr_for_each(attr, head, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == CTA_TUPLE_ORIG)
			tuple = attr;
		else if (mnl_attr_get_type(attr) == CTA_TUPLE_REPLY)
			reply = attr;
		else if (mnl_attr_get_type(attr) == CTA_STATUS)
			status = attr;
	}
	if (!tuple || !reply || !status)
		return MNL_CB_OK;
	led = ntohl(mnl_attr_get_u32(status)) & IPS_DST_NAT;
	if (flows->guest ? !led || !conntrack_port(reply) ||
				   conntrack_address(reply, flows->family, CTA_IP_V4_SRC,
					   CTA_IP_V6_SRC, &from) < 0 ||
				   !net_address_equal(&from, flows->guest)
			 : led || !conntrack_is_published(flows, tuple))
		return MNL_CB_OK;
	size = mnl_attr_get_payload_len(tuple);
	larger = size > TUPLE_MAX ? NULL : realloc(flows->v, (flows->n + 1) * sizeof(*larger));
	if (!larger)
		return MNL_CB_OK;
	flows->v = larger;
	larger[flows->n].size = size;
	memcpy(larger[flows->n++].tuple, mnl_attr_get_payload(tuple), size);
	return MNL_CB_OK;
}

/* Sends a message and takes the answers up to the end or the error. */
static void conntrack_exchange(
	struct mnl_socket *nl, const struct nlmsghdr *request, mnl_cb_t each, void *arg)
{
	_cleanup_free_ char *buffer = malloc(BUFFER_SIZE);
	unsigned int port = mnl_socket_get_portid(nl);
	int r = buffer && mnl_socket_sendto(nl, request, request->nlmsg_len) >= 0;

	while (r > 0) {
		ssize_t n = mnl_socket_recvfrom(nl, buffer, BUFFER_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -1 : mnl_cb_run(buffer, (size_t)n, 1, port, each, arg);
	}
}

static void conntrack_forget(struct flows *flows)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	uint8_t family = flows->family == 6 ? AF_INET6 : AF_INET;
	char data[TUPLE_MAX + 128];

	if (!nl)
		return;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0)
		conntrack_exchange(nl, put_header(data, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family),
			collect_flow, flows);
	for (size_t i = 0; i < flows->n; i++) {
		struct nlmsghdr *head = put_header(data, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family);

		mnl_attr_put(
			head, NLA_F_NESTED | CTA_TUPLE_ORIG, flows->v[i].size, flows->v[i].tuple);
		/* One that has just ended by itself is no failure. */
		conntrack_exchange(nl, head, NULL, NULL);
	}
	free(STEAL(flows->v));
	flows->n = 0;
	mnl_socket_close(nl);
}

void net_conntrack_forget_udp(const struct net_address *guest)
{
	struct flows flows = {.family = guest->family, .guest = guest};

	conntrack_forget(&flows);
}

static void conntrack_add_local(const struct net_address *address, void *arg)
{
	struct flows *flows = arg;
	struct net_address *larger =
		realloc(flows->locals, (flows->n_locals + 1) * sizeof(*larger));

	if (!larger)
		return;
	flows->locals = larger;
	flows->locals[flows->n_locals++] = *address;
}

void net_conntrack_forget_unled(const struct net_ports *ports)
{
	struct flows flows = {.ports = ports};
	bool udp = false;

	for (size_t i = 0; i < ports->n; i++)
		udp |= ports->v[i].udp;
	if (udp && net_link_addresses(0, conntrack_add_local, &flows) == 0)
		for (flows.family = 4; flows.family <= 6; flows.family += 2)
			conntrack_forget(&flows);
	free(flows.locals);
}
