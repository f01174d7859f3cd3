// SPDX-License-Identifier: Apache-2.0
/* arrow info: what this host offers, and which engine is chosen and why. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "core/upkeep/host.h"
#include "util/cleanup.h"

static error_t info_parse(int key, char *value, struct argp_state *state)
{
	const char **format = state->input;

	if (key == ARGP_KEY_ARG)
		cli_argument_error(state, "too many arguments: '%s'", value);
	if (key != 'f')
		return ARGP_ERR_UNKNOWN;
	*format = value;
	return 0;
}

static const struct argp_option options[] = {
	{"format", 'f', "FORMAT", 0, "table, json, or a Go template as in Docker", 0}, {0}};

static const struct argp info_argp = {options, info_parse, NULL,
	"Show what this host offers, which engine runs the VMs, and why.", NULL, NULL, NULL};

static const char *info_get_layout(const struct arrow_cgroups *g)
{
	return g->v1 && g->v2 ? "hybrid" : g->v2 ? "v2" : g->v1 ? "v1" : "none";
}

static json_t *info_range_json(const struct arrow_id_range *range)
{
	if (range->count == 0)
		return json_null();
	return json_pack(
		"{s:I, s:I}", "start", (json_int_t)range->start, "count", (json_int_t)range->count);
}

static json_t *info_dir_json(const struct arrow_host_dir *dir)
{
	return json_pack("{s:s?, s:I, s:b}", "path", dir->path, "free", (json_int_t)dir->free,
		"writable", dir->writable);
}

static json_t *info_engines_json(const struct arrow_host *h)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < h->n_engines; i++) {
		const struct arrow_host_engine *e = &h->engines[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s?, s:s?, s:s?}", "name", e->engine->name, "path",
				      e->path, "version", e->version, "problem", e->problem));
	}
	return list;
}

static json_t *info_devices_json(const struct arrow_host *h)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < ARROW_HOST_DEVICES; i++) {
		const struct arrow_host_device *d = &h->devices[i];

		json_array_append_new(
			list, json_pack("{s:s, s:b, s:s?}", "path", d->path, "usable", d->err == 0,
				      "problem", d->err ? strerror(d->err) : NULL));
	}
	return list;
}

static json_t *info_cgroups_json(const struct arrow_cgroups *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->n; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:s, s:b}", "name", g->controllers[i].name, "version",
				g->controllers[i].version, "group", g->controllers[i].dir,
				"writable", g->controllers[i].writable));
	return json_pack("{s:s, s:o}", "layout", info_get_layout(g), "controllers", list);
}

static json_t *info_groups_json(const struct arrow_host *h)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < ARROW_HOST_GROUPS; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s?}", "controller", arrow_host_controllers[i],
				      "group", h->groups[i]));
	return list;
}

static json_t *info_kernels_json(const struct arrow_host *h)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < h->n_kernels; i++) {
		const struct arrow_host_kernel *k = &h->kernels[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s?, s:s?, s:i, s:s?}", "profile", k->profile,
				"state", k->state, "id", k->id[0] ? k->id : NULL, "path", k->path,
				"vcpus_max", (int)k->vcpus_max, "problem", k->problem));
	}
	return list;
}

/* The same by the names that Docker has for it. */
static json_t *info_docker_json(const struct arrow_host *h)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:s?, s:s}", "ServerVersion",
		ARROW_VERSION, "NCPU", (int)h->cpus, "MemTotal", (json_int_t)h->memory,
		"KernelVersion", h->kernel, "Architecture", h->machine, "OSType", "linux",
		"DockerRootDir", h->data.path, "CgroupVersion", h->cgroups.v2 ? "2" : "1");
}

static json_t *info_host_json(const struct arrow_host *h)
{
	const struct arrow_kvm_verdict *kvm = &h->choice.kvm;
	json_t *machine, *user, *docker, *all;

	machine = json_pack("{s:s, s:s, s:i, s:I, s:I}", "kernel", h->kernel, "machine", h->machine,
		"cpus", (int)h->cpus, "memory", (json_int_t)h->memory, "memory_available",
		(json_int_t)h->memory_available);
	user = json_pack("{s:s, s:I, s:b, s:{s:b, s:s?}, s:o, s:o, s:s?}", "name", h->user, "uid",
		(json_int_t)h->uid, "root", h->uid == 0, "user_namespaces", "usable",
		h->userns_err == 0, "problem", h->userns_err ? strerror(h->userns_err) : NULL,
		"subuids", info_range_json(&h->subuids), "subgids", info_range_json(&h->subgids),
		"newuidmap", h->newuidmap);
	all = json_pack("{s:s, s:o, s:o, s:{s:s, s:s, s:s}, s:o, s:{s:b, s:s, s:s?}, s:o, s:o, "
			"s:{s:o}, s:{s:b, s:b}, s:{s:s?}, s:o, s:{s:o, s:o}}",
		"version", ARROW_VERSION, "host", machine, "user", user, "engine", "name",
		h->choice.engine->name, "accel", h->choice.mode->name, "reason", kvm->reason,
		"engines", info_engines_json(h), "kvm", "usable", kvm->usable, "reason",
		kvm->reason, "mend", kvm->mend[0] ? kvm->mend : NULL, "devices",
		info_devices_json(h), "cgroups", info_cgroups_json(&h->cgroups), "limits", "groups",
		info_groups_json(h), "jail", "namespaces", h->jail_namespaces, "own_user",
		h->jail_own_user, "images", "tool", h->mkfs, "kernels", info_kernels_json(h),
		"directories", "data", info_dir_json(&h->data), "run", info_dir_json(&h->run));
	docker = info_docker_json(h);
	json_object_update(all, docker);
	json_decref(docker);
	return all;
}

static void info_add(json_t *rows, const char *title, const char *fmt, ...) ARROW_PRINTF(3, 4);

static void info_add(json_t *rows, const char *title, const char *fmt, ...)
{
	va_list ap;
	json_t *text;

	va_start(ap, fmt);
	text = json_vsprintf(fmt, ap);
	va_end(ap);
	json_array_append_new(rows, json_pack("{s:s, s:o}", "title", title, "text", text));
}

static void info_add_machine(json_t *rows, const struct arrow_host *h)
{
	_cleanup_free_ char *memory = human_binary_size(h->memory);
	_cleanup_free_ char *available = human_binary_size(h->memory_available);

	info_add(rows, "Arrow", "%s", ARROW_VERSION);
	info_add(rows, "Host", "Linux %s, %s", h->kernel, h->machine);
	info_add(rows, "CPUs", "%u", h->cpus);
	if (memory && available)
		info_add(rows, "Memory", "%s, of which %s are available", memory, available);
	info_add(rows, "User", "%s (%s)", h->user, h->uid == 0 ? "root" : "an ordinary user");
	info_add(rows, "User namespaces", "%s",
		h->userns_err ? strerror(h->userns_err) : "for every user");
	if (h->subuids.count && h->subgids.count)
		info_add(rows, "Subordinate ids", "%u users, %u groups%s", h->subuids.count,
			h->subgids.count, h->newuidmap ? "" : "; newuidmap is not installed");
	else if (h->uid != 0)
		info_add(rows, "Subordinate ids", "none");
}

static void info_add_engines(json_t *rows, const struct arrow_host *h)
{
	const struct arrow_kvm_verdict *kvm = &h->choice.kvm;

	info_add(rows, "Engine", "%s with %s", h->choice.engine->name, kvm->usable ? "KVM" : "TCG");
	info_add(rows, "KVM", "%s: %s", kvm->usable ? "usable" : "not usable", kvm->reason);
	for (unsigned int i = 0; i < h->n_engines; i++) {
		const struct arrow_host_engine *e = &h->engines[i];

		if (e->problem)
			info_add(rows, e->engine->name, "%s", e->problem);
		else
			info_add(rows, e->engine->name, "%s%s%s", e->version, e->path ? ", " : "",
				e->path ? e->path : "");
	}
	for (unsigned int i = 0; i < ARROW_HOST_DEVICES; i++)
		info_add(rows, h->devices[i].path, "%s",
			h->devices[i].err ? strerror(h->devices[i].err) : "accessible");
}

/* The controllers of one version and right, in a line. */
static void info_add_controllers(
	json_t *rows, const struct arrow_cgroups *g, int version, bool writable)
{
	char title[32], names[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < g->n && used < sizeof(names); i++)
		if (g->controllers[i].version == version && g->controllers[i].writable == writable)
			used += (size_t)snprintf(
				names + used, sizeof(names) - used, " %s", g->controllers[i].name);
	snprintf(title, sizeof(title), "cgroup v%d", version);
	if (used)
		info_add(rows, title, "%s (%s)", names + 1, writable ? "ours" : "read-only");
}

static void info_add_dir(json_t *rows, const char *title, const struct arrow_host_dir *dir)
{
	_cleanup_free_ char *size = human_binary_size(dir->free);

	if (size)
		info_add(rows, title, "%s, %s free%s", dir->path, size,
			dir->writable ? "" : ", not writable");
}

/* What holds a VM's process, and where that is less than it could be. */
static void info_add_confinement(json_t *rows, const struct arrow_host *h)
{
	char have[64] = "", lack[64] = "";

	info_add(rows, "Jail", "%s%s",
		h->jail_own_user     ? "own user, namespaces, empty root"
		: h->jail_namespaces ? "namespaces, empty root; runs as your user"
				     : "no namespaces available, so QEMU can see your files",
		"; system call filter");
	for (unsigned int i = 0; i < ARROW_HOST_GROUPS; i++) {
		char *to = h->groups[i] ? have : lack;
		size_t used = strlen(to);

		snprintf(to + used, sizeof(have) - used, "%s%s", used ? ", " : "",
			arrow_host_controllers[i]);
	}
	if (have[0])
		info_add(rows, "Limits", "by control groups of the host: %s", have);
	if (lack[0])
		info_add(rows, have[0] ? "" : "Limits",
			"in the guest only, as control groups cannot be created: %s", lack);
}

static json_t *info_make_rows(const struct arrow_host *h)
{
	json_t *rows = json_array();

	info_add_machine(rows, h);
	info_add_engines(rows, h);
	info_add(rows, "cgroups", "%s", info_get_layout(&h->cgroups));
	for (int version = 1; version <= 2; version++)
		for (int writable = 1; writable >= 0; writable--)
			info_add_controllers(rows, &h->cgroups, version, writable);
	info_add_confinement(rows, h);
	info_add(rows, "Images", "%s", h->mkfs ? h->mkfs : "mkfs.erofs is not installed");
	for (unsigned int i = 0; i < h->n_kernels; i++) {
		const struct arrow_host_kernel *k = &h->kernels[i];
		char title[64];

		snprintf(title, sizeof(title), "Kernel %s", k->profile);
		if (k->problem)
			info_add(rows, title, "%s: %s", k->state, k->problem);
		else
			info_add(rows, title, "%s, %.12s, up to %u vCPU%s", k->state, k->id,
				k->vcpus_max, k->vcpus_max == 1 ? "" : "s");
	}
	info_add_dir(rows, "Data", &h->data);
	info_add_dir(rows, "State", &h->run);
	return rows;
}

static char *info_format_title(const json_t *row, const void *arg)
{
	char *text = NULL;

	if (asprintf(&text, "%s:", json_string_value(json_object_get(row, "title"))) < 0)
		return NULL;
	return text;
}

int cmd_info(int argc, char **argv)
{
	static const struct cli_column columns[] = {
		{NULL, NULL, info_format_title}, {NULL, "text", NULL}, {0}};
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct arrow_host host = {0};
	const char *format = NULL;
	json_t *json = NULL;
	int status;

	cli_parse(&info_argp, argc, argv, 0, &format);
	if (cli_paths_init(&paths, &error) < 0 || arrow_host_look(&host, &paths, &error) < 0) {
		status = cli_error(&error);
	} else if (!format || !*format || strcmp(format, "table") == 0) {
		json = info_make_rows(&host);
		status = cli_print_table(json, columns, NULL);
	} else {
		json = info_host_json(&host);
		status = cli_format_object(format, json, &error) < 0 ? cli_error(&error)
								     : cli_flush();
	}
	json_decref(json);
	arrow_host_release(&host);
	arrow_paths_release(&paths);
	return status;
}
