// SPDX-License-Identifier: Apache-2.0
/* What an Arrow is asked to be: its defaults, and the end of it. */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "core/spec/spec.h"
#include "util/cleanup.h"

/* What Docker gives root in a container: moby's default set, by capability number. */
#define CAP(n) (1ull << (n))
#define DEFAULT_CAPS                                                                               \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FSETID) | CAP(CAP_FOWNER) |              \
		CAP(CAP_MKNOD) | CAP(CAP_NET_RAW) | CAP(CAP_SETGID) | CAP(CAP_SETUID) |            \
		CAP(CAP_SETFCAP) | CAP(CAP_SETPCAP) | CAP(CAP_NET_BIND_SERVICE) |                  \
		CAP(CAP_SYS_CHROOT) | CAP(CAP_KILL) | CAP(CAP_AUDIT_WRITE))

void arrow_spec_init(struct arrow_spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->limits.memory = ARROW_DEFAULT_MEMORY;
	spec->files.shm_size = ARROW_DEFAULT_SHM;
	spec->limits.millicpus = ARROW_DEFAULT_MILLICPUS;
	spec->process.caps = DEFAULT_CAPS;
	spec->life.stop_timeout = ARROW_DEFAULT_STOP_TIMEOUT;
}

unsigned int arrow_spec_vcpus(const struct arrow_spec *spec)
{
	return (spec->limits.millicpus + 999) / 1000;
}

int arrow_strings_add(struct arrow_strings *list, const char *text)
{
	char **v = list->v;

	/* Room doubles: at 0, 1, 3, 7... entries, each with one more for the NULL. */
	if ((list->n & (list->n + 1)) == 0) {
		v = realloc(v, (2 * list->n + 2) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		list->v = v;
	}
	v[list->n] = strdup(text);
	if (!v[list->n])
		return -ENOMEM;
	v[++list->n] = NULL;
	return 0;
}

int arrow_strings_add_all(struct arrow_strings *list, char *const *v)
{
	int r = 0;

	for (size_t i = 0; r == 0 && v && v[i]; i++)
		r = arrow_strings_add(list, v[i]);
	return r;
}

void arrow_strings_release(struct arrow_strings *list)
{
	strv_free(list->v);
	*list = (struct arrow_strings){0};
}

static int endpoint_copy_text(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return !text || *to ? 0 : -ENOMEM;
}

static void endpoint_release(struct arrow_endpoint *e)
{
	free(e->network);
	free(e->ip);
	free(e->ip6);
	free(e->mac);
	arrow_strings_release(&e->aliases);
}

int arrow_spec_add_endpoint(
	struct arrow_spec *spec, const char *network, const struct net_endpoint *chosen)
{
	struct arrow_endpoint *list, *e;

	if (!chosen->ip && !chosen->ip6 && !chosen->mac && !(chosen->aliases && *chosen->aliases))
		return 0;
	list = realloc(spec->net.endpoints, (spec->net.n_endpoints + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	spec->net.endpoints = list;
	e = &list[spec->net.n_endpoints++];
	*e = (struct arrow_endpoint){0};
	if (endpoint_copy_text(&e->network, network) < 0 ||
		endpoint_copy_text(&e->ip, chosen->ip) < 0 ||
		endpoint_copy_text(&e->ip6, chosen->ip6) < 0 ||
		endpoint_copy_text(&e->mac, chosen->mac) < 0)
		return -ENOMEM;
	return arrow_strings_add_all(&e->aliases, (char *const *)chosen->aliases);
}

const struct arrow_endpoint *arrow_spec_find_endpoint(
	const struct arrow_spec *spec, const char *network)
{
	for (size_t i = 0; i < spec->net.n_endpoints; i++) {
		const struct arrow_endpoint *e = &spec->net.endpoints[i];

		if (e->network && strcmp(e->network, network) == 0)
			return e;
	}
	return NULL;
}

void arrow_spec_remove_endpoint(struct arrow_spec *spec, const char *network)
{
	struct arrow_spec_net *net = &spec->net;
	const struct arrow_endpoint *e = arrow_spec_find_endpoint(spec, network);
	size_t i = e ? (size_t)(e - net->endpoints) : 0;

	if (!e)
		return;
	endpoint_release(&net->endpoints[i]);
	net->n_endpoints--;
	memmove(net->endpoints + i, net->endpoints + i + 1,
		(net->n_endpoints - i) * sizeof(*net->endpoints));
}

void arrow_spec_release_endpoints(struct arrow_spec *spec)
{
	for (size_t i = 0; i < spec->net.n_endpoints; i++)
		endpoint_release(&spec->net.endpoints[i]);
	free(STEAL(spec->net.endpoints));
	spec->net.n_endpoints = 0;
}

struct net_endpoint arrow_spec_endpoint(const struct arrow_spec *spec, size_t index)
{
	const struct arrow_strings *names = &spec->net.names;
	const struct arrow_endpoint *e =
		index < names->n ? arrow_spec_find_endpoint(spec, names->v[index]) : NULL;
	struct net_endpoint chosen = {0};

	if (index == 0)
		chosen = (struct net_endpoint){
			.ip = spec->net.ip, .ip6 = spec->net.ip6, .mac = spec->net.mac};
	if (!e)
		return chosen;
	chosen.ip = e->ip ? e->ip : chosen.ip;
	chosen.ip6 = e->ip6 ? e->ip6 : chosen.ip6;
	chosen.mac = e->mac ? e->mac : chosen.mac;
	chosen.aliases = (const char *const *)e->aliases.v;
	return chosen;
}

bool arrow_spec_has_mount(const struct arrow_spec *spec, const char *guest)
{
	for (size_t i = 0; i < spec->files.n_volumes; i++)
		if (strcmp(spec->files.volumes[i].guest, guest) == 0)
			return true;
	for (size_t i = 0; i < spec->files.n_tmpfs; i++)
		if (strcmp(spec->files.tmpfs[i].guest, guest) == 0)
			return true;
	return false;
}

void arrow_spec_take_limits(struct arrow_spec *to, const struct arrow_spec *from)
{
	to->limits.memory_swap = from->limits.memory_swap;
	to->limits.memory_swap_given = from->limits.memory_swap_given;
	to->limits.millicpus = from->limits.millicpus;
	to->limits.cpus_given = from->limits.cpus_given;
	to->limits.cpu_shares = from->limits.cpu_shares;
	to->limits.blkio_weight = from->limits.blkio_weight;
	to->limits.pids_max = from->limits.pids_max;
	free(to->limits.cpuset_cpus);
	to->limits.cpuset_cpus = from->limits.cpuset_cpus ? strdup(from->limits.cpuset_cpus) : NULL;
}

void arrow_spec_release(struct arrow_spec *spec)
{
	arrow_strings_release(&spec->process.args);
	arrow_strings_release(&spec->process.env);
	arrow_strings_release(&spec->process.groups);
	arrow_strings_release(&spec->labels);
	arrow_strings_release(&spec->net.hosts);
	arrow_strings_release(&spec->net.dns);
	arrow_strings_release(&spec->net.dns_search);
	arrow_strings_release(&spec->net.dns_options);
	arrow_strings_release(&spec->process.sysctls);
	arrow_strings_release(&spec->log.opts);
	for (size_t i = 0; i < spec->files.n_volumes; i++) {
		struct arrow_volume *v = &spec->files.volumes[i];

		free(v->host);
		free(v->guest);
		free(v->name);
		free(v->subpath);
		arrow_strings_release(&v->labels);
		arrow_strings_release(&v->options);
	}
	arrow_strings_release(&spec->files.volumes_from);
	for (size_t i = 0; i < spec->files.n_tmpfs; i++) {
		free(spec->files.tmpfs[i].guest);
		free(spec->files.tmpfs[i].options);
	}
	for (size_t i = 0; i < spec->limits.n_rates; i++)
		free(spec->limits.rates[i].device);
	free(spec->limits.rates);
	free(spec->limits.cpuset_cpus);
	free(spec->files.volumes);
	free(spec->files.tmpfs);
	free(spec->process.ulimits);
	free(spec->source.program);
	free(spec->source.rootfs);
	free(spec->source.image);
	free(spec->source.image_digest);
	arrow_strings_release(&spec->net.exposed);
	arrow_strings_release(&spec->net.names);
	arrow_strings_release(&spec->net.aliases);
	net_ports_release(&spec->net.ports);
	free(spec->net.ip);
	free(spec->net.ip6);
	free(spec->net.mac);
	arrow_spec_release_endpoints(spec);
	arrow_strings_release(&spec->life.health.test);
	free(spec->process.entrypoint);
	free(spec->name);
	free(spec->net.hostname);
	free(spec->net.domainname);
	free(spec->process.workdir);
	free(spec->process.user);
	free(spec->vm.engine);
	free(spec->vm.kernel);
	free(spec->log.driver);
	memset(spec, 0, sizeof(*spec));
}
