// SPDX-License-Identifier: Apache-2.0
#include "net/names.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

#define ID_SHOWN 12 /* digits of an id that are a name, too */
#define PATH_TEXT 512u
#define TARGET_TEXT 320u /* <id>/<name>, or two addresses */

bool net_names_is_valid(const char *name)
{
	return *name && *name != '.' && strlen(name) <= NET_NAMES_LONGEST &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       strlen(name);
}

static void names_lower(char *to, const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)tolower((unsigned char)name[i]);
	to[n] = '\0';
}

int net_names_open(const struct arrow_paths *paths)
{
	_cleanup_free_ char *path = path_format("%s/names", paths->run);
	int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd >= 0 ? fd : path ? -errno : -ENOMEM;
}

/* Whoever resolves them is nobody, whatever the umask here. */
static int names_make_dir(int dir, const char *path)
{
	if (mkdirat(dir, path, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	return fchmodat(dir, path, 0755, 0) < 0 ? -errno : 0;
}

/* The same, and makes it if need be. */
static int names_make(const struct arrow_paths *paths)
{
	_cleanup_free_ char *top = path_format("%s/names", paths->run);
	_cleanup_close_ int dir = -1;
	int r = top ? mkdir_all(top, 0755) : -ENOMEM;

	if (r == 0 && chmod(top, 0755) < 0)
		r = -errno;
	if (r == 0)
		r = dir = net_names_open(paths);
	if (r >= 0)
		r = names_make_dir(dir, "@arrows");
	return r < 0 ? r : steal_fd(&dir);
}

int net_names_prepare(const struct arrow_paths *paths, const char *network, bool internal)
{
	static const char *const below[] = {"", "/clients", "/names"};
	_cleanup_close_ int dir = names_make(paths);
	char path[PATH_TEXT];
	int r = dir < 0 ? dir : 0;

	for (size_t i = 0; r == 0 && i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", network, below[i]);
		r = names_make_dir(dir, path);
	}
	snprintf(path, sizeof(path), "%s/internal", network);
	if (r == 0 && internal && symlinkat("true", dir, path) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0 && !internal && unlinkat(dir, path, 0) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

bool net_names_stand(const struct arrow_paths *paths, const char *network)
{
	_cleanup_free_ char *path = path_format("%s/names/%s/clients", paths->run, network);

	return path && access(path, F_OK) == 0;
}

/* Puts a link in the place of one that may be there; its directory is made if need be. */
static int names_link(int dir, const char *path, const char *target)
{
	char parent[PATH_TEXT], fresh[PATH_TEXT + sizeof(".new")];
	int r = symlinkat(target, dir, path) < 0 ? -errno : 0;

	if (r == -ENOENT) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
		r = names_make_dir(dir, parent);
		if (r < 0)
			return r;
	} else if (r != -EEXIST) {
		return r;
	}
	/* In one step: it is read without a lock. */
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	(void)!unlinkat(dir, fresh, 0);
	if (symlinkat(target, dir, fresh) < 0 || renameat(dir, fresh, dir, path) < 0) {
		r = -errno;
		(void)!unlinkat(dir, fresh, 0);
		return r;
	}
	return 0;
}

/* Calls each() for the links of all names: the Arrow's, the first digits of its id, its aliases. */
static int names_each_link(const struct net_names *names,
	int (*each)(int dir, const char *path, const char *target), int dir, const char *target)
{
	size_t count = 2 + (names->aliases ? json_array_size(names->aliases) : 0);
	char lower[NET_NAMES_LONGEST + 1], path[PATH_TEXT];
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *name =
			i == 0   ? names->name
			: i == 1 ? names->id
				 : json_string_value(json_array_get(names->aliases, i - 2));
		size_t n = name ? strlen(name) : 0;

		if (i == 1 && n > ID_SHOWN)
			n = ID_SHOWN;
		if (n == 0 || n > NET_NAMES_LONGEST || !net_names_is_valid(name))
			continue;
		names_lower(lower, name, n);
		snprintf(path, sizeof(path), "%s/names/%s/%s", names->network, lower, names->id);
		r = each(dir, path, target);
	}
	return r;
}

/* That it is on the network. */
static int names_publish_card(int dir, const struct net_names *names)
{
	char path[PATH_TEXT];

	snprintf(path, sizeof(path), "@arrows/%s/%c", names->id, names->card);
	return names_link(dir, path, names->network);
}

int net_names_publish_joined(const struct arrow_paths *paths, const struct net_names *names)
{
	_cleanup_close_ int dir = names_make(paths);

	return dir < 0 ? dir : names_publish_card(dir, names);
}

int net_names_publish(const struct arrow_paths *paths, const struct net_names *names)
{
	const struct net_address *addresses[] = {&names->address4, &names->address6};
	char path[PATH_TEXT], target[TARGET_TEXT], text[NET_ADDRESS_TEXT];
	_cleanup_close_ int dir = net_names_open(paths);
	int r = dir < 0 ? dir : 0;

	net_address_text(&names->address4, false, target);
	if (names->address6.family) {
		size_t n = strlen(target);

		if (n > 0)
			target[n++] = ',';
		net_address_text(&names->address6, false, target + n);
	}
	if (r == 0)
		r = names_each_link(names, names_link, dir, target);
	if (r == 0)
		r = names_publish_card(dir, names);
	snprintf(target, sizeof(target), "%s/%s", names->id, names->name);
	for (size_t i = 0; r == 0 && i < 2; i++) {
		if (!addresses[i]->family)
			continue;
		snprintf(path, sizeof(path), "%s/clients/%s", names->network,
			net_address_text(addresses[i], false, text));
		r = names_link(dir, path, target);
	}
	return r;
}

static int names_unlink(int dir, const char *path, const char *target)
{
	char parent[PATH_TEXT];

	(void)!unlinkat(dir, path, 0);
	/* The last one with this name: that of another one keeps it. */
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	(void)!unlinkat(dir, parent, AT_REMOVEDIR);
	return 0;
}

/* Takes back a name that is none of those that the Arrow has. */
static void names_drop(int dir, const struct net_names *names, const char *name)
{
	char lower[NET_NAMES_LONGEST + 1], path[PATH_TEXT];
	const json_t *alias;
	size_t i;

	if (!net_names_is_valid(name) || strcasecmp(name, names->name) == 0 ||
		(strlen(name) == ID_SHOWN && strncasecmp(name, names->id, ID_SHOWN) == 0))
		return;
	json_array_foreach (names->aliases, i, alias)
		if (json_is_string(alias) && strcasecmp(name, json_string_value(alias)) == 0)
			return;
	names_lower(lower, name, strlen(name));
	snprintf(path, sizeof(path), "%s/names/%s/%s", names->network, lower, names->id);
	names_unlink(dir, path, NULL);
}

int net_names_rename(
	const struct arrow_paths *paths, const struct net_names *names, const char *old)
{
	_cleanup_close_ int dir = net_names_open(paths);
	struct net_names before = *names;
	int r = dir < 0 ? dir : net_names_publish(paths, names);

	before.name = old;
	if (r == 0)
		names_drop(dir, names, old);
	if (r == 0 || dir < 0)
		return r;
	/* What that gives back is all that the old one needs. */
	names_drop(dir, &before, names->name);
	(void)!net_names_publish(paths, &before);
	return r;
}

/* The target of a link. Returns 0 or a negative errno. */
static int names_read(int dir, const char *path, char *target, size_t size)
{
	ssize_t n = readlinkat(dir, path, target, size - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return 0;
}

/* Who has an address: the id, and the name behind it. */
static int names_read_client(int dir, const char *network, const struct net_address *address,
	char id[65], char name[NET_NAMES_TEXT])
{
	char path[PATH_TEXT], target[TARGET_TEXT], text[NET_ADDRESS_TEXT], *slash;
	int r;

	snprintf(path, sizeof(path), "%s/clients/%s", network,
		net_address_text(address, false, text));
	r = names_read(dir, path, target, sizeof(target));
	if (r < 0)
		return r;
	slash = strchr(target, '/');
	if (!slash)
		return -EBADMSG;
	*slash++ = '\0';
	return text_copy(id, 65, target) && text_copy(name, NET_NAMES_TEXT, slash) ? 0 : -EBADMSG;
}

void net_names_withdraw(const struct arrow_paths *paths, const struct net_names *names)
{
	const struct net_address *addresses[] = {&names->address4, &names->address6};
	char path[PATH_TEXT], text[NET_ADDRESS_TEXT], id[65], name[NET_NAMES_TEXT];
	_cleanup_close_ int dir = net_names_open(paths);

	if (dir < 0)
		return;
	(void)!names_each_link(names, names_unlink, dir, NULL);
	for (size_t i = 0; i < 2; i++) {
		if (!addresses[i]->family ||
			names_read_client(dir, names->network, addresses[i], id, name) < 0 ||
			strcmp(id, names->id) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/clients/%s", names->network,
			net_address_text(addresses[i], false, text));
		(void)!unlinkat(dir, path, 0);
	}
	snprintf(path, sizeof(path), "@arrows/%s/%c", names->id, names->card);
	names_unlink(dir, path, NULL);
}

void net_names_remove(const struct arrow_paths *paths, const char *network)
{
	_cleanup_free_ char *path = path_format("%s/names/%s", paths->run, network);

	if (path)
		remove_tree(AT_FDCWD, path);
}

int net_names_addresses(const struct arrow_paths *paths, const char *network,
	void (*each)(const struct net_address *address, void *arg), void *arg)
{
	_cleanup_free_ char *path = path_format("%s/names/%s/clients", paths->run, network);
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	struct net_address address;
	struct dirent *entry;

	if (!dir)
		return path ? -errno : -ENOMEM;
	while ((entry = readdir(dir)))
		if (net_address_parse(entry->d_name, &address) == 0)
			each(&address, arg);
	return 0;
}

int net_names_owner(const struct arrow_paths *paths, const char *network,
	const struct net_address *address, char id[65])
{
	_cleanup_close_ int dir = net_names_open(paths);
	char name[NET_NAMES_TEXT];

	return dir < 0 ? dir : names_read_client(dir, network, address, id, name);
}

bool net_names_card_is_on(int dir, const char *id, char card, const char *network)
{
	char path[PATH_TEXT], target[TARGET_TEXT];

	snprintf(path, sizeof(path), "@arrows/%s/%c", id, card);
	return names_read(dir, path, target, sizeof(target)) == 0 && strcmp(target, network) == 0;
}

int net_names_client(int dir, const char *network, const struct net_address *from,
	struct net_names_client *client)
{
	char path[PATH_TEXT], name[NET_NAMES_TEXT];
	int r;

	*client = (struct net_names_client){0};
	r = names_read_client(dir, network, from, client->id, name);
	for (unsigned int card = 0; r == 0 && card < NET_NAMES_NETWORKS; card++) {
		char *to = client->networks[client->n];
		struct stat st;

		snprintf(path, sizeof(path), "@arrows/%s/%u", client->id, card);
		r = names_read(dir, path, to, sizeof(client->networks[0]));
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		client->n++;
		/* Nor does the directory of one that is not Arrow's have it. */
		snprintf(path, sizeof(path), "%s/internal", to);
		if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			r = errno == ENOENT ? 0 : -errno;
			client->leads_out = true;
		}
	}
	return r;
}

/* Adds the addresses in the target of a link. */
static int names_add(char *target, struct net_address *addresses, int n)
{
	char *rest = NULL, *text;

	for (text = strtok_r(target, ",", &rest); text && n < (int)NET_NAMES_ADDRESSES;
		text = strtok_r(NULL, ",", &rest))
		if (net_address_parse(text, &addresses[n]) == 0)
			n++;
	return n;
}

/*
 * Adds the addresses of all Arrows of a network that have a name to the n that there are. Returns
 * how many there are then, or a negative errno where that cannot be told.
 */
static int names_find_on(
	int names_dir, const char *network, const char *name, struct net_address *addresses, int n)
{
	char path[PATH_TEXT], target[TARGET_TEXT];
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = -1;
	struct dirent *entry;

	if (!net_names_is_valid(name))
		return n;
	snprintf(path, sizeof(path), "%s/names/%s", network, name);
	fd = openat(names_dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? n : -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	steal_fd(&fd);
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		int r = entry->d_name[0] == '.'
				? -ENOENT
				: names_read(dirfd(dir), entry->d_name, target, sizeof(target));

		/* Its Arrow has ended just now. */
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0)
			n = names_add(target, addresses, n);
	}
	return errno ? -errno : n;
}

/* Cuts ".suffix" off a name, in place. */
static bool names_cut(char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	if (n <= m + 1 || name[n - m - 1] != '.' || strcasecmp(name + n - m, suffix) != 0)
		return false;
	name[n - m - 1] = '\0';
	return true;
}

int net_names_find(int dir, const struct net_names_client *client, const char *name,
	struct net_address addresses[NET_NAMES_ADDRESSES])
{
	char plain[NET_NAMES_TEXT], part[NET_NAMES_TEXT];
	int n = 0;

	if (!text_copy(plain, sizeof(plain), name))
		return 0;
	names_cut(plain, NET_NAMES_DOMAIN);
	for (unsigned int i = 0; n >= 0 && i < client->n; i++)
		n = names_find_on(dir, client->networks[i], plain, addresses, n);
	/* A whole name counts before one that is cut. */
	for (unsigned int i = 0; n == 0 && i < client->n; i++) {
		snprintf(part, sizeof(part), "%s", plain);
		if (names_cut(part, client->networks[i]))
			n = names_find_on(dir, client->networks[i], part, addresses, n);
	}
	return n;
}

int net_names_reverse(int dir, const struct net_names_client *client,
	const struct net_address *address, char name[NET_NAMES_TEXT])
{
	int r = -ENOENT;
	char id[65];

	for (unsigned int i = 0; r == -ENOENT && i < client->n; i++)
		r = names_read_client(dir, client->networks[i], address, id, name);
	return r;
}
