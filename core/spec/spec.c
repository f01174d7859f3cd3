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
	spec->memory = ARROW_DEFAULT_MEMORY;
	spec->shm_size = ARROW_DEFAULT_SHM;
	spec->millicpus = 1000;
	spec->caps = DEFAULT_CAPS;
	spec->stop_timeout = ARROW_DEFAULT_STOP_TIMEOUT;
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
	to->memory_swap = from->memory_swap;
	to->memory_swap_given = from->memory_swap_given;
	to->millicpus = from->millicpus;
	to->cpus_given = from->cpus_given;
	to->cpu_shares = from->cpu_shares;
	to->blkio_weight = from->blkio_weight;
	to->pids_max = from->pids_max;
	free(to->cpuset_cpus);
	to->cpuset_cpus = from->cpuset_cpus ? strdup(from->cpuset_cpus) : NULL;
}

void arrow_spec_release(struct arrow_spec *spec)
{
	arrow_strings_release(&spec->args);
	arrow_strings_release(&spec->env);
	arrow_strings_release(&spec->labels);
	arrow_strings_release(&spec->hosts);
	arrow_strings_release(&spec->dns);
	arrow_strings_release(&spec->dns_search);
	arrow_strings_release(&spec->dns_options);
	arrow_strings_release(&spec->sysctls);
	arrow_strings_release(&spec->log_opts);
	for (size_t i = 0; i < spec->n_volumes; i++) {
		free(spec->volumes[i].host);
		free(spec->volumes[i].guest);
	}
	for (size_t i = 0; i < spec->n_tmpfs; i++) {
		free(spec->tmpfs[i].guest);
		free(spec->tmpfs[i].options);
	}
	for (size_t i = 0; i < spec->n_rates; i++)
		free(spec->rates[i].device);
	free(spec->rates);
	free(spec->cpuset_cpus);
	free(spec->volumes);
	free(spec->tmpfs);
	free(spec->ulimits);
	free(spec->program);
	free(spec->rootfs);
	free(spec->image);
	free(spec->image_digest);
	arrow_strings_release(&spec->exposed);
	arrow_strings_release(&spec->networks);
	arrow_strings_release(&spec->network_aliases);
	net_ports_release(&spec->ports);
	free(spec->ip);
	free(spec->ip6);
	free(spec->mac);
	arrow_strings_release(&spec->health.test);
	free(spec->entrypoint);
	free(spec->name);
	free(spec->hostname);
	free(spec->workdir);
	free(spec->user);
	free(spec->engine);
	free(spec->kernel);
	free(spec->log_driver);
	memset(spec, 0, sizeof(*spec));
}
