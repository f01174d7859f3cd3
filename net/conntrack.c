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

#include "util/cleanup.h"

#define BUFFER_SIZE 32768 /* of answers; the kernel's dumps come in pieces of that */
#define TUPLE_MAX 256u
#define CT(type) ((uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | (type)))

/* The flows that are to go: their original tuples, as the kernel has them. */
struct flows {
	const struct net_address *guest;
	struct flow {
		uint16_t size;
		uint8_t tuple[TUPLE_MAX];
	} * v; /* owned */
	size_t n;
};

static uint8_t family_of(const struct net_address *address)
{
	return address->family == 6 ? AF_INET6 : AF_INET;
}

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

/* True for UDP that is answered by the guest. */
static bool is_from(const struct nlattr *tuple, const struct net_address *guest)
{
	const struct nlattr *ip = find_nested(tuple, CTA_TUPLE_IP);
	const struct nlattr *proto = find_nested(tuple, CTA_TUPLE_PROTO);
	const struct nlattr *source =
		ip ? find_nested(ip, guest->family == 6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC) : NULL;
	const struct nlattr *number = proto ? find_nested(proto, CTA_PROTO_NUM) : NULL;
	size_t size = net_address_bits(guest->family) / 8;

	return number && mnl_attr_get_u8(number) == IPPROTO_UDP && source &&
	       mnl_attr_get_payload_len(source) == size &&
	       memcmp(mnl_attr_get_payload(source), guest->bytes, size) == 0;
}

static int collect_flow(const struct nlmsghdr *head, void *arg)
{
	const struct nlattr *attr, *tuple = NULL, *reply = NULL, *status = NULL;
	struct flows *flows = arg;
	struct flow *larger;
	uint16_t size;

	mnl_attr_for_each(attr, head, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == CTA_TUPLE_ORIG)
			tuple = attr;
		else if (mnl_attr_get_type(attr) == CTA_TUPLE_REPLY)
			reply = attr;
		else if (mnl_attr_get_type(attr) == CTA_STATUS)
			status = attr;
	}
	if (!tuple || !reply || !status || !(ntohl(mnl_attr_get_u32(status)) & IPS_DST_NAT) ||
		!is_from(reply, flows->guest))
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

void net_conntrack_forget_udp(const struct net_address *guest)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct flows flows = {.guest = guest};
	char data[TUPLE_MAX + 128];

	if (!nl)
		return;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0)
		conntrack_exchange(nl,
			put_header(data, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family_of(guest)),
			collect_flow, &flows);
	for (size_t i = 0; i < flows.n; i++) {
		struct nlmsghdr *head =
			put_header(data, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family_of(guest));

		mnl_attr_put(
			head, NLA_F_NESTED | CTA_TUPLE_ORIG, flows.v[i].size, flows.v[i].tuple);
		/* One that has just ended by itself is no failure. */
		conntrack_exchange(nl, head, NULL, NULL);
	}
	free(flows.v);
	mnl_socket_close(nl);
}
