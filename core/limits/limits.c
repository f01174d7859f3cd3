// SPDX-License-Identifier: Apache-2.0
#include "core/limits/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define SEARCH_DEPTH 8u /* of groups below each other, for those that are lost */
#define PERIOD_US 100000u
#define PROCS_MAX (1u << 20) /* bytes of the list of a group's processes */
#define REMOVE_TRIES 50      /* of 10 ms: a killed process leaves its group a moment later */

/*
 * The two groups below ours in v2. Only the VM's is limited in its memory: were the keeper in it,
 * the kernel could choose the keeper as the one to kill, and with it the log would go.
 */
#define VM_GROUP "vm"
#define KEEPER_GROUP "keeper"

unsigned int arrow_limits_weight(unsigned int shares)
{
	return shares < 2 ? 1 : 1 + ((shares - 2) * 9999u) / 262142u;
}

static bool limits_has_file(const char *dir, const char *file)
{
	_cleanup_free_ char *path = path_format("%s/%s", dir, file);

	return path && access(path, F_OK) == 0;
}

/* Only the root of v2 gives to its children what it holds processes of itself. */
static char *limits_find_base_v2(const char *dir)
{
	_cleanup_free_ char *parent = strdup(dir);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (!limits_has_file(dir, "cgroup.type"))
		return strdup(dir);
	if (!slash || slash == parent)
		return NULL;
	*slash = '\0';
	return limits_has_file(parent, "cgroup.procs") ? STEAL(parent) : NULL;
}

char *arrow_limits_base(const struct arrow_cgroups *g, const char *controller, int *version)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct arrow_cgroup *c = &g->controllers[i];
		bool io = c->version == 2 && strcmp(controller, "blkio") == 0;
		_cleanup_free_ char *base = NULL;

		if (strcmp(c->name, io ? "io" : controller) != 0)
			continue;
		base = c->version == 2 ? limits_find_base_v2(c->dir) : strdup(c->dir);
		*version = c->version;
		if (base && access(base, W_OK | X_OK) == 0)
			return STEAL(base);
	}
	return NULL;
}

/* ---- making ---- */

/* Writes a value. A file that this kernel lacks is -ENOENT. */
static int limits_write(const char *dir, const char *file, const char *fmt, ...) ARROW_PRINTF(3, 4);

static int limits_write(const char *dir, const char *file, const char *fmt, ...)
{
	_cleanup_free_ char *path = path_format("%s/%s", dir, file);
	_cleanup_close_ int fd = -1;
	char text[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!path || n < 0 || n >= (int)sizeof(text))
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, (size_t)n) < 0 ? -errno : 0;
}

static void limits_remove_one(const char *dir)
{
	for (int i = 0; i < REMOVE_TRIES && rmdir(dir) < 0 && errno == EBUSY; i++)
		usleep(10000);
}

/* Calls a function for the groups below a group of ours, then for itself. */
static void limits_each_below(const char *dir, void (*each)(const char *dir))
{
	_cleanup_free_ char *vm = path_format("%s/" VM_GROUP, dir);
	_cleanup_free_ char *keeper = path_format("%s/" KEEPER_GROUP, dir);

	if (vm)
		each(vm);
	if (keeper)
		each(keeper);
	each(dir);
}

static void limits_remove_group(const char *dir)
{
	limits_each_below(dir, limits_remove_one);
}

/* Kills whatever is in a group, but for this process. Returns whether there was anything. */
static bool limits_kill_group(const char *dir)
{
	_cleanup_free_ char *path = path_format("%s/cgroup.procs", dir), *text = NULL;
	bool any = false;

	if (!path || read_file(AT_FDCWD, path, PROCS_MAX, &text, NULL) < 0)
		return false;
	for (char *at = text, *end; *at; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		/* 0 stands for one of another namespace of processes. */
		if (pid > 1 && pid != getpid() && kill((pid_t)pid, SIGKILL) == 0)
			any = true;
		end += *end == '\n';
	}
	return any;
}

static void limits_clear_one(const char *dir)
{
	for (int i = 0; i < REMOVE_TRIES && limits_kill_group(dir); i++)
		usleep(10000);
	limits_remove_one(dir);
}

/* Of a keeper that was killed: what it left in the group goes with it. */
static void limits_clear_group(const char *dir)
{
	limits_each_below(dir, limits_clear_one);
}

/* Forgets the groups from number n on, and removes them. Nothing is in them. */
static void limits_drop_groups(struct arrow_confinement *c, unsigned int n)
{
	while (c->n > n) {
		char *dir = c->dirs[--c->n];

		if (c->cpu_group == dir) {
			close_keep_errno(steal_fd(&c->cpu));
			c->cpu_group = NULL;
		}
		close_keep_errno(c->procs[c->n]);
		limits_remove_group(dir);
		if (c->oom && dir && strncmp(c->oom, dir, strlen(dir)) == 0)
			free(STEAL(c->oom));
		free(dir);
	}
}

/*
 * A process that enters by itself, with one thread: by "tasks", which only version 1 has, the
 * kernel does so at once; else it waits many milliseconds for all other processes.
 */
static int limits_open_procs(const char *dir)
{
	_cleanup_free_ char *path =
		path_format("%s/%s", dir, limits_has_file(dir, "tasks") ? "tasks" : "cgroup.procs");
	int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	return fd < 0 ? -errno : fd;
}

/* Makes the two groups below a group of v2. Returns the list of the VM's, or a negative errno. */
static int limits_split_group(const char *dir)
{
	_cleanup_free_ char *vm = path_format("%s/" VM_GROUP, dir);
	_cleanup_free_ char *keeper = path_format("%s/" KEEPER_GROUP, dir);

	if (!vm || !keeper)
		return -ENOMEM;
	if (mkdir(vm, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (mkdir(keeper, 0755) < 0 && errno != EEXIST)
		return -errno;
	return limits_open_procs(vm);
}

/*
 * Our group below base; made once, though several controllers are there. Returns 0 or a negative
 * errno: then there is none.
 */
static int limits_make_group(struct arrow_confinement *c, const char *base, int version,
	const struct arrow_limits_wish *wish, const char **found)
{
	_cleanup_free_ char *dir = path_format("%s/arrow-%s", base, wish->id);
	FILE *f;
	int procs;

	for (unsigned int i = 0; dir && i < c->n; i++) {
		if (strcmp(c->dirs[i], dir) == 0) {
			*found = c->dirs[i];
			return 0;
		}
	}
	if (!dir || c->n == ARROW_LIMITS_DIRS)
		return -ENOMEM;
	/* First the list: a keeper that is killed in between leaves nothing that is not on it. */
	f = fopen(wish->list, c->n ? "ae" : "we");
	if (!f)
		return -errno;
	fprintf(f, "%s\n", dir);
	if (fclose(f) != 0)
		return -errno;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	procs = version == 2 ? limits_split_group(dir) : limits_open_procs(dir);
	if (procs < 0) {
		/* A group that nothing can enter limits nothing. */
		limits_remove_group(dir);
		return procs;
	}
	c->procs[c->n] = procs;
	*found = c->dirs[c->n++] = STEAL(dir);
	return 0;
}

struct making {
	struct arrow_confinement *c;
	const struct arrow_limits_wish *wish;
	const struct arrow_cgroups *groups;
};

/*
 * The group for a controller. Returns 0, with *dir NULL where this host has none for us: the root
 * of a delegated tree may hold processes, or forbid more groups.
 */
static int limits_find_group(
	struct making *m, const char *controller, const char **dir, int *version)
{
	_cleanup_free_ char *base = arrow_limits_base(m->groups, controller, version);
	const char *name = strcmp(controller, "blkio") == 0 ? "io" : controller;
	int r;

	*dir = NULL;
	if (!base)
		return 0;
	if (*version == 2 && limits_write(base, "cgroup.subtree_control", "+%s", name) < 0)
		return 0;
	r = limits_make_group(m->c, base, *version, m->wish, dir);
	return r == -EACCES || r == -EPERM || r == -EROFS ? 0 : r;
}

static int limits_set_memory(struct making *m)
{
	const struct arrow_spec *s = m->wish->spec;
	uint64_t overhead = m->wish->overhead, bytes = s->limits.memory + overhead;
	const char *dir;
	int version, r = limits_find_group(m, "memory", &dir, &version);

	if (r < 0 || !dir)
		return r;
	free(m->c->oom);
	m->c->oom = path_format(
		"%s/%s", dir, version == 2 ? VM_GROUP "/memory.events" : "memory.oom_control");
	if (version == 2) {
		r = limits_write(dir, "cgroup.subtree_control", "+memory");
		if (r == 0)
			r = limits_write(dir, VM_GROUP "/memory.max", "%" PRIu64, bytes);
		if (r == 0 && s->limits.memory_swap >= 0 && s->limits.memory_swap_given)
			r = limits_write(dir, VM_GROUP "/memory.swap.max", "%" PRIu64,
				(uint64_t)s->limits.memory_swap - s->limits.memory);
		return r == -ENOENT ? 0 : r;
	}
	r = limits_write(dir, "memory.limit_in_bytes", "%" PRIu64, bytes);
	if (r == 0 && s->limits.memory_swap >= 0 && s->limits.memory_swap_given)
		r = limits_write(dir, "memory.memsw.limit_in_bytes", "%" PRIu64,
			(uint64_t)s->limits.memory_swap + overhead);
	if ((r == 0 || r == -ENOENT) && s->limits.oom_kill_disable)
		r = limits_write(dir, "memory.oom_control", "1");
	return r == -ENOENT ? 0 : r; /* a kernel that does not account for swap */
}

/* The group that limits CPU time, and the way back from it, for arrow_limits_join(). */
static void limits_note_cpu(struct making *m, const char *dir, int version)
{
	struct arrow_confinement *c = m->c;
	_cleanup_free_ char *keeper = path_format("%s/" KEEPER_GROUP, dir);
	const char *home = version == 2 ? m->groups->dir : NULL;

	if (c->cpu < 0 && keeper) {
		c->cpu = limits_open_procs(version == 2 ? keeper : dir);
		c->cpu_group = dir;
	}
	for (size_t i = 0; version == 1 && i < m->groups->n; i++)
		if (strcmp(m->groups->controllers[i].name, "cpu") == 0)
			home = m->groups->controllers[i].dir;
	if (c->home < 0 && home)
		c->home = limits_open_procs(home);
}

static int limits_set_cpu(struct making *m)
{
	const struct arrow_spec *s = m->wish->spec;
	const char *dir;
	int version, r = limits_find_group(m, "cpu", &dir, &version);
	uint64_t quota = (uint64_t)s->limits.millicpus * PERIOD_US / 1000;

	if (r < 0 || !dir)
		return r;
	limits_note_cpu(m, dir, version);
	if (version == 2) {
		if (s->limits.cpus_given)
			r = limits_write(dir, "cpu.max", "%" PRIu64 " %u", quota, PERIOD_US);
		if (r == 0 && s->limits.cpu_shares)
			r = limits_write(
				dir, "cpu.weight", "%u", arrow_limits_weight(s->limits.cpu_shares));
		return r;
	}
	if (s->limits.cpus_given) {
		r = limits_write(dir, "cpu.cfs_period_us", "%u", PERIOD_US);
		if (r == 0)
			r = limits_write(dir, "cpu.cfs_quota_us", "%" PRIu64, quota);
	}
	if (r == 0 && s->limits.cpu_shares)
		r = limits_write(dir, "cpu.shares", "%u", s->limits.cpu_shares);
	return r;
}

static int limits_set_rate(
	const char *dir, int version, const struct arrow_rate *rate, struct arrow_error *error)
{
	static const char *const v1[] = {"read_bps", "write_bps", "read_iops", "write_iops"};
	static const char *const v2[] = {"rbps", "wbps", "riops", "wiops"};
	char file[64] = "io.max";
	struct stat st;
	int r;

	if (stat(rate->device, &st) < 0)
		return arrow_fail(error, errno, "cannot limit the device %s: %m", rate->device);
	if (!S_ISBLK(st.st_mode))
		return arrow_fail(
			error, ENOTBLK, "cannot limit %s: it is not a block device", rate->device);
	if (version == 2) {
		r = limits_write(dir, file, "%u:%u %s=%" PRIu64, major(st.st_rdev),
			minor(st.st_rdev), v2[rate->kind], rate->value);
	} else {
		snprintf(file, sizeof(file), "blkio.throttle.%s_device", v1[rate->kind]);
		r = limits_write(dir, file, "%u:%u %" PRIu64, major(st.st_rdev), minor(st.st_rdev),
			rate->value);
	}
	return r < 0 ? arrow_fail(error, -r, "cannot limit the device %s by %s: %m", rate->device,
			       file)
		     : 0;
}

static int limits_set_io(struct making *m, struct arrow_error *error)
{
	const struct arrow_spec *s = m->wish->spec;
	const char *dir;
	int version, r = limits_find_group(m, "blkio", &dir, &version);

	if (r < 0)
		return arrow_fail(error, -r, "cannot create a control group for I/O: %m");
	for (size_t i = 0; dir && r == 0 && i < s->limits.n_rates; i++)
		r = limits_set_rate(dir, version, &s->limits.rates[i], error);
	if (!dir || r < 0 || !s->limits.blkio_weight)
		return r;
	/* The name depends on the scheduler; none of them may be there. */
	if (version == 1 &&
		limits_write(dir, "blkio.weight", "%u", s->limits.blkio_weight) == -ENOENT)
		r = limits_write(dir, "blkio.bfq.weight", "%u", s->limits.blkio_weight);
	else if (version == 2 && limits_write(dir, "io.bfq.weight", "default %u",
					 s->limits.blkio_weight) == -ENOENT)
		r = limits_write(dir, "io.weight", "default %u", s->limits.blkio_weight);
	return r < 0 && r != -ENOENT ? arrow_fail(error, -r, "cannot set the I/O weight %u: %m",
					       s->limits.blkio_weight)
				     : 0;
}

/* Makes the groups that do not exist yet, and sets all limits. */
static int limits_apply(struct arrow_confinement *c, const struct arrow_limits_wish *wish,
	bool update, struct arrow_error *error)
{
	const struct arrow_spec *spec = wish->spec;
	struct making m = {.c = c, .wish = wish, .groups = wish->groups ? wish->groups : &c->own};
	int r = wish->groups || c->looked ? 0 : arrow_cgroups_look(&c->own);

	if (r < 0)
		return arrow_fail(error, -r, "cannot read the control groups: %m");
	c->looked = true;
	r = limits_set_memory(&m);
	if (r < 0)
		r = arrow_fail(error, -r, "cannot limit the memory of the VM: %m");
	if (r == 0 && (spec->limits.cpus_given || spec->limits.cpu_shares)) {
		r = limits_set_cpu(&m);
		if (r < 0)
			r = arrow_fail(error, -r, "cannot limit the CPU time of the VM: %m");
	}
	if (r == 0 && (spec->limits.blkio_weight || (spec->limits.n_rates && !update)))
		r = limits_set_io(&m, error);
	return r;
}

int arrow_limits_begin(struct arrow_confinement *c, const struct arrow_limits_wish *wish,
	struct arrow_error *error)
{
	int r;

	*c = (struct arrow_confinement)ARROW_CONFINEMENT_INIT;
	r = limits_apply(c, wish, false, error);
	if (r < 0)
		arrow_limits_end(c);
	return r;
}

int arrow_limits_update(struct arrow_confinement *c, const struct arrow_limits_wish *wish, int pid,
	struct arrow_error *error)
{
	unsigned int entered = c->n;
	int r = limits_apply(c, wish, true, error);

	for (; r == 0 && entered < c->n; entered++) {
		if (dprintf(c->procs[entered], "%d", pid) >= 0)
			continue;
		r = arrow_fail(
			error, errno, "cannot move the VM's process to its control group: %m");
		break;
	}
	/* The next update makes again, and enters, what the process is not in. */
	limits_drop_groups(c, entered);
	return r;
}

bool arrow_limits_oom(const struct arrow_confinement *c)
{
	_cleanup_free_ char *text = NULL;
	const char *line;

	if (!c->oom || read_file(AT_FDCWD, c->oom, 4096, &text, NULL) < 0)
		return false;
	line = strstr(text, "oom_kill ");
	return line && strtoul(line + strlen("oom_kill "), NULL, 10) > 0;
}

void arrow_limits_move(const struct arrow_confinement *c, int pid)
{
	for (unsigned int i = 0; i < c->n; i++)
		if (dprintf(c->procs[i], "%d", pid) < 0)
			errno = 0;
}

void arrow_limits_join(struct arrow_confinement *c)
{
	if (!c->joined && c->cpu >= 0 && c->home >= 0)
		c->joined = write(c->cpu, "0", 1) == 1;
}

void arrow_limits_leave(struct arrow_confinement *c)
{
	if (c->joined)
		c->joined = write(c->home, "0", 1) != 1;
}

void arrow_limits_end(struct arrow_confinement *c)
{
	arrow_limits_leave(c);
	limits_drop_groups(c, 0);
	close_keep_errno(c->cpu);
	close_keep_errno(c->home);
	free(c->oom);
	arrow_cgroups_release(&c->own);
	*c = (struct arrow_confinement)ARROW_CONFINEMENT_INIT;
}

void arrow_limits_clean(int dir_fd, const char *list)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;

	if (read_file(dir_fd, list, 64u * 1024u, &text, NULL) < 0)
		return;
	for (char *dir = strtok_r(text, "\n", &save); dir; dir = strtok_r(NULL, "\n", &save)) {
		/* What was written here are groups of ours; anything else stays. */
		const char *name = strrchr(dir, '/');

		if (name && strncmp(name, "/arrow-", strlen("/arrow-")) == 0)
			limits_clear_group(dir);
	}
}

/* Removes the group of this name, wherever below dir it is. */
static void limits_remove_below(const char *dir, const char *name, unsigned int depth)
{
	_cleanup_free_ char *path = path_format("%s/%s", dir, name);
	_cleanup_closedir_ DIR *d = NULL;
	struct dirent *entry;

	if (path && access(path, F_OK) == 0)
		limits_clear_group(path);
	d = depth > 0 ? opendir(dir) : NULL;
	while (d && (entry = readdir(d))) {
		_cleanup_free_ char *below = path_format("%s/%s", dir, entry->d_name);

		if (below && entry->d_type == DT_DIR && entry->d_name[0] != '.')
			limits_remove_below(below, name, depth - 1);
	}
}

void arrow_limits_clean_lost(const char *id)
{
	_cleanup_free_ char *name = path_format("arrow-%s", id);
	struct arrow_cgroups groups;

	if (!name || arrow_cgroups_look(&groups) < 0)
		return;
	/* Whoever started it may have been in another group: from the top of each hierarchy. */
	for (size_t i = 0; i < groups.n; i++) {
		_cleanup_free_ char *dir = strdup(groups.controllers[i].dir);
		char *slash;

		while (dir && (slash = strrchr(dir, '/')) && slash > dir) {
			*slash = '\0';
			if (!limits_has_file(dir, "cgroup.procs")) {
				*slash = '/';
				break;
			}
		}
		if (dir)
			limits_remove_below(dir, name, SEARCH_DEPTH);
	}
	arrow_cgroups_release(&groups);
}

/* ---- telling ---- */

static void limits_add_word(char **list, const char *word)
{
	char *longer = path_format("%s%s%s", *list ? *list : "", *list ? ", " : "", word);

	free(*list);
	*list = longer;
}

int arrow_limits_missing(
	const struct arrow_spec *s, char **nowhere, char **guest_only, struct arrow_error *error)
{
	_cleanup_free_ char *memory = NULL, *cpu = NULL, *io = NULL;
	struct arrow_cgroups groups;
	int version, memory_version = 0, r = arrow_cgroups_look(&groups);

	*nowhere = *guest_only = NULL;
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the control groups: %m");
	memory = arrow_limits_base(&groups, "memory", &memory_version);
	cpu = arrow_limits_base(&groups, "cpu", &version);
	io = arrow_limits_base(&groups, "blkio", &version);
	arrow_cgroups_release(&groups);
	if (!memory)
		limits_add_word(guest_only, "-m");
	if (!cpu && s->limits.cpus_given)
		limits_add_word(guest_only, "--cpus");
	if (!memory && s->limits.memory_swap_given)
		limits_add_word(nowhere, "--memory-swap");
	if (s->limits.oom_kill_disable && (!memory || memory_version == 2))
		limits_add_word(nowhere, "--oom-kill-disable");
	if (!cpu && s->limits.cpu_shares)
		limits_add_word(nowhere, "--cpu-shares");
	if (!io && s->limits.n_rates)
		limits_add_word(nowhere, "--device-read-bps and similar options");
	if (!io && s->limits.blkio_weight)
		limits_add_word(nowhere, "--blkio-weight");
	return 0;
}
