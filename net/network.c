// SPDX-License-Identifier: Apache-2.0
#include "net/network.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/event.h"
#include "util/io.h"
#include "util/text.h"

#define FILE_MAX (256u * 1024u)

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
			return arrow_fail(error, -r, "cannot create %s: %m", dir);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (fd < 0)
		return arrow_fail(error, errno, "cannot open %s: %m", path);
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? arrow_fail(error, errno, "cannot lock %s: %m", path) : steal_fd(&fd);
}

bool net_network_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > NET_NAME_MAX || strchr("_.-", name[0]))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
	       n;
}

void net_put_address(json_t *o, const char *key, const struct net_address *a, bool prefix)
{
	char text[NET_ADDRESS_TEXT];

	if (a->family)
		json_object_set_new(o, key, json_string(net_address_text(a, prefix, text)));
}

int net_network_write(
	const struct net_network *n, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_free_ char *dir = path_format("%s/networks", paths->data), *text = NULL;
	_cleanup_free_ char *path = path_format("%s/networks/%s.json", paths->data, n->name);
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:O, s:O}", "name", n->name,
		"id", n->id, "created", n->created, "bridge", n->bridge, "pooled", n->pooled,
		"internal", n->internal, "mtu", (int)n->mtu, "labels", n->labels, "options",
		n->options);
	int r;

	net_put_address(o, "subnet", &n->subnet4, true);
	net_put_address(o, "gateway", &n->gateway4, false);
	net_put_address(o, "range", &n->range4, true);
	net_put_address(o, "subnet6", &n->subnet6, true);
	net_put_address(o, "gateway6", &n->gateway6, false);
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
	     net_take_text(o, "bridge", n->bridge, sizeof(n->bridge)) && mtu >= NET_MTU_MIN &&
	     mtu <= NET_MTU_MAX;
	n->ipv6_only = !json_object_get(o, "subnet");
	if (!n->ipv6_only)
		ok = ok && take_address(o, "subnet", 4, &n->subnet4) &&
		     take_address(o, "gateway", 4, &n->gateway4) &&
		     take_address(o, "range", 4, &n->range4);
	if (n->ipv6_only || json_object_get(o, "subnet6"))
		ok = ok && take_address(o, "subnet6", 6, &n->subnet6) &&
		     take_address(o, "gateway6", 6, &n->gateway6);
	if (ok) {
		n->pooled = json_is_true(json_object_get(o, "pooled"));
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
		if (!net_network_name_is_valid(entry->d_name))
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
	int r = net_network_name_is_valid(name) ? read_network(network, paths, name) : -EINVAL;

	return r == -ENOENT ? find_id(network, paths, name) : r;
}

void net_network_event(const struct arrow_paths *paths, const struct net_network *n,
	const char *action, const char *container)
{
	event_write(paths->data, "network", action, n->id,
		json_pack("{s:s*, s:s, s:s}", "container", container, "name", n->name, "type",
			"bridge"));
}

void net_network_event_by_name(const struct arrow_paths *paths, const char *name,
	const char *action, const char *container)
{
	_cleanup_network_ struct net_network n = {0};

	if (net_network_find(&n, paths, name) == 0)
		net_network_event(paths, &n, action, container);
}

void net_network_release(struct net_network *n)
{
	json_decref(n->labels);
	json_decref(n->options);
	*n = (struct net_network){0};
}
