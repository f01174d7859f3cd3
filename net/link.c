// SPDX-License-Identifier: Apache-2.0
#include "net/link.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "util/cleanup.h"

#define ETH_P_EVERY 0x0003 /* ETH_P_ALL; linux/if_ether.h quarrels with net/ headers */
#define VNET_HEADER 12     /* bytes: with the number of buffers, as virtio 1 has it */
#define BUFFER_SIZE 32768  /* of answers; the kernel's dumps come in pieces of that */
#define INGRESS_HANDLE 0xffff0000u

struct message {
	union {
		struct nlmsghdr head;
		char room[2048];
	};
};

static struct nlmsghdr *link_begin_request(struct message *m, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *head;

	memset(m, 0, sizeof(*m));
	head = mnl_nlmsg_put_header(m->room);
	head->nlmsg_type = type;
	head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	head->nlmsg_seq = 1;
	return head;
}

/* Sends it and takes the answers up to the end or the error. Returns 0 or a negative errno. */
static int link_exchange(const struct nlmsghdr *request, mnl_cb_t each, void *arg)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	_cleanup_free_ char *buffer = malloc(BUFFER_SIZE);
	ssize_t n;
	int r;

	if (!nl)
		return -errno;
	if (!buffer || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
		mnl_socket_sendto(nl, request, request->nlmsg_len) < 0) {
		r = buffer ? -errno : -ENOMEM;
		mnl_socket_close(nl);
		return r;
	}
	do {
		n = mnl_socket_recvfrom(nl, buffer, BUFFER_SIZE);
		if (n < 0 && errno == EINTR) {
			r = MNL_CB_OK;
			continue;
		}
		r = n < 0 ? -errno
			  : mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(nl), each, arg);
		if (r < 0)
			r = -errno;
	} while (r > 0);
	mnl_socket_close(nl);
	return r;
}

/* As link_exchange(), for a request whose answer is that it is done. */
static int link_send(struct nlmsghdr *request)
{
	request->nlmsg_flags |= NLM_F_ACK;
	return link_exchange(request, NULL, NULL);
}

static bool is_bridge(const struct nlattr *info)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr,
		info) if (mnl_attr_get_type(attr) ==
			  IFLA_INFO_KIND) return strcmp(mnl_attr_get_str(attr), "bridge") == 0;
	return false;
}

static int link_read_link(const struct nlmsghdr *head, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(head);
	struct net_link *link = arg;
	const struct nlattr *attr;

	*link = (struct net_link){
		.index = info->ifi_index,
		.up = info->ifi_flags & IFF_UP,
		.loopback = info->ifi_flags & IFF_LOOPBACK,
		.ethernet = info->ifi_type == ARPHRD_ETHER,
	};
	mnl_attr_for_each(attr, head, sizeof(*info))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			strncpy(link->name, mnl_attr_get_str(attr), sizeof(link->name) - 1);
			break;
		case IFLA_IFALIAS:
			strncpy(link->alias, mnl_attr_get_str(attr), sizeof(link->alias) - 1);
			break;
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_MASTER:
			link->master = (int)mnl_attr_get_u32(attr);
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) == sizeof(link->mac))
				memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
			break;
		case IFLA_LINKINFO:
			link->bridge = is_bridge(attr);
			break;
		default:
			break;
		}
	}
	return MNL_CB_STOP;
}

int net_link_find(const char *name, struct net_link *link)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_GETLINK, 0);

	mnl_nlmsg_put_extra_header(head, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(head, IFLA_IFNAME, name);
	return link_exchange(head, link_read_link, link);
}

static int link_read_first(const struct nlmsghdr *head, void *arg)
{
	struct net_link *found = arg, link;

	link_read_link(head, &link);
	if (!found->index && link.up && link.ethernet && !link.loopback)
		*found = link;
	return MNL_CB_OK;
}

int net_link_first(struct net_link *link)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_GETLINK, NLM_F_DUMP);
	int r;

	mnl_nlmsg_put_extra_header(head, sizeof(struct ifinfomsg));
	*link = (struct net_link){0};
	r = link_exchange(head, link_read_first, link);
	return r < 0 ? r : link->index ? 0 : -ENODEV;
}

int net_link_make_bridge(const char *name, const uint8_t mac[6], uint32_t mtu)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data;

	mnl_nlmsg_put_extra_header(head, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(head, IFLA_IFNAME, name);
	mnl_attr_put(head, IFLA_ADDRESS, 6, mac);
	mnl_attr_put_u32(head, IFLA_MTU, mtu);
	info = mnl_attr_nest_start(head, IFLA_LINKINFO);
	mnl_attr_put_strz(head, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(head, IFLA_INFO_DATA);
	mnl_attr_put_u32(head, IFLA_BR_FORWARD_DELAY, 0);
	mnl_attr_put_u8(head, IFLA_BR_MCAST_SNOOPING, 0); /* nobody asks who listens */
	mnl_attr_nest_end(head, data);
	mnl_attr_nest_end(head, info);
	return link_send(head);
}

int net_link_set_alias(const char *name, const char *alias)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_SETLINK, 0);

	mnl_nlmsg_put_extra_header(head, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(head, IFLA_IFNAME, name);
	mnl_attr_put_str(head, IFLA_IFALIAS, alias);
	return link_send(head);
}

int net_link_up(int index, int master, uint32_t mtu)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_SETLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(head, sizeof(*info));

	info->ifi_index = index;
	info->ifi_change = IFF_UP;
	info->ifi_flags = IFF_UP;
	if (mtu)
		mnl_attr_put_u32(head, IFLA_MTU, mtu);
	if (master)
		mnl_attr_put_u32(head, IFLA_MASTER, (uint32_t)master);
	return link_send(head);
}

int net_link_set_hairpin(int index)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_SETLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(head, sizeof(*info));
	struct nlattr *port;

	info->ifi_family = AF_BRIDGE;
	info->ifi_index = index;
	port = mnl_attr_nest_start(head, IFLA_PROTINFO);
	mnl_attr_put_u8(head, IFLA_BRPORT_MODE, 1);
	mnl_attr_nest_end(head, port);
	return link_send(head);
}

int net_link_down(int index)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_SETLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(head, sizeof(*info));

	info->ifi_index = index;
	info->ifi_change = IFF_UP;
	mnl_attr_put_u32(head, IFLA_MASTER, 0);
	return link_send(head);
}

int net_link_delete(const char *name)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_DELLINK, 0);
	int r;

	mnl_nlmsg_put_extra_header(head, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(head, IFLA_IFNAME, name);
	r = link_send(head);
	return r == -ENODEV ? 0 : r;
}

int net_link_add_address(int index, const struct net_address *address)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(head, sizeof(*info));
	size_t size = net_address_bits(address->family) / 8;

	info->ifa_family = address->family == 6 ? AF_INET6 : AF_INET;
	info->ifa_prefixlen = address->prefix;
	info->ifa_index = (uint32_t)index;
	info->ifa_flags = IFA_F_NODAD;
	mnl_attr_put(head, IFA_LOCAL, size, address->bytes);
	mnl_attr_put(head, IFA_ADDRESS, size, address->bytes);
	if (address->family == 4) {
		struct net_address last = net_address_last(address);

		mnl_attr_put(head, IFA_BROADCAST, size, last.bytes);
	}
	return link_send(head);
}

struct listing {
	int index;
	void (*address)(const struct net_address *, void *arg);
	void (*route)(const struct net_route *, void *arg);
	void *arg;
};

/* Fills in an address from an attribute of the right size. */
static void link_read_bytes(
	struct net_address *address, uint8_t family, uint8_t prefix, const struct nlattr *attr)
{
	size_t size = net_address_bits(family) / 8;

	if (mnl_attr_get_payload_len(attr) != size)
		return;
	*address = (struct net_address){.family = family, .prefix = prefix};
	memcpy(address->bytes, mnl_attr_get_payload(attr), size);
}

static int link_read_address(const struct nlmsghdr *head, void *arg)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(head);
	const struct listing *listing = arg;
	uint8_t family = info->ifa_family == AF_INET6 ? 6 : 4;
	struct net_address address = {0};
	const struct nlattr *attr;

	if ((info->ifa_family != AF_INET && info->ifa_family != AF_INET6) ||
		(listing->index && (uint32_t)listing->index != info->ifa_index))
		return MNL_CB_OK;
	/* IFA_LOCAL is the interface's own; IPv6 has IFA_ADDRESS alone. */
	mnl_attr_for_each(attr, head, sizeof(*info))
	{
		if (mnl_attr_get_type(attr) == IFA_LOCAL ||
			(mnl_attr_get_type(attr) == IFA_ADDRESS && !address.family))
			link_read_bytes(&address, family, info->ifa_prefixlen, attr);
	}
	if (address.family)
		listing->address(&address, listing->arg);
	return MNL_CB_OK;
}

int net_link_addresses(int index, void (*each)(const struct net_address *, void *arg), void *arg)
{
	struct listing listing = {.index = index, .address = each, .arg = arg};
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_GETADDR, NLM_F_DUMP);

	mnl_nlmsg_put_extra_header(head, sizeof(struct ifaddrmsg));
	return link_exchange(head, link_read_address, &listing);
}

static int link_read_route(const struct nlmsghdr *head, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(head);
	const struct listing *listing = arg;
	uint8_t family = info->rtm_family == AF_INET6 ? 6 : 4;
	struct net_route route = {.to = {.family = family, .prefix = info->rtm_dst_len}};
	const struct nlattr *attr;
	uint32_t index = 0;

	if ((info->rtm_family != AF_INET && info->rtm_family != AF_INET6) ||
		info->rtm_table != RT_TABLE_MAIN || info->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, head, sizeof(*info))
	{
		if (mnl_attr_get_type(attr) == RTA_DST)
			link_read_bytes(&route.to, family, info->rtm_dst_len, attr);
		else if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			link_read_bytes(
				&route.via, family, (uint8_t)net_address_bits(family), attr);
		else if (mnl_attr_get_type(attr) == RTA_OIF)
			index = mnl_attr_get_u32(attr);
	}
	if (!listing->index || (uint32_t)listing->index == index)
		listing->route(&route, listing->arg);
	return MNL_CB_OK;
}

int net_link_routes(int index, void (*each)(const struct net_route *, void *arg), void *arg)
{
	struct listing listing = {.index = index, .route = each, .arg = arg};
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_GETROUTE, NLM_F_DUMP);

	mnl_nlmsg_put_extra_header(head, sizeof(struct rtmsg));
	return link_exchange(head, link_read_route, &listing);
}

int net_tap_open(char name[IFNAMSIZ])
{
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int size = VNET_HEADER;

	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, name, IFNAMSIZ);
	/* Set here, too, as a VM that is forked from another one does not set them again. */
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ||
		ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return -errno;
	memcpy(name, request.ifr_name, IFNAMSIZ);
	return steal_fd(&fd);
}

static int link_add_ingress(int index)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(head, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = index;
	tc->tcm_parent = TC_H_INGRESS;
	tc->tcm_handle = INGRESS_HANDLE;
	mnl_attr_put_strz(head, TCA_KIND, "ingress");
	return link_send(head);
}

int net_link_redirect(int from, int to)
{
	struct {
		struct tc_u32_sel sel;
		struct tc_u32_key key;
	} every = {.sel = {.flags = TC_U32_TERMINAL, .nkeys = 1}};
	struct tc_mirred mirred = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
	struct nlattr *options, *actions, *action, *parameters;
	struct message m;
	struct nlmsghdr *head;
	struct tcmsg *tc;
	int r = link_add_ingress(from);

	if (r < 0)
		return r;
	head = link_begin_request(&m, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL);
	tc = mnl_nlmsg_put_extra_header(head, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = from;
	tc->tcm_parent = INGRESS_HANDLE;
	tc->tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_EVERY));
	mnl_attr_put_strz(head, TCA_KIND, "u32");
	options = mnl_attr_nest_start(head, TCA_OPTIONS);
	mnl_attr_put(head, TCA_U32_SEL, sizeof(every), &every);
	actions = mnl_attr_nest_start(head, TCA_U32_ACT);
	action = mnl_attr_nest_start(head, 1);
	mnl_attr_put_strz(head, TCA_ACT_KIND, "mirred");
	parameters = mnl_attr_nest_start(head, TCA_ACT_OPTIONS);
	mnl_attr_put(head, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
	mnl_attr_nest_end(head, parameters);
	mnl_attr_nest_end(head, action);
	mnl_attr_nest_end(head, actions);
	mnl_attr_nest_end(head, options);
	r = link_send(head);
	if (r < 0)
		net_link_unredirect(from);
	return r;
}

int net_link_unredirect(int index)
{
	struct message m;
	struct nlmsghdr *head = link_begin_request(&m, RTM_DELQDISC, 0);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(head, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = index;
	tc->tcm_parent = TC_H_INGRESS;
	tc->tcm_handle = INGRESS_HANDLE;
	return link_send(head);
}
