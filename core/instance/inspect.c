// SPDX-License-Identifier: Apache-2.0
#include "core/instance/inspect.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "core/instance/instance.h"
#include "core/instance/list.h"
#include "core/instance/log.h"
#include "core/spec/spec_json.h"
#include "util/cleanup.h"

#define NO_TIME "0001-01-01T00:00:00Z" /* Go's zero, which Docker's users test for */
#define SECOND 1000000000ll            /* ns */

const char *arrow_restart_text(uint32_t restart)
{
	static const char *const names[] = {"no", "on-failure", "always", "unless-stopped"};

	return restart < sizeof(names) / sizeof(*names) ? names[restart] : "no";
}

/* A list of strings; Docker's null for an empty one. */
static json_t *inspect_texts(const struct arrow_strings *list)
{
	return list->n ? arrow_texts_json(list) : json_null();
}

/* The words of the command, as execve() gets them. */
static json_t *inspect_command(const struct arrow_spec *spec)
{
	json_t *array = arrow_texts_json(&spec->process.args);
	const char *first =
		spec->process.entrypoint ? spec->process.entrypoint : spec->source.program;

	if (first)
		json_array_insert_new(array, 0, arrow_text_json(first));
	return array;
}

/* The last checks, with Docker's names for what each said. */
static json_t *inspect_health(const struct arrow_state *s)
{
	static const char *const names[][2] = {{"start", "Start"}, {"end", "End"},
		{"exit_code", "ExitCode"}, {"output", "Output"}};
	json_t *log = json_array();
	const json_t *one;
	size_t i;

	json_array_foreach (s->health_log, i, one) {
		json_t *entry = json_object();

		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
			if (json_object_get(one, names[k][0]))
				json_object_set(
					entry, names[k][1], json_object_get(one, names[k][0]));
		json_array_append_new(log, entry);
	}
	return json_pack("{s:s, s:I, s:o}", "Status", s->health, "FailingStreak",
		(json_int_t)s->health_failures, "Log", log);
}

static json_t *inspect_state(const struct arrow_state *s)
{
	bool active = arrow_life_active(s->life);
	json_t *o = json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:i, s:i, s:o, s:s, s:s}", "Status",
		arrow_life_text(s->life), "Running",
		s->life == ARROW_LIFE_RUNNING || s->life == ARROW_LIFE_PAUSED, "Paused",
		s->life == ARROW_LIFE_PAUSED, "Restarting", s->life == ARROW_LIFE_RESTARTING,
		"OOMKilled", s->oom, "Dead", s->life == ARROW_LIFE_DEAD, "Pid",
		active ? s->vm_pid : 0, "ExitCode", active ? 0 : s->exit_code, "Error",
		arrow_text_json(s->error), "StartedAt", s->started[0] ? s->started : NO_TIME,
		"FinishedAt", s->finished[0] ? s->finished : NO_TIME);

	if (o && s->health[0])
		json_object_set_new(o, "Health", inspect_health(s));
	return o;
}

/* As Docker, which has for volumes a mode of their own. */
/* cache: how its guest reads it, or NULL while it has none. */
static json_t *inspect_mount(const struct arrow_volume *v, const char *cache)
{
	json_t *o = json_pack("{s:s, s:o, s:o, s:s, s:b, s:s}", "Type", v->name ? "volume" : "bind",
		"Source", arrow_text_json(v->host ? v->host : ""), "Destination",
		arrow_text_json(v->guest), "Mode",
		v->read_only ? "ro"
		: v->name    ? "z"
			     : "",
		"RW", !v->read_only, "Propagation", v->name ? "" : "rprivate");

	if (o && cache)
		json_object_set_new(o, "Cache", json_string(cache));
	if (o && v->name) {
		json_object_set_new(o, "Name", arrow_text_json(v->name));
		json_object_set_new(o, "Driver", json_string("local"));
	}
	return o;
}

static json_t *inspect_mounts(const struct arrow_spec *spec, const struct arrow_state *s)
{
	const char *cache = arrow_life_active(s->life) && s->cache[0] ? s->cache : NULL;
	json_t *array = json_array();

	for (size_t i = 0; i < spec->files.n_volumes; i++)
		json_array_append_new(array, inspect_mount(&spec->files.volumes[i], cache));
	return array;
}

/* Those without a name are not in it, as in Docker. */
static json_t *inspect_binds(const struct arrow_spec *spec)
{
	json_t *array = json_array();

	for (size_t i = 0; i < spec->files.n_volumes; i++) {
		const struct arrow_volume *v = &spec->files.volumes[i];
		_cleanup_free_ char *text = NULL;

		if (!v->anonymous && asprintf(&text, "%s:%s%s", v->name ? v->name : v->host,
					     v->guest, v->read_only ? ":ro" : "") > 0)
			json_array_append_new(array, arrow_text_json(text));
	}
	if (json_array_size(array) > 0)
		return array;
	json_decref(array);
	return json_null();
}

static json_t *inspect_volumes_from(const struct arrow_spec *spec)
{
	json_t *array = spec->files.volumes_from.n ? json_array() : json_null();

	for (size_t i = 0; i < spec->files.volumes_from.n; i++)
		json_array_append_new(array, arrow_text_json(spec->files.volumes_from.v[i]));
	return array;
}

static json_t *inspect_tmpfs(const struct arrow_spec *spec)
{
	json_t *object = json_object();

	for (size_t i = 0; i < spec->files.n_tmpfs; i++)
		json_object_set_new(object, spec->files.tmpfs[i].guest,
			arrow_text_json(
				spec->files.tmpfs[i].options ? spec->files.tmpfs[i].options : ""));
	return object;
}

/* The options of the log as they are in effect: what is not given has a default. */
static json_t *inspect_log_options(const struct arrow_spec *spec, const char *driver)
{
	json_t *o = arrow_pairs_json(&spec->log.opts);
	bool sized = json_object_get(o, "max-size");

	if (!o || strcmp(driver, "json-file") != 0 || sized)
		return o;
	json_object_set_new(o, "max-size", json_string(ARROW_LOG_MAX_SIZE));
	if (!json_object_get(o, "max-file"))
		json_object_set_new(o, "max-file", json_sprintf("%u", ARROW_LOG_MAX_FILE));
	return o;
}

static json_t *inspect_host_config(const struct arrow_spec *spec)
{
	const char *driver = spec->log.driver ? spec->log.driver : "json-file";
	json_t *swap = json_integer(
		spec->limits.memory_swap_given ? (json_int_t)spec->limits.memory_swap : 0);
	json_t *pids = spec->limits.pids_max ? json_integer(spec->limits.pids_max) : json_null();

	return json_pack(
		"{s:o, s:s, s:o, s:{s:s, s:I}, s:b, s:{s:s, s:o}, s:b, s:b, s:I, s:I, s:I,"
		"s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:i, s:s, s:i, s:b, s:i, s:o}",
		"Binds", inspect_binds(spec), "NetworkMode",
		spec->net.names.n ? spec->net.names.v[0] : "default", "PortBindings",
		net_ports_bindings(&spec->net.ports, false), "RestartPolicy", "Name",
		arrow_restart_text(spec->life.restart), "MaximumRetryCount",
		(json_int_t)spec->life.restart_max, "AutoRemove", spec->life.auto_remove,
		"LogConfig", "Type", driver, "Config", inspect_log_options(spec, driver),
		"Privileged", spec->process.privileged, "ReadonlyRootfs", spec->files.read_only,
		"Memory", (json_int_t)spec->limits.memory, "NanoCpus",
		(json_int_t)spec->limits.millicpus * (SECOND / 1000), "ShmSize",
		(json_int_t)spec->files.shm_size, "Dns", inspect_texts(&spec->net.dns),
		"DnsOptions", inspect_texts(&spec->net.dns_options), "DnsSearch",
		inspect_texts(&spec->net.dns_search), "ExtraHosts", inspect_texts(&spec->net.hosts),
		"GroupAdd", inspect_texts(&spec->process.groups), "Sysctls",
		arrow_pairs_json(&spec->process.sysctls), "Tmpfs", inspect_tmpfs(spec),
		"PublishAllPorts", spec->net.publish_all, "MemorySwap", swap, "PidsLimit", pids,
		"CpuShares", (int)spec->limits.cpu_shares, "CpusetCpus",
		spec->limits.cpuset_cpus ? spec->limits.cpuset_cpus : "", "BlkioWeight",
		(int)spec->limits.blkio_weight, "OomKillDisable", spec->limits.oom_kill_disable,
		"OomScoreAdj", (int)spec->limits.oom_score_adj, "VolumesFrom",
		inspect_volumes_from(spec));
}

static json_t *inspect_exposed(const struct arrow_spec *spec)
{
	json_t *object = json_object();

	for (size_t i = 0; i < spec->net.exposed.n; i++)
		json_object_set_new(object, spec->net.exposed.v[i], json_object());
	return object;
}

static json_t *inspect_health_of(const struct arrow_health *h)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I}", "Test", inspect_texts(&h->test), "Interval",
		(json_int_t)h->interval, "Timeout", (json_int_t)h->timeout, "StartPeriod",
		(json_int_t)h->start_period, "Retries", (json_int_t)h->retries);
}

static const char *source_of(const struct arrow_spec *spec)
{
	const char *source = spec->source.image    ? spec->source.image
			     : spec->source.rootfs ? spec->source.rootfs
						   : spec->source.program;

	return source ? source : "";
}

/* As Docker: of those without a name. */
static json_t *inspect_anonymous(const struct arrow_spec *spec)
{
	json_t *object = json_object();

	for (size_t i = 0; i < spec->files.n_volumes; i++)
		if (spec->files.volumes[i].anonymous)
			json_object_set_new(object, spec->files.volumes[i].guest, json_object());
	if (json_object_size(object) > 0)
		return object;
	json_decref(object);
	return json_null();
}

static json_t *inspect_config(const struct arrow_instance *i, const struct arrow_spec *spec)
{
	char host[ARROW_ID_SHORT + 1];
	const char *name = sigabbrev_np((int)spec->life.stop_signal);
	char signal[16] = "SIGTERM";
	json_t *o;

	snprintf(host, sizeof(host), "%.*s", ARROW_ID_SHORT, i->id);
	if (name)
		snprintf(signal, sizeof(signal), "SIG%s", name);
	else if (spec->life.stop_signal)
		snprintf(signal, sizeof(signal), "%u", spec->life.stop_signal);
	o = json_pack("{s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}",
		"Hostname", arrow_text_json(spec->net.hostname ? spec->net.hostname : host),
		"Domainname", arrow_text_json(spec->net.domainname ? spec->net.domainname : ""),
		"User", arrow_text_json(spec->process.user ? spec->process.user : ""), "Tty",
		spec->process.tty, "OpenStdin", spec->process.interactive, "StdinOnce",
		spec->process.stdin_once, "Env", inspect_texts(&spec->process.env), "Cmd",
		inspect_texts(&spec->process.args), "Image", arrow_text_json(source_of(spec)),
		"WorkingDir", arrow_text_json(spec->process.workdir ? spec->process.workdir : ""),
		"ExposedPorts", inspect_exposed(spec), "Labels", arrow_pairs_json(&spec->labels),
		"StopSignal", signal, "Volumes", inspect_anonymous(spec));
	if (o && spec->life.health.test.n)
		json_object_set_new(o, "Healthcheck", inspect_health_of(&spec->life.health));
	return o;
}

/* What was chosen for each network that the Arrow is on; null for what was not. */
static void network_put_choices(json_t *networks, const struct arrow_spec *spec)
{
	const struct arrow_strings *names = &spec->net.names;

	for (size_t i = 0; i < names->n; i++) {
		const struct net_endpoint chosen = arrow_spec_endpoint(spec, i);
		bool any = chosen.ip || chosen.ip6;
		json_t *aliases = arrow_texts_json(&spec->net.aliases);
		json_t *network = json_object_get(
			networks, strcmp(names->v[i], "default") == 0 ? "bridge" : names->v[i]);

		for (const char *const *a = chosen.aliases; a && *a; a++)
			json_array_append_new(aliases, arrow_text_json(*a));
		json_object_set_new(network, "IPAMConfig",
			any ? json_pack("{s:s*, s:s*}", "IPv4Address", chosen.ip, "IPv6Address",
				      chosen.ip6)
			    : json_null());
		json_object_set(
			network, "Aliases", json_array_size(aliases) ? aliases : json_null());
		json_decref(aliases);
	}
}

/* The addresses of the first network, which Docker repeats above the others. */
static json_t *network_settings(const struct arrow_state *s, const struct arrow_spec *spec)
{
	bool active = arrow_life_active(s->life);
	json_t *o = active && s->network ? json_deep_copy(s->network)
					 : json_pack("{s:{}, s:{}}", "Ports", "Networks");
	static const char *const keys[] = {"IPAddress", "IPPrefixLen", "Gateway", "MacAddress",
		"GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway"};
	json_t *networks = json_object_get(o, "Networks");
	void *first = json_object_iter(networks);

	network_put_choices(networks, spec);
	for (size_t i = 0; o && i < sizeof(keys) / sizeof(*keys); i++) {
		json_t *value = json_object_get(json_object_iter_value(first), keys[i]);

		if (value)
			json_object_set(o, keys[i], value);
		else
			json_object_set_new(o, keys[i],
				strstr(keys[i], "PrefixLen") ? json_integer(0) : json_string(""));
	}
	return o;
}

static json_t *inspect_describe(const struct arrow_instance *i, const struct arrow_spec *spec)
{
	const struct arrow_state *s = &i->state;
	json_t *words = inspect_command(spec), *args = json_array(), *word, *o;
	_cleanup_free_ char *slash_name = NULL, *log = NULL;
	const char *digest = spec->source.image_digest ? spec->source.image_digest : s->image;
	size_t n;

	json_array_foreach (words, n, word)
		if (n > 0)
			json_array_append(args, word);
	if (asprintf(&slash_name, "/%s", i->name) < 0 ||
		asprintf(&log, "%s/" ARROW_LOG_FILE, i->dir) < 0) {
		json_decref(words);
		json_decref(args);
		return NULL;
	}
	word = json_array_get(words, 0);
	o = json_pack("{s:s, s:s, s:O, s:o, s:o, s:s, s:s, s:s, s:I, s:s, s:o, s:o, s:o, s:o}",
		"Id", i->id, "Created", i->created, "Path", word ? word : json_null(), "Args", args,
		"State", inspect_state(s), "Image", digest, "LogPath",
		spec->log.driver && strcmp(spec->log.driver, "json-file") != 0 ? "" : log, "Name",
		slash_name, "RestartCount", (json_int_t)s->restarts, "Platform", "linux", "Mounts",
		inspect_mounts(spec, s), "HostConfig", inspect_host_config(spec), "Config",
		inspect_config(i, spec), "NetworkSettings", network_settings(s, spec));
	json_decref(words);
	if (o)
		json_object_set_new(o, "Arrow",
			json_pack("{s:s, s:s, s:s, s:i, s:b, s:b}", "Engine", s->engine, "Accel",
				s->accel, "Kernel", s->kernel, "KeeperPid",
				arrow_life_active(s->life) ? s->keeper_pid : 0, "Cold",
				spec->vm.cold, "ManualStop", s->manual_stop));
	return o;
}

int arrow_inspect(
	const struct arrow_paths *paths, const char *id, json_t **object, struct arrow_error *error)
{
	struct arrow_instance instance;
	struct arrow_spec spec;
	int r = arrow_instance_open(&instance, paths, id, &spec, error);

	if (r == 0) {
		*object = inspect_describe(&instance, &spec);
		if (!*object)
			r = arrow_no_memory(error);
	}
	arrow_instance_release(&instance);
	arrow_spec_release(&spec);
	return r;
}

/* Of a thousand Arrows, the rest of the object takes more time than reading their files. */
static json_t *inspect_summarize(const struct arrow_instance *i, const struct arrow_spec *spec)
{
	const struct arrow_state *s = &i->state;
	json_t *args = inspect_command(spec), *path = json_incref(json_array_get(args, 0));
	const char *digest = spec->source.image_digest ? spec->source.image_digest : s->image;
	bool networks = arrow_life_active(s->life) && s->network;
	_cleanup_free_ char *slash_name = path_format("/%s", i->name);

	json_array_remove(args, 0);
	return json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:{s:s, s:I}, s:{s:o, s:o, s:o}, s:o}",
		"Id", i->id, "Created", i->created, "Path", path ? path : json_null(), "Args", args,
		"State", inspect_state(s), "Image", digest, "Name", slash_name, "Mounts",
		inspect_mounts(spec, s), "HostConfig", "NetworkMode",
		spec->net.names.n ? spec->net.names.v[0] : "default", "Memory",
		(json_int_t)spec->limits.memory, "Config", "Image",
		arrow_text_json(source_of(spec)), "ExposedPorts", inspect_exposed(spec), "Labels",
		arrow_pairs_json(&spec->labels), "NetworkSettings",
		networks ? json_incref(s->network)
			 : json_pack("{s:{}, s:{}}", "Ports", "Networks"));
}

int arrow_inspect_all(
	const struct arrow_paths *paths, bool all, json_t **list, struct arrow_error *error)
{
	return arrow_list_as(paths, all, inspect_summarize, "Created", list, error);
}
