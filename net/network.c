// SPDX-License-Identifier: Apache-2.0
#include "net/network.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "net/bridge.h"
#include "net/lease.h"
#include "net/link.h"
#include "net/pool.h"
#include "util/cleanup.h"
#include "util/event.h"
#include "util/io.h"
#include "util/text.h"

#define MTU_DEFAULT 1500u
#define MTU_MIN 576u
#define MTU_MAX 65535u
#define FILE_MAX (256u * 1024u)

#define OPTION_MTU "com.docker.network.driver.mtu"
#define OPTION_BRIDGE "com.docker.network.bridge.name"

int net_lock(const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_free_ char *dir = path_format("%s/networks", paths->run);
	_cleanup_free_ char *path = path_format("%s/networks/lock", paths->run);
	_cleanup_close_ int fd = -1;
	int r;

	if (!dir || !path)
		return arrow_fail(error, ENOMEM, "out of memory");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == ENOENT) {
		r = mkdir_all(dir, 0700);
		if (r < 0)
			return arrow_fail(error, -r, "cannot make %s: %m", dir);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (fd < 0)
		return arrow_fail(error, errno, "cannot use %s: %m", path);
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? arrow_fail(error, errno, "cannot lock %s: %m", path) : steal_fd(&fd);
}

static bool name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > NET_NAME_MAX || strchr("_.-", name[0]))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
	       n;
}

static void put_address(json_t *o, const char *key, const struct net_address *a, bool prefix)
{
	char text[NET_ADDRESS_TEXT];

	if (a->family)
		json_object_set_new(o, key, json_string(net_address_text(a, prefix, text)));
}

static int write_network(
	const struct net_network *n, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_free_ char *dir = path_format("%s/networks", paths->data), *text = NULL;
	_cleanup_free_ char *path = path_format("%s/networks/%s.json", paths->data, n->name);
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:O, s:O}", "name", n->name, "id",
		n->id, "created", n->created, "bridge", n->bridge, "internal", n->internal, "mtu",
		(int)n->mtu, "labels", n->labels, "options", n->options);
	int r;

	put_address(o, "subnet", &n->subnet4, true);
	put_address(o, "gateway", &n->gateway4, false);
	put_address(o, "range", &n->range4, true);
	put_address(o, "subnet6", &n->subnet6, true);
	put_address(o, "gateway6", &n->gateway6, false);
	text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	json_decref(o);
	if (!dir || !path || !text)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = mkdir_all(dir, 0755);
	if (r == 0)
		r = write_file_atomic(AT_FDCWD, path, 0644, text, strlen(text));
	return r < 0 ? arrow_fail(error, -r, "cannot write %s: %m", path) : 0;
}

bool net_take_text(const json_t *o, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text && text_copy(to, size, text);
}

static bool take_address(const json_t *o, const char *key, uint8_t family, struct net_address *to)
{
	const char *text = json_string_value(json_object_get(o, key));

	*to = (struct net_address){0};
	return text && net_address_parse(text, to) == 0 && to->family == family;
}

static json_t *take_object(const json_t *o, const char *key)
{
	json_t *value = json_object_get(o, key);

	return json_is_object(value) ? json_incref(value) : json_object();
}

/* Reads DATA/networks/<name>.json. Returns 0, -ENOENT or another negative errno. */
static int read_network(struct net_network *n, const struct arrow_paths *paths, const char *name)
{
	_cleanup_free_ char *path = path_format("%s/networks/%s.json", paths->data, name);
	_cleanup_free_ char *text = NULL;
	json_int_t mtu;
	json_t *o;
	bool ok;
	int r = path ? read_file(AT_FDCWD, path, FILE_MAX, &text, NULL) : -ENOMEM;

	*n = (struct net_network){0};
	if (r < 0)
		return r;
	o = json_loads(text, 0, NULL);
	mtu = json_integer_value(json_object_get(o, "mtu"));
	ok = net_take_text(o, "name", n->name, sizeof(n->name)) && strcmp(n->name, name) == 0 &&
	     net_take_text(o, "id", n->id, sizeof(n->id)) && strlen(n->id) == 64 &&
	     net_take_text(o, "created", n->created, sizeof(n->created)) &&
	     net_take_text(o, "bridge", n->bridge, sizeof(n->bridge)) &&
	     take_address(o, "subnet", 4, &n->subnet4) &&
	     take_address(o, "gateway", 4, &n->gateway4) &&
	     take_address(o, "range", 4, &n->range4) && mtu >= MTU_MIN && mtu <= MTU_MAX;
	if (json_object_get(o, "subnet6"))
		ok = ok && take_address(o, "subnet6", 6, &n->subnet6) &&
		     take_address(o, "gateway6", 6, &n->gateway6);
	if (ok) {
		n->internal = json_is_true(json_object_get(o, "internal"));
		n->mtu = (uint32_t)mtu;
		n->labels = take_object(o, "labels");
		n->options = take_object(o, "options");
	}
	json_decref(o);
	return ok ? 0 : -EBADMSG;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of all networks, sorted; NULL-terminated. Owned by the caller. */
static int list_names(const struct arrow_paths *paths, char ***names, size_t *count)
{
	_cleanup_free_ char *path = path_format("%s/networks", paths->data);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	_cleanup_strv_ char **list = calloc(1, sizeof(*list));
	struct dirent *entry;
	size_t n = 0;

	if (!path || !list)
		return -ENOMEM;
	while (dir && (entry = readdir(dir))) {
		char *end = strstr(entry->d_name, ".json");
		char **larger;

		if (!end || end[5])
			continue;
		*end = '\0';
		if (!name_is_valid(entry->d_name))
			continue;
		larger = realloc(list, (n + 2) * sizeof(*list));
		if (!larger)
			return -ENOMEM;
		list = larger;
		list[n] = strdup(entry->d_name);
		list[++n] = NULL;
		if (!list[n - 1])
			return -ENOMEM;
	}
	qsort(list, n, sizeof(*list), by_name);
	*names = STEAL(list);
	*count = n;
	return 0;
}

int net_network_list(const struct arrow_paths *paths,
	int (*each)(const struct net_network *, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error)
{
	_cleanup_strv_ char **names = NULL;
	size_t n = 0;
	int r = list_names(paths, &names, &n);

	if (r < 0)
		return arrow_fail(error, -r, "cannot list the networks: %m");
	for (size_t i = 0; i < n && r == 0; i++) {
		_cleanup_network_ struct net_network network = {0};

		/* One that is removed meanwhile, or damaged, is not listed. */
		if (read_network(&network, paths, names[i]) == 0)
			r = each(&network, arg, error);
	}
	return r;
}

/* A network whose id begins so. */
static int find_id(struct net_network *n, const struct arrow_paths *paths, const char *prefix)
{
	_cleanup_strv_ char **names = NULL;
	size_t count = 0;
	int r = strlen(prefix) < 4 ? -ENOENT : list_names(paths, &names, &count);

	for (size_t i = 0; i < count && r == 0; i++) {
		if (read_network(n, paths, names[i]) == 0 &&
			strncmp(n->id, prefix, strlen(prefix)) == 0)
			return 0;
		net_network_release(n);
	}
	return r < 0 ? r : -ENOENT;
}

int net_network_find(struct net_network *network, const struct arrow_paths *paths, const char *name)
{
	int r = name_is_valid(name) ? read_network(network, paths, name) : -EINVAL;

	return r == -ENOENT ? find_id(network, paths, name) : r;
}

int net_network_open(struct net_network *network, const struct arrow_paths *paths, const char *name,
	struct arrow_error *error)
{
	int r = net_network_find(network, paths, name);

	if (r == -ENOENT && strcmp(name, NET_DEFAULT) == 0)
		return net_network_create(
			network, paths, &(struct net_wish){.name = NET_DEFAULT}, error);
	if (r == -EBADMSG)
		return arrow_fail(error, EBADMSG,
			"the network %s is damaged: remove %s/networks/%s.json and make it anew",
			name, paths->data, name);
	if (r == -EINVAL)
		return arrow_fail(error, EINVAL,
			"'%s' is no name of a network: letters, digits, _ . - are allowed", name);
	return r < 0 ? arrow_fail(error, -r,
			       "network %s not found; 'arrow network ls' shows those that there are, 'arrow network create %s' makes it",
			       name, name)
		     : 0;
}

/* Takes the addresses that are asked for. Those left out are chosen later. */
static int take_addresses(
	struct net_network *n, const struct net_wish *wish, struct arrow_error *error)
{
	struct net_address a;

	for (const char *const *s = wish->subnets; s && *s; s++) {
		if (net_address_parse(*s, &a) < 0 || a.prefix == net_address_bits(a.family) ||
			a.prefix == 0)
			return arrow_fail(error, EINVAL,
				"'%s' is no subnet: give one as 10.1.0.0/24 or fd00:1::/64", *s);
		if (a.prefix > (a.family == 6 ? 120 : 29))
			return arrow_fail(error, EINVAL, "the subnet %s is too small", *s);
		if ((a.family == 6 ? &n->subnet6 : &n->subnet4)->family)
			return arrow_fail(error, EINVAL,
				"two subnets of one kind: a network has one IPv4 and one IPv6 one");
		*(a.family == 6 ? &n->subnet6 : &n->subnet4) = net_address_first(&a);
		(a.family == 6 ? &n->subnet6 : &n->subnet4)->prefix = a.prefix;
	}
	for (const char *const *s = wish->gateways; s && *s; s++) {
		const struct net_address *subnet;

		if (net_address_parse(*s, &a) < 0 || a.prefix != net_address_bits(a.family))
			return arrow_fail(error, EINVAL, "'%s' is no address of a gateway", *s);
		subnet = a.family == 6 ? &n->subnet6 : &n->subnet4;
		if (!subnet->family || !net_address_in(subnet, &a))
			return arrow_fail(error, EINVAL,
				"the gateway %s is in no --subnet of the network", *s);
		*(a.family == 6 ? &n->gateway6 : &n->gateway4) = a;
	}
	if (wish->range && (net_address_parse(wish->range, &n->range4) < 0 || !n->subnet4.family ||
				   n->range4.prefix < n->subnet4.prefix ||
				   !net_address_in(&n->subnet4, &n->range4)))
		return arrow_fail(error, EINVAL, "the range %s is not a part of the IPv4 --subnet",
			wish->range);
	return 0;
}

static int take_pairs(json_t *object, const char *const *pairs, struct arrow_error *error)
{
	for (; pairs && *pairs; pairs++) {
		_cleanup_free_ char *key = strdup(*pairs);
		char *value = key ? strchr(key, '=') : NULL;

		if (value)
			*value++ = '\0';
		if (!key || !*key ||
			json_object_set_new(object, key, json_string(value ? value : "")) < 0)
			return arrow_fail(error, EINVAL, "'%s' is not KEY=VALUE in UTF-8", *pairs);
	}
	return 0;
}

static int take_options(struct net_network *n, struct arrow_error *error)
{
	json_t *value;
	const char *key, *text;
	char *end;

	n->mtu = MTU_DEFAULT;
	json_object_foreach (n->options, key, value) {
		text = json_string_value(value);
		if (strcmp(key, OPTION_MTU) == 0) {
			unsigned long mtu = strtoul(text, &end, 10);

			if (!*text || *end || mtu < MTU_MIN || mtu > MTU_MAX)
				return arrow_fail(error, EINVAL,
					"an MTU of %s is not from %u to %u", text, MTU_MIN,
					MTU_MAX);
			n->mtu = (uint32_t)mtu;
		} else if (strcmp(key, OPTION_BRIDGE) == 0) {
			if (!*text || strpbrk(text, "/ %:\n") ||
				!text_copy(n->bridge, IFNAMSIZ, text))
				return arrow_fail(error, EINVAL,
					"'%s' cannot be the name of an interface", text);
		} else {
			return arrow_fail(error, EINVAL,
				"no such option of a network: %s; there are " OPTION_MTU
				" and " OPTION_BRIDGE,
				key);
		}
	}
	return 0;
}

static int make_identity(struct net_network *n, struct arrow_error *error)
{
	struct net_link link;
	uint8_t bytes[32];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return arrow_fail(error, EIO, "cannot make an id");
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf(n->id + 2 * i, "%02x", bytes[i]);
	time_text(time(NULL), n->created);
	/* The first network of a host has a name that people know again. */
	if (!n->bridge[0] && strcmp(n->name, NET_DEFAULT) == 0 &&
		net_link_find("arrow0", &link) == -ENODEV)
		strcpy(n->bridge, "arrow0");
	else if (!n->bridge[0])
		snprintf(n->bridge, sizeof(n->bridge), "arrow-%.8s", n->id);
	else if (net_link_find(n->bridge, &link) == 0)
		return arrow_fail(error, EEXIST,
			"there is an interface %s already; to join a bridge that is not Arrow's use 'arrow run --network bridge:%s'",
			n->bridge, n->bridge);
	return 0;
}

static void tell(const struct arrow_paths *paths, const struct net_network *n, const char *action,
	const char *container)
{
	event_write(paths->data, "network", action, n->id,
		json_pack("{s:s*, s:s, s:s}", "container", container, "name", n->name, "type",
			"bridge"));
}

int net_network_create(struct net_network *n, const struct arrow_paths *paths,
	const struct net_wish *wish, struct arrow_error *error)
{
	_cleanup_free_ char *path = NULL;
	int r;

	*n = (struct net_network){0};
	if (!name_is_valid(wish->name) || !text_copy(n->name, sizeof(n->name), wish->name) ||
		strcmp(wish->name, "none") == 0 || strcmp(wish->name, "host") == 0 ||
		strcmp(wish->name, "user") == 0)
		return arrow_fail(error, EINVAL,
			"a network cannot be named '%s': letters, digits, _ . - are allowed, and not none, host, user",
			wish->name);
	path = path_format("%s/networks/%s.json", paths->data, wish->name);
	if (!path)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (access(path, F_OK) == 0)
		return arrow_fail(error, EEXIST, "network with name %s already exists", wish->name);
	n->internal = wish->internal;
	n->labels = json_object();
	n->options = json_object();
	r = take_pairs(n->labels, wish->labels, error);
	if (r == 0)
		r = take_pairs(n->options, wish->options, error);
	if (r == 0)
		r = take_options(n, error);
	if (r == 0)
		r = take_addresses(n, wish, error);
	if (r == 0)
		r = make_identity(n, error);
	if (r == 0)
		r = net_pool_choose(n, wish->ipv6, paths, error);
	if (r == 0)
		r = write_network(n, paths, error);
	if (r == 0)
		tell(paths, n, "create", NULL);
	else
		net_network_release(n);
	return r;
}

int net_network_remove(const struct arrow_paths *paths, const char *name, struct arrow_error *error)
{
	_cleanup_network_ struct net_network n = {0};
	_cleanup_free_ char *path = NULL;
	unsigned int used;
	int r = net_network_open(&n, paths, name, error);

	if (r < 0)
		return r;
	used = net_lease_sweep(paths, n.name);
	if (used > 0)
		return arrow_fail(error, EBUSY,
			"network %s has %u active %s; stop them first, 'arrow network inspect %s' shows them",
			n.name, used, used == 1 ? "Arrow" : "Arrows", n.name);
	path = path_format("%s/networks/%s.json", paths->data, n.name);
	if (!path || unlink(path) < 0)
		return arrow_fail(
			error, path ? errno : ENOMEM, "cannot remove network %s: %m", n.name);
	net_bridge_down(&n, paths);
	tell(paths, &n, "destroy", NULL);
	return 0;
}

/* One of Docker's IPAM configurations. */
static json_t *ipam_json(const struct net_address *subnet, const struct net_address *gateway,
	const struct net_address *range)
{
	json_t *o = json_object();

	put_address(o, "Subnet", subnet, true);
	put_address(o, "Gateway", gateway, false);
	if (range && range->prefix != subnet->prefix)
		put_address(o, "IPRange", range, true);
	return o;
}

json_t *net_network_json(const struct net_network *n, const struct arrow_paths *paths)
{
	json_t *ipam = json_array();

	json_array_append_new(ipam, ipam_json(&n->subnet4, &n->gateway4, &n->range4));
	if (n->subnet6.family)
		json_array_append_new(ipam, ipam_json(&n->subnet6, &n->gateway6, NULL));
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:b, s:{s:s, s:o}, s:b, s:o, s:O, s:O, s:s, s:i}",
		"Name", n->name, "Id", n->id, "Created", n->created, "Scope", "local", "Driver",
		"bridge", "EnableIPv6", n->subnet6.family != 0, "IPAM", "Driver", "default",
		"Config", ipam, "Internal", n->internal, "Containers", net_lease_json(paths, n),
		"Labels", n->labels, "Options", n->options, "Bridge", n->bridge, "Mtu",
		(int)n->mtu);
}

void net_network_event(const struct arrow_paths *paths, const char *name, const char *action,
	const char *container)
{
	_cleanup_network_ struct net_network n = {0};

	if (net_network_find(&n, paths, name) == 0)
		tell(paths, &n, action, container);
}

void net_network_release(struct net_network *n)
{
	json_decref(n->labels);
	json_decref(n->options);
	*n = (struct net_network){0};
}
