// SPDX-License-Identifier: Apache-2.0
#include "core/limits/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define FILE_MAX (4u << 20)

/* A mount of cgroup or cgroup2. */
struct mount {
	bool v2;
	char *root, *point, *options; /* within the line; "" rather than NULL */
};

/* Names in mountinfo have \ooo for what would part them. In place. */
static void cgroup_unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* "ID PARENT DEV ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER"; the line is cut up. */
static bool cgroup_parse_mount(char *line, struct mount *mount)
{
	char *save = NULL, *fields[5], *type, *rest = strstr(line, " - ");

	if (!rest)
		return false;
	*rest = '\0';
	rest += 3;
	for (size_t i = 0; i < 5; i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!fields[i])
			return false;
	}
	type = strtok_r(rest, " ", &save);
	if (!type || (strcmp(type, "cgroup") != 0 && strcmp(type, "cgroup2") != 0))
		return false;
	mount->v2 = strcmp(type, "cgroup2") == 0;
	mount->root = fields[3];
	mount->point = fields[4];
	cgroup_unescape(mount->root);
	cgroup_unescape(mount->point);
	if (!strtok_r(NULL, " ", &save) || !(mount->options = strtok_r(NULL, " ", &save)))
		mount->options = (char *)"";
	return true;
}

static bool cgroup_has_word(const char *list, const char *word, size_t size)
{
	while (*list) {
		size_t length = strcspn(list, ",");

		if (length == size && memcmp(list, word, size) == 0)
			return true;
		list += length + (list[length] == ',');
	}
	return false;
}

/* Where a group is seen below a mount. One outside of it is seen as the mount itself. */
static char *cgroup_find_dir(const struct mount *mount, const char *group)
{
	size_t size = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);

	if (strncmp(group, mount->root, size) != 0 || (group[size] && group[size] != '/') ||
		strstr(group, "/.."))
		group = "";
	else
		group += size;
	return path_format("%s%s", mount->point, strcmp(group, "/") == 0 ? "" : group);
}

static int cgroup_add(
	struct arrow_cgroups *g, const char *name, size_t size, const char *dir, int version)
{
	struct arrow_cgroup *more = realloc(g->controllers, (g->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	g->controllers = more;
	more[g->n] = (struct arrow_cgroup){
		.name = strndup(name, size), .dir = strdup(dir), .version = version};
	if (!more[g->n].name || !more[g->n].dir) {
		free(more[g->n].name);
		free(more[g->n].dir);
		return -ENOMEM;
	}
	g->n++;
	return 0;
}

/* A line of /proc/self/cgroup: "0::GROUP", or "ID:CONTROLLER[,CONTROLLER...]:GROUP". */
static int cgroup_add_group(
	struct arrow_cgroups *g, char *line, const struct mount *mounts, size_t n_mounts)
{
	char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
	size_t size;

	if (!group || group[1] != '/')
		return 0;
	*names++ = '\0';
	*group++ = '\0';
	for (size_t i = 0; *names == '\0' && i < n_mounts && !g->dir; i++)
		if (mounts[i].v2 && !(g->dir = cgroup_find_dir(&mounts[i], group)))
			return -ENOMEM;

	for (; *names; names += size + (names[size] == ',')) {
		size = strcspn(names, ",");
		if (size == 0 || strncmp(names, "name=", 5) == 0)
			continue;
		for (size_t i = 0; i < n_mounts; i++) {
			_cleanup_free_ char *dir = NULL;

			if (mounts[i].v2 || !cgroup_has_word(mounts[i].options, names, size))
				continue;
			dir = cgroup_find_dir(&mounts[i], group);
			if (!dir || cgroup_add(g, names, size, dir, 1) < 0)
				return -ENOMEM;
			break;
		}
	}
	return 0;
}

int arrow_cgroups_parse(struct arrow_cgroups *g, const char *self, const char *mountinfo)
{
	_cleanup_free_ char *groups = strdup(self), *lines = strdup(mountinfo);
	_cleanup_free_ struct mount *mounts = NULL;
	size_t n = 0, max = 1;
	char *save = NULL;
	int r = 0;

	memset(g, 0, sizeof(*g));
	for (const char *c = mountinfo; *c; c++)
		max += *c == '\n';
	mounts = calloc(max, sizeof(*mounts));
	if (!groups || !lines || !mounts)
		return -ENOMEM;

	for (char *l = strtok_r(lines, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (!cgroup_parse_mount(l, &mounts[n]))
			continue;
		*(mounts[n].v2 ? &g->v2 : &g->v1) = true;
		n++;
	}
	for (char *l = strtok_r(groups, "\n", &save); l && r == 0; l = strtok_r(NULL, "\n", &save))
		r = cgroup_add_group(g, l, mounts, n);
	if (r < 0)
		arrow_cgroups_release(g);
	return r;
}

static int cgroup_add_v2(struct arrow_cgroups *g)
{
	_cleanup_free_ char *path = path_format("%s/cgroup.controllers", g->dir), *names = NULL;
	char *save = NULL;
	int r = 0;

	if (!path)
		return -ENOMEM;
	if (read_file(AT_FDCWD, path, FILE_MAX, &names, NULL) < 0)
		return 0;
	for (char *n = strtok_r(names, " \n", &save); n && r == 0; n = strtok_r(NULL, " \n", &save))
		r = cgroup_add(g, n, strlen(n), g->dir, 2);
	return r;
}

int arrow_cgroups_look(struct arrow_cgroups *g)
{
	_cleanup_free_ char *self = NULL, *mountinfo = NULL;
	int r;

	memset(g, 0, sizeof(*g));
	if (read_file(AT_FDCWD, "/proc/self/cgroup", FILE_MAX, &self, NULL) < 0 ||
		read_file(AT_FDCWD, "/proc/self/mountinfo", FILE_MAX, &mountinfo, NULL) < 0)
		return 0;
	r = arrow_cgroups_parse(g, self, mountinfo);
	if (r == 0 && g->dir)
		r = cgroup_add_v2(g);
	if (r < 0) {
		arrow_cgroups_release(g);
		return r;
	}
	for (size_t i = 0; i < g->n; i++)
		g->controllers[i].writable = access(g->controllers[i].dir, W_OK) == 0;
	return 0;
}

void arrow_cgroups_release(struct arrow_cgroups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free(g->controllers[i].name);
		free(g->controllers[i].dir);
	}
	free(g->controllers);
	free(g->dir);
	memset(g, 0, sizeof(*g));
}
