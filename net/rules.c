// SPDX-License-Identifier: Apache-2.0
#include "net/rules.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/if.h>
#include <string.h>
#include <sys/socket.h>

#include "rules_text.h"
#include "util/cleanup.h"

#define TABLE "arrow"
#define NFTABLES_LIBRARY "libnftables.so.1"
#define NFTABLES_PACKAGE "libnftables1"
#define BUFFER_SIZE 32768

struct set {
	const char *name;
	uint8_t family;
	uint8_t key, data; /* bytes */
	bool interval;
};

static const struct set sets[NET_SETS] = {
	[NET_SET_BRIDGES] = {"bridges", NFPROTO_INET, IFNAMSIZ, 0, false},
	[NET_SET_SAME] = {"same", NFPROTO_INET, 2 * IFNAMSIZ, 0, false},
	[NET_SET_INTERNAL] = {"internal", NFPROTO_INET, IFNAMSIZ, 0, false},
	[NET_SET_NAT4] = {"nat4", NFPROTO_INET, 4, 0, true},
	[NET_SET_NAT6] = {"nat6", NFPROTO_INET, 16, 0, true},
	[NET_SET_GATEWAYS4] = {"gateways", NFPROTO_INET, 4, 0, false},
	[NET_SET_GATEWAYS6] = {"gateways6", NFPROTO_INET, 16, 0, false},
	[NET_SET_PORTS4] = {"ports4", NFPROTO_INET, 12, 8, false},
	[NET_SET_ANY4] = {"any4", NFPROTO_INET, 8, 8, false},
	[NET_SET_PORTS6] = {"ports6", NFPROTO_INET, 24, 20, false},
	[NET_SET_ANY6] = {"any6", NFPROTO_INET, 8, 20, false},
	[NET_SET_CARRIED4] = {"carried4", NFPROTO_INET, 12, 0, false},
	[NET_SET_CARRIED_ANY4] = {"carried_any4", NFPROTO_INET, 8, 0, false},
	[NET_SET_CARRIED6] = {"carried6", NFPROTO_INET, 24, 0, false},
	[NET_SET_CARRIED_ANY6] = {"carried_any6", NFPROTO_INET, 8, 0, false},
	[NET_SET_FREE] = {"free", NFPROTO_BRIDGE, IFNAMSIZ, 0, false},
	[NET_SET_MAC] = {"mac", NFPROTO_BRIDGE, IFNAMSIZ + 8, 0, false},
	[NET_SET_ADDR4] = {"addr4", NFPROTO_BRIDGE, IFNAMSIZ + 4, 0, false},
	[NET_SET_ADDR6] = {"addr6", NFPROTO_BRIDGE, IFNAMSIZ + 16, 0, false},
	[NET_SET_ND6] = {"nd6", NFPROTO_BRIDGE, IFNAMSIZ + 16, 0, false},
};

static struct net_element *rules_append(struct net_elements *list, enum net_set set)
{
	/* Grown by one: there are a dozen at most, but for published ranges. */
	struct net_element *larger = realloc(list->v, (list->n + 1) * sizeof(*larger));

	if (!larger) {
		list->failed = true;
		return NULL;
	}
	list->v = larger;
	larger[list->n] = (struct net_element){.set = set};
	return &larger[list->n++];
}

static void put_name(uint8_t *key, const char *name)
{
	strncpy((char *)key, name, IFNAMSIZ);
}

static size_t put_address(uint8_t *key, const struct net_address *address)
{
	size_t size = net_address_bits(address->family) / 8;

	memcpy(key, address->bytes, size);
	return size;
}

static void put_port(uint8_t *key, uint16_t port)
{
	key[0] = (uint8_t)(port >> 8);
	key[1] = (uint8_t)port;
}

void net_elements_interface(struct net_elements *list, enum net_set set, const char *name)
{
	struct net_element *e = rules_append(list, set);

	if (e)
		put_name(e->key, name);
}

void net_elements_pair(struct net_elements *list, const char *name, const char *other)
{
	struct net_element *e = rules_append(list, NET_SET_SAME);

	if (e) {
		put_name(e->key, name);
		put_name(e->key + IFNAMSIZ, other);
	}
}

void net_elements_mac(struct net_elements *list, const char *name, const uint8_t mac[6])
{
	struct net_element *e = rules_append(list, NET_SET_MAC);

	if (e) {
		put_name(e->key, name);
		memcpy(e->key + IFNAMSIZ, mac, 6);
	}
}

void net_elements_source(struct net_elements *list, enum net_set set, const char *name,
	const struct net_address *address)
{
	struct net_element *e = rules_append(list, set);

	if (e) {
		put_name(e->key, name);
		put_address(e->key + IFNAMSIZ, address);
	}
}

void net_elements_subnet(struct net_elements *list, const struct net_address *subnet)
{
	struct net_address first = net_address_first(subnet), end = net_address_last(subnet);
	struct net_element *e =
		rules_append(list, subnet->family == 6 ? NET_SET_NAT6 : NET_SET_NAT4);

	if (!e)
		return;
	put_address(e->key, &first);
	/* One more, over all bytes. */
	for (size_t i = net_address_bits(end.family) / 8; i-- > 0 && ++end.bytes[i] == 0;)
		;
	put_address(e->end, &end);
}

void net_elements_gateway(struct net_elements *list, const struct net_address *address)
{
	struct net_element *e =
		rules_append(list, address->family == 6 ? NET_SET_GATEWAYS6 : NET_SET_GATEWAYS4);

	if (e)
		put_address(e->key, address);
}

/* The key of a port of the host: its address, if it is of one only, protocol and number. */
static void put_host_port(
	uint8_t *key, const struct net_address *host, uint16_t host_port, bool udp)
{
	key += host->family ? put_address(key, host) : 0;
	key[0] = udp ? IPPROTO_UDP : IPPROTO_TCP;
	put_port(key + 4, host_port);
}

void net_elements_port(struct net_elements *list, const struct net_address *host,
	uint16_t host_port, bool udp, const struct net_address *guest, uint16_t guest_port)
{
	bool six = guest->family == 6;
	struct net_element *e =
		rules_append(list, host->family ? (six ? NET_SET_PORTS6 : NET_SET_PORTS4)
						: (six ? NET_SET_ANY6 : NET_SET_ANY4));

	if (!e)
		return;
	put_host_port(e->key, host, host_port, udp);
	put_port(e->data + put_address(e->data, guest), guest_port);
}

void net_elements_carried(struct net_elements *list, uint8_t family, const struct net_address *host,
	uint16_t host_port, bool udp)
{
	bool six = family == 6;
	struct net_element *e = rules_append(
		list, host->family ? (six ? NET_SET_CARRIED6 : NET_SET_CARRIED4)
				   : (six ? NET_SET_CARRIED_ANY6 : NET_SET_CARRIED_ANY4));

	if (e)
		put_host_port(e->key, host, host_port, udp);
}

void net_elements_release(struct net_elements *list)
{
	free(list->v);
	*list = (struct net_elements){0};
}

static struct nlmsghdr *put_header(void *at, uint16_t type, uint16_t flags, uint8_t family,
	uint16_t resource, uint32_t sequence)
{
	struct nlmsghdr *head = mnl_nlmsg_put_header(at);
	struct nfgenmsg *gen;

	head->nlmsg_type = type;
	head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	head->nlmsg_seq = sequence;
	gen = mnl_nlmsg_put_extra_header(head, sizeof(*gen));
	gen->nfgen_family = family;
	gen->version = NFNETLINK_V0;
	gen->res_id = htons(resource);
	return head;
}

#define NFT(type) ((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (type)))

static void put_value(struct nlmsghdr *head, uint16_t type, const void *value, size_t size)
{
	struct nlattr *nest = mnl_attr_nest_start(head, type);

	mnl_attr_put(head, NFTA_DATA_VALUE, size, value);
	mnl_attr_nest_end(head, nest);
}

static void put_element(struct nlmsghdr *head, const struct net_element *e)
{
	static const uint8_t none[NET_KEY_MAX];
	const struct set *set = &sets[e->set];
	struct nlattr *list, *nest;

	mnl_attr_put_strz(head, NFTA_SET_ELEM_LIST_TABLE, TABLE);
	mnl_attr_put_strz(head, NFTA_SET_ELEM_LIST_SET, set->name);
	list = mnl_attr_nest_start(head, NFTA_SET_ELEM_LIST_ELEMENTS);
	nest = mnl_attr_nest_start(head, NFTA_LIST_ELEM);
	put_value(head, NFTA_SET_ELEM_KEY, e->key, set->key);
	if (set->data)
		put_value(head, NFTA_SET_ELEM_DATA, e->data, set->data);
	mnl_attr_nest_end(head, nest);
	/* An interval that reaches the last address has no end. */
	if (set->interval && memcmp(e->end, none, set->key) != 0) {
		nest = mnl_attr_nest_start(head, NFTA_LIST_ELEM);
		mnl_attr_put_u32(head, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
		put_value(head, NFTA_SET_ELEM_KEY, e->end, set->key);
		mnl_attr_nest_end(head, nest);
	}
	mnl_attr_nest_end(head, list);
}

/*
 * Room for a transaction, which the kernel takes as one message, and for its answers, one for each
 * element. What is not given fails when it is needed.
 */
static void rules_make_room(struct mnl_socket *nl, size_t size)
{
	const int out = (int)size, in = 8 * out;

	if (size <= BUFFER_SIZE)
		return;
	(void)!setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_SNDBUFFORCE, &out, sizeof(out));
	(void)!setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &in, sizeof(in));
}

/*
 * Sends messages up to number `last` and takes their answers. Returns 0 or a negative errno. With
 * `later`, the socket is not closed but left there.
 */
static int rules_exchange(
	const void *data, size_t size, uint32_t last, mnl_cb_t each, void *arg, int *later)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	_cleanup_free_ char *buffer = malloc(BUFFER_SIZE);
	int r = 0;

	if (!nl)
		return -errno;
	rules_make_room(nl, size);
	if (!buffer || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
		mnl_socket_sendto(nl, data, size) < 0) {
		r = buffer ? -errno : -ENOMEM;
		mnl_socket_close(nl);
		return r;
	}
	for (bool more = true; more;) {
		ssize_t n = mnl_socket_recvfrom(nl, buffer, BUFFER_SIZE);
		const struct nlmsghdr *head = (const struct nlmsghdr *)buffer;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = r < 0 ? r : -errno;
			break;
		}
		for (; mnl_nlmsg_ok(head, left); head = mnl_nlmsg_next(head, &left)) {
			if (head->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *e = mnl_nlmsg_get_payload(head);

				if (r == 0)
					r = e->error;
				/* One of the whole transaction answers none of its messages. */
				if (head->nlmsg_seq == last || (e->error && head->nlmsg_seq == 0))
					more = false;
			} else if (head->nlmsg_type == NLMSG_DONE) {
				more = false;
			} else if (each) {
				each(head, arg);
				more = head->nlmsg_flags & NLM_F_MULTI;
			}
		}
	}
	if (later)
		*later = fcntl(mnl_socket_get_fd(nl), F_DUPFD_CLOEXEC, 3);
	mnl_socket_close(nl);
	return r;
}

/* One transaction: adds or removes n elements. */
static int rules_transact(uint16_t type, const struct net_element *elements, size_t n, int *later)
{
	/* Names, keys and headers of one: below 256 bytes. */
	size_t room = 256 * (n + 2);
	_cleanup_free_ char *data = malloc(room);
	uint32_t sequence = 0;
	size_t size = 0;

	if (!data)
		return -ENOMEM;
	if (n == 0)
		return 0;
	size += put_header(data, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 0)
			->nlmsg_len;
	for (size_t i = 0; i < n; i++) {
		struct nlmsghdr *head = put_header(data + size, NFT(type),
			(uint16_t)(NLM_F_ACK | (type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0)),
			sets[elements[i].set].family, 0, ++sequence);

		put_element(head, &elements[i]);
		size += MNL_ALIGN(head->nlmsg_len);
	}
	size += put_header(
		data + size, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, sequence + 1)
			->nlmsg_len;
	return rules_exchange(data, size, sequence, NULL, NULL, later);
}

int net_rules_add(const struct net_elements *elements)
{
	return elements->failed
		       ? -ENOMEM
		       : rules_transact(NFT_MSG_NEWSETELEM, elements->v, elements->n, NULL);
}

int net_rules_remove(const struct net_elements *elements)
{
	int later = -1;

	if (rules_transact(NFT_MSG_DELSETELEM, elements->v, elements->n, &later) == 0)
		return later;
	/* One that was not there has kept the others. */
	for (size_t i = 0; i < elements->n; i++)
		(void)rules_transact(NFT_MSG_DELSETELEM, &elements->v[i], 1, NULL);
	return later;
}

bool net_rules_have(const struct net_elements *elements)
{
	char data[512];
	bool all = !elements->failed;

	for (size_t i = 0; all && i < elements->n; i++) {
		struct net_element e = elements->v[i];
		struct nlmsghdr *head = put_header(
			data, NFT(NFT_MSG_GETSETELEM), NLM_F_ACK, sets[e.set].family, 0, 1);

		if (sets[e.set].interval)
			continue;
		put_element(head, &e);
		all = rules_exchange(head, head->nlmsg_len, 1, NULL, NULL, NULL) == 0;
	}
	return all;
}

static int rules_count(const struct nlmsghdr *head, void *arg)
{
	(*(unsigned int *)arg)++;
	return MNL_CB_OK;
}

static unsigned int count_rules(uint8_t family)
{
	char data[128];
	unsigned int n = 0;
	struct nlmsghdr *head = put_header(data, NFT(NFT_MSG_GETRULE), NLM_F_DUMP, family, 0, 1);

	mnl_attr_put_strz(head, NFTA_RULE_TABLE, TABLE);
	return rules_exchange(head, head->nlmsg_len, 1, rules_count, &n, NULL) < 0 ? 0 : n;
}

bool net_rules_whole(void)
{
	return count_rules(NFPROTO_INET) == NET_RULES_INET &&
	       count_rules(NFPROTO_BRIDGE) == NET_RULES_BRIDGE;
}

static int take_generation(const struct nlmsghdr *head, void *arg)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, head, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID)
			*(uint32_t *)arg = ntohl(mnl_attr_get_u32(attr));
	}
	return MNL_CB_OK;
}

uint32_t net_rules_generation(void)
{
	char data[64];
	uint32_t generation = 0;
	struct nlmsghdr *head = put_header(data, NFT(NFT_MSG_GETGEN), 0, AF_UNSPEC, 0, 1);

	return rules_exchange(head, head->nlmsg_len, 1, take_generation, &generation, NULL) < 0
		       ? 0
		       : generation;
}

/* What is needed of libnftables. */
struct nftables {
	void *(*ctx_new)(uint32_t flags);
	void (*ctx_free)(void *ctx);
	int (*ctx_buffer_error)(void *ctx);
	const char *(*ctx_get_error_buffer)(void *ctx);
	int (*run_cmd_from_buffer)(void *ctx, const char *text);
};

static bool rules_load(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

static int run_rules(const struct nftables *nft, const char *text, struct arrow_error *error)
{
	void *ctx = nft->ctx_new(0);
	int r;

	if (!ctx)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (nft->ctx_buffer_error(ctx) == 0 && nft->run_cmd_from_buffer(ctx, text) == 0) {
		r = 0;
	} else {
		const char *why = nft->ctx_get_error_buffer(ctx);

		r = arrow_fail(error, EIO, "cannot set up the firewall: %.*s",
			why ? (int)strcspn(why, "\n") : 0, why ? why : "");
	}
	nft->ctx_free(ctx);
	return r;
}

int net_rules_install(struct arrow_error *error)
{
	/* Loaded for good: to unload what it brings along is no use to anybody. */
	void *library = dlopen(NFTABLES_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct nftables nft;

	if (!library || !rules_load(library, "nft_ctx_new", &nft.ctx_new) ||
		!rules_load(library, "nft_ctx_free", &nft.ctx_free) ||
		!rules_load(library, "nft_ctx_buffer_error", &nft.ctx_buffer_error) ||
		!rules_load(library, "nft_ctx_get_error_buffer", &nft.ctx_get_error_buffer) ||
		!rules_load(library, "nft_run_cmd_from_buffer", &nft.run_cmd_from_buffer))
		return arrow_fail(error, ENOENT,
			"cannot load " NFTABLES_LIBRARY
			": install it with 'sudo apt-get install " NFTABLES_PACKAGE "'");
	return run_rules(&nft, net_rules_text, error);
}

static int count_elements(const struct nlmsghdr *head, void *arg)
{
	const struct nlattr *attr, *element;

	mnl_attr_for_each(attr, head, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, attr)(*(unsigned int *)arg)++;
	}
	return MNL_CB_OK;
}

/* Has the kernel list the elements of a set. Returns 0 or a negative errno, as without rules. */
static int rules_list_set(enum net_set set, mnl_cb_t each, void *arg)
{
	char data[512];
	struct nlmsghdr *head =
		put_header(data, NFT(NFT_MSG_GETSETELEM), NLM_F_DUMP, sets[set].family, 0, 1);

	mnl_attr_put_strz(head, NFTA_SET_ELEM_LIST_TABLE, TABLE);
	mnl_attr_put_strz(head, NFTA_SET_ELEM_LIST_SET, sets[set].name);
	return rules_exchange(head, head->nlmsg_len, 1, each, arg, NULL);
}

/* How many elements a set has, or a negative errno. */
static int count_set(enum net_set set)
{
	unsigned int n = 0;
	int r = rules_list_set(set, count_elements, &n);

	return r < 0 ? r : (int)n;
}

struct taps {
	void (*each)(const char *tap, void *arg);
	void *arg;
};

/* The attribute of a type below another one, or NULL. */
static const struct nlattr *rules_find_nested(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

static int rules_take_taps(const struct nlmsghdr *head, void *arg)
{
	const struct taps *taps = arg;
	const struct nlattr *attr, *element, *key, *value;

	mnl_attr_for_each(attr, head, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, attr)
		{
			char tap[IFNAMSIZ];

			key = rules_find_nested(element, NFTA_SET_ELEM_KEY);
			value = key ? rules_find_nested(key, NFTA_DATA_VALUE) : NULL;
			if (!value || mnl_attr_get_payload_len(value) < sizeof(tap))
				continue;
			memcpy(tap, mnl_attr_get_payload(value), sizeof(tap));
			tap[sizeof(tap) - 1] = '\0';
			taps->each(tap, taps->arg);
		}
	}
	return MNL_CB_OK;
}

int net_rules_each_tap(void (*each)(const char *tap, void *arg), void *arg)
{
	struct taps taps = {each, arg};

	return rules_list_set(NET_SET_MAC, rules_take_taps, &taps);
}

void net_rules_remove_unused(void)
{
	static const uint8_t families[] = {NFPROTO_INET, NFPROTO_BRIDGE};
	char data[512];
	struct nlmsghdr *head;
	size_t size;

	if (count_set(NET_SET_BRIDGES) != 0 || count_set(NET_SET_MAC) != 0)
		return;
	size = put_header(data, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 0)
		       ->nlmsg_len;
	for (uint32_t i = 0; i < 2; i++) {
		head = put_header(
			data + size, NFT(NFT_MSG_DELTABLE), NLM_F_ACK, families[i], 0, i + 1);
		mnl_attr_put_strz(head, NFTA_TABLE_NAME, TABLE);
		size += MNL_ALIGN(head->nlmsg_len);
	}
	size += put_header(data + size, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 3)
			->nlmsg_len;
	(void)rules_exchange(data, size, 2, NULL, NULL, NULL);
}
