// SPDX-License-Identifier: Apache-2.0
#include "net/lease.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/conntrack.h"
#include "net/names.h"
#include "net/redirect.h"
#include "net/watch_state.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

#define FILE_MAX (1024u * 1024u)

static char *lease_path(
	const struct arrow_paths *paths, const char *network, const char *what, const char *id)
{
	return path_format("%s/networks/%s/%s/%s", paths->run, network, what, id);
}

static json_t *to_json(const struct net_lease *l)
{
	char mac[NET_MAC_TEXT];
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s*, s:s*, s:O, s:o}", "id", l->id,
		"name", l->name, "tap", l->tap, "mac", net_mac_text(l->mac, mac), "free", l->free,
		"netns", l->netns, "device", l->device, "aliases", l->aliases, "ports",
		net_ports_json(&l->ports));

	net_put_address(o, "address4", &l->address4, true);
	net_put_address(o, "address6", &l->address6, true);
	return o;
}

static bool take_address(const json_t *o, const char *key, struct net_address *to)
{
	const char *text = json_string_value(json_object_get(o, key));

	return !text || net_address_parse(text, to) == 0;
}

static int from_json(struct net_lease *l, const json_t *o)
{
	char mac[NET_MAC_TEXT];
	const char *netns = json_string_value(json_object_get(o, "netns"));
	const char *device = json_string_value(json_object_get(o, "device"));
	json_t *aliases = json_object_get(o, "aliases");

	if (!net_take_text(o, "id", l->id, sizeof(l->id)) ||
		!net_take_text(o, "name", l->name, sizeof(l->name)) ||
		!net_take_text(o, "tap", l->tap, sizeof(l->tap)) ||
		!net_take_text(o, "mac", mac, sizeof(mac)) || net_mac_parse(mac, l->mac) < 0 ||
		!take_address(o, "address4", &l->address4) ||
		!take_address(o, "address6", &l->address6) || !json_is_array(aliases) ||
		net_ports_from_json(&l->ports, json_object_get(o, "ports")) < 0)
		return -EBADMSG;
	l->free = json_is_true(json_object_get(o, "free"));
	l->netns = netns ? strdup(netns) : NULL;
	l->device = device ? strdup(device) : NULL;
	l->aliases = json_incref(aliases);
	return 0;
}

int net_lease_write(
	struct net_lease *lease, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_free_ char *dir = lease_path(paths, lease->network, "leases", "");
	_cleanup_free_ char *path = lease_path(paths, lease->network, "leases", lease->id);
	_cleanup_free_ char *text = NULL;
	json_t *o = to_json(lease);
	int r;

	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!dir || !path || !text)
		return arrow_fail(error, ENOMEM, "out of memory");
	/* Else nobody could read it; a rename may make it longer. */
	if (strlen(text) > FILE_MAX - NET_NAMES_TEXT)
		return arrow_fail(error, E2BIG,
			"names and ports of an Arrow take more than %u KiB on the network %s: leave out some with --network-alias or -p",
			FILE_MAX / 1024, lease->network);
	lease->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (lease->fd < 0 && errno == ENOENT) {
		r = mkdir_all(dir, 0700);
		if (r < 0)
			return arrow_fail(error, -r, "cannot create %s: %m", dir);
		lease->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (lease->fd < 0)
		return arrow_fail(error, errno, "cannot write the lease %s: %m", path);
	r = flock(lease->fd, LOCK_EX | LOCK_NB) < 0 ? -errno
						    : write_full(lease->fd, text, strlen(text));
	if (r < 0) {
		unlink(path);
		return arrow_fail(error, -r, "cannot write the lease %s: %m", path);
	}
	return 0;
}

/* What it is called; all is the lease's. The name of a tap says which card it is. */
static struct net_names lease_names(const struct net_lease *l)
{
	return (struct net_names){
		.network = l->network,
		.id = l->id,
		.name = l->name,
		.card = l->tap[0] ? l->tap[strlen(NET_TAP)] : '0',
		.aliases = l->aliases,
		.address4 = l->address4,
		.address6 = l->address6,
	};
}

int net_lease_publish_names(const struct net_lease *l, const struct arrow_paths *paths)
{
	struct net_names names = lease_names(l);

	return strcmp(l->network, NET_JOINED) == 0 ? net_names_publish_joined(paths, &names)
						   : net_names_publish(paths, &names);
}

/* The names as they are now: somebody may have renamed the Arrow. */
static void lease_withdraw_names(const struct net_lease *l, const struct arrow_paths *paths)
{
	struct net_names names = lease_names(l);
	_cleanup_free_ char *path = lease_path(paths, l->network, "leases", l->id);
	_cleanup_free_ char *text = NULL;
	json_t *o = NULL;
	const char *name;

	if (l->fd >= 0 && path && read_file(AT_FDCWD, path, FILE_MAX, &text, NULL) == 0)
		o = json_loads(text, 0, NULL);
	name = json_string_value(json_object_get(o, "name"));

	if (name)
		names.name = name;
	net_names_withdraw(paths, &names);
	json_decref(o);
}

void net_lease_elements(const struct net_lease *l, struct net_elements *elements)
{
	struct net_address link_local = net_address_link_local(l->mac);

	if (l->netns || !l->tap[0])
		return; /* the namespace has rules of its own */
	net_elements_mac(elements, l->tap, l->mac);
	if (l->free) {
		net_elements_interface(elements, NET_SET_FREE, l->tap);
		return;
	}
	if (l->address4.family)
		net_elements_source(elements, NET_SET_ADDR4, l->tap, &l->address4);
	net_elements_source(elements, NET_SET_ADDR6, l->tap, &link_local);
	net_elements_source(elements, NET_SET_ND6, l->tap, &link_local);
	if (l->address6.family) {
		net_elements_source(elements, NET_SET_ADDR6, l->tap, &l->address6);
		net_elements_source(elements, NET_SET_ND6, l->tap, &l->address6);
	}
	for (size_t i = 0; i < l->ports.n; i++) {
		const struct net_port *p = &l->ports.v[i];

		for (uint8_t family = 4; family <= 6; family += 2) {
			const struct net_address *guest = family == 6 ? &l->address6 : &l->address4;

			if (p->host.family && p->host.family != family)
				continue;
			if (guest->family)
				net_elements_port(elements, &p->host, p->host_port, p->udp, guest,
					p->guest_port);
			else
				net_elements_carried(
					elements, family, &p->host, p->host_port, p->udp);
		}
	}
}

/* After the rules have gone, which would lead the flows to the Arrow again. */
static void forget_flows(const struct net_lease *l)
{
	bool udp = false;

	for (size_t i = 0; i < l->ports.n; i++)
		udp |= l->ports.v[i].udp;
	if (!udp || l->netns)
		return;
	if (l->address4.family)
		net_conntrack_forget_udp(&l->address4);
	if (l->address6.family)
		net_conntrack_forget_udp(&l->address6);
}

int net_lease_end(struct net_lease *l, const struct arrow_paths *paths)
{
	_cleanup_free_ char *path = lease_path(paths, l->network, "leases", l->id);
	struct net_elements elements = {0};
	int later;

	net_lease_elements(l, &elements);
	later = net_rules_remove(&elements);
	net_elements_release(&elements);
	forget_flows(l);
	/* Networks see to that themselves. */
	if (strcmp(l->network, NET_JOINED) == 0)
		net_rules_remove_unused();
	if (l->netns)
		net_redirect_undo(l->netns, l->device);
	lease_withdraw_names(l, paths);
	/* Last: as long as it is there, somebody else can finish this. */
	if (path && unlink(path) == 0 && strcmp(l->network, NET_JOINED) != 0)
		net_network_event_by_name(paths, l->network, "disconnect", l->id);
	net_lease_release(l);
	return later;
}

/* Reads one lease. Returns 0, 1 for one whose keeper is gone, or a negative errno. */
static int read_lease(struct net_lease *l, int dir_fd, const char *network, const char *id)
{
	_cleanup_close_ int fd = openat(dir_fd, id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_free_ char *text = NULL;
	bool dead;
	json_t *o;
	int r;

	*l = (struct net_lease){.fd = -1};
	if (fd < 0)
		return -errno;
	if (!text_copy(l->id, sizeof(l->id), id) ||
		!text_copy(l->network, sizeof(l->network), network))
		return -EBADMSG;
	dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
	r = read_file(dir_fd, id, FILE_MAX, &text, NULL);
	if (r < 0)
		return r;
	o = json_loads(text, 0, NULL);
	r = from_json(l, o);
	json_decref(o);
	/* One whose maker was killed before it wrote it has nothing yet. */
	return dead ? 1 : r;
}

int net_lease_each(const struct arrow_paths *paths, const char *network,
	void (*each)(struct net_lease *lease, bool dead, void *arg), void *arg)
{
	_cleanup_free_ char *path = lease_path(paths, network, "leases", "");
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	if (!dir)
		return path && errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		struct net_lease lease;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		r = read_lease(&lease, dirfd(dir), network, entry->d_name);
		if (r >= 0)
			each(&lease, r > 0, arg);
		net_lease_release(&lease);
	}
	return 0;
}

struct sweep {
	const struct arrow_paths *paths;
	unsigned int alive;
};

static void sweep_one(struct net_lease *lease, bool dead, void *arg)
{
	struct sweep *sweep = arg;

	if (dead)
		close_keep_errno(net_lease_end(lease, sweep->paths));
	else
		sweep->alive++;
}

bool net_lease_sweep_one(const struct arrow_paths *paths, const char *network, const char *id)
{
	_cleanup_free_ char *path = lease_path(paths, network, "leases", "");
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	struct sweep sweep = {.paths = paths};
	struct net_lease lease;
	int r = dir ? read_lease(&lease, dirfd(dir), network, id) : -ENOENT;

	if (!dir)
		return false;
	if (r >= 0)
		sweep_one(&lease, r > 0, &sweep);
	net_lease_release(&lease);
	return sweep.alive > 0;
}

int net_lease_each_id(const struct arrow_paths *paths, const char *network,
	void (*each)(const char *id, void *arg), void *arg)
{
	_cleanup_free_ char *path = lease_path(paths, network, "leases", "");
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	const struct dirent *entry;

	if (!dir)
		return path && errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			each(entry->d_name, arg);
	return 0;
}

static void lease_count_one(const char *id, void *arg)
{
	(*(unsigned int *)arg)++;
}

unsigned int net_lease_count(const struct arrow_paths *paths, const char *network)
{
	unsigned int n = 0;

	net_lease_each_id(paths, network, lease_count_one, &n);
	return n;
}

unsigned int net_lease_sweep(const struct arrow_paths *paths, const char *network)
{
	struct sweep sweep = {.paths = paths};

	net_lease_each(paths, network, sweep_one, &sweep);
	return sweep.alive;
}

/*
 * Writes a lease anew in its file, as its keeper's lock is on that; blanks behind it cover what was
 * there. In one system call, for whoever reads it without the lock of networks, once there is room
 * for it: on an error the lease is as it was.
 */
static int lease_rewrite(const struct net_lease *l, const struct arrow_paths *paths)
{
	_cleanup_free_ char *path = lease_path(paths, l->network, "leases", l->id);
	_cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	_cleanup_free_ char *text = NULL, *padded = NULL;
	json_t *o = to_json(l);
	struct stat st;
	ssize_t n;
	size_t size;

	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!path || !text)
		return -ENOMEM;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	size = (size_t)st.st_size > strlen(text) ? (size_t)st.st_size : strlen(text);
	padded = path_format("%-*s", (int)size, text);
	if (!padded)
		return -ENOMEM;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0 && errno != EOPNOTSUPP)
		return -errno;
	n = pwrite(fd, padded, size, 0);
	return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

/* old: what it was called before, if it is on the network; or NULL */
static int lease_rename_on(const struct arrow_paths *paths, const char *network, const char *id,
	const char *name, char old[NET_NAMES_LONGEST + 1])
{
	_cleanup_free_ char *path = lease_path(paths, network, "leases", "");
	_cleanup_close_ int dir = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	char before[NET_NAMES_LONGEST + 1];
	struct net_lease lease = {.fd = -1};
	int r = dir < 0 ? -ENOENT : read_lease(&lease, dir, network, id);

	if (r == 0 && strcmp(lease.name, name) != 0) {
		memcpy(before, lease.name, sizeof(before));
		snprintf(lease.name, sizeof(lease.name), "%s", name);
		r = lease_rewrite(&lease, paths);
		if (r == 0 && strcmp(network, NET_JOINED) != 0) {
			struct net_names names = lease_names(&lease);

			r = net_names_rename(paths, &names, before);
			/* Without any names the next start publishes them. */
			if (r == -ENOENT)
				r = 0;
			if (r < 0) {
				memcpy(lease.name, before, sizeof(before));
				(void)!lease_rewrite(&lease, paths);
			}
		}
		if (r == 0 && old)
			memcpy(old, before, sizeof(before));
	}
	net_lease_release(&lease);
	return r == -ENOENT || r > 0 ? 0 : r;
}

/* On all networks. */
static int lease_rename_in(DIR *dir, const struct arrow_paths *paths, const char *id,
	const char *name, char old[NET_NAMES_LONGEST + 1])
{
	const struct dirent *entry;
	int r = 0;

	while (r >= 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && entry->d_type == DT_DIR)
			r = lease_rename_on(paths, entry->d_name, id, name, old);
	return r;
}

int net_lease_rename(const struct arrow_paths *paths, const char *id, const char *name,
	struct arrow_error *error)
{
	_cleanup_free_ char *path = path_format("%s/networks", paths->run);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	char old[NET_NAMES_LONGEST + 1] = "";
	_cleanup_close_ int lock = -1;
	int r;

	if (!dir)
		return path ? 0 : arrow_fail(error, ENOMEM, "out of memory");
	lock = net_lock(paths, error);
	if (lock < 0)
		return lock;
	r = lease_rename_in(dir, paths, id, name, old);
	if (r == 0)
		return 0;
	rewinddir(dir);
	if (*old)
		(void)!lease_rename_in(dir, paths, id, old, NULL);
	return arrow_fail(error, -r, "cannot rename it on its networks: %m");
}

/* For the leases of all directories. */
static void each_directory(const struct arrow_paths *paths,
	void (*each)(struct net_lease *lease, bool dead, void *arg), void *arg)
{
	_cleanup_free_ char *path = path_format("%s/networks", paths->run);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && entry->d_type == DT_DIR)
			net_lease_each(paths, entry->d_name, each, arg);
}

void net_lease_sweep_all(const struct arrow_paths *paths)
{
	struct sweep sweep = {.paths = paths};

	each_directory(paths, sweep_one, &sweep);
}

void net_lease_sweep_unwatched(const struct arrow_paths *paths, bool joined)
{
	_cleanup_free_ char *path = path_format("%s/networks", paths->run);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || entry->d_type != DT_DIR)
			continue;
		if (strcmp(entry->d_name, NET_JOINED) == 0 ? joined
							   : !net_watch_lives(paths, entry->d_name))
			net_lease_sweep(paths, entry->d_name);
	}
}

struct search {
	const char *arrow;
	struct net_ports *ports;
	bool found;
};

static void find_ports(struct net_lease *l, bool dead, void *arg)
{
	struct search *s = arg;

	if (dead ||
		(strcmp(l->name, s->arrow) != 0 && strncmp(l->id, s->arrow, strlen(s->arrow)) != 0))
		return;
	s->found = true;
	if (net_ports_copy(s->ports, &l->ports) < 0)
		s->ports->n = 0;
}

int net_lease_ports(const struct arrow_paths *paths, const char *arrow, struct net_ports *ports,
	struct arrow_error *error)
{
	struct search search = {.arrow = arrow, .ports = ports};
	_cleanup_close_ int lock = net_lock(paths, error);

	if (lock < 0)
		return lock;
	each_directory(paths, find_ports, &search);
	return search.found
		       ? 0
		       : arrow_fail(error, ENOENT,
				 "no running Arrow %s is on a network; 'arrow ps' lists the running ones",
				 arrow);
}

static void put_container(struct net_lease *l, bool dead, void *arg)
{
	char mac[NET_MAC_TEXT], four[NET_ADDRESS_TEXT], six[NET_ADDRESS_TEXT];

	if (!dead)
		json_object_set_new(arg, l->id,
			json_pack("{s:s, s:s, s:s, s:s}", "Name", l->name, "MacAddress",
				net_mac_text(l->mac, mac), "IPv4Address",
				net_address_text(&l->address4, true, four), "IPv6Address",
				net_address_text(&l->address6, true, six)));
}

json_t *net_lease_json(const struct arrow_paths *paths, const struct net_network *network)
{
	json_t *o = json_object();

	net_lease_each(paths, network->name, put_container, o);
	return o;
}

void net_lease_release(struct net_lease *l)
{
	close_keep_errno(l->fd);
	free(l->netns);
	free(l->device);
	json_decref(l->aliases);
	net_ports_release(&l->ports);
	*l = (struct net_lease){.fd = -1};
}
