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
	arrow_strings_release(&spec->labels);
	arrow_strings_release(&spec->net.hosts);
	arrow_strings_release(&spec->net.dns);
	arrow_strings_release(&spec->net.dns_search);
	arrow_strings_release(&spec->net.dns_options);
	arrow_strings_release(&spec->process.sysctls);
	arrow_strings_release(&spec->log.opts);
	for (size_t i = 0; i < spec->files.n_volumes; i++) {
		free(spec->files.volumes[i].host);
		free(spec->files.volumes[i].guest);
	}
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
