// SPDX-License-Identifier: Apache-2.0
#include "core/upkeep/host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/limits/limits.h"
#include "core/spec/settings.h"
#include "engine/jail.h"
#include "image/image.h"
#include "kernel/build.h"
#include "kernel/kernel.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

#define NOBODY 65534

const char *const arrow_host_controllers[ARROW_HOST_GROUPS] = {"memory", "cpu", "blkio"};

static const char *const devices[ARROW_HOST_DEVICES] = {
	"/dev/net/tun", "/dev/vhost-net", "/dev/vhost-vsock"};

/* In a child: does what a user without rights does for volumes. Returns the errno for the status.
 */
static int host_try_userns(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
				      setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return errno;
	if (unshare(CLONE_NEWUSER) < 0)
		return errno;
	/* Some hosts give the namespace and no rights in it. */
	return unshare(CLONE_NEWNS) < 0 ? errno : 0;
}

static int host_find_userns(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(host_try_userns());
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

static int host_find_user(struct arrow_host *h)
{
	const struct passwd *pw;

	h->uid = getuid();
	pw = getpwuid(h->uid);
	h->user = pw ? strdup(pw->pw_name) : path_format("%u", (unsigned int)h->uid);
	h->userns_err = host_find_userns();
	if (arrow_subid_find(ARROW_SUBUID, &h->subuids) < 0)
		h->subuids.count = 0;
	if (arrow_subid_find(ARROW_SUBGID, &h->subgids) < 0)
		h->subgids.count = 0;
	h->newuidmap = process_find("newuidmap");
	return h->user ? 0 : -ENOMEM;
}

/* "NAME:  N kB" of /proc/meminfo, in bytes; 0 if it is not there. */
static uint64_t host_read_meminfo(const char *text, const char *name)
{
	const char *line = strstr(text, name);
	unsigned long long kib;

	return line && sscanf(line + strlen(name), ": %llu kB", &kib) == 1 ? kib << 10 : 0;
}

static void host_find_machine(struct arrow_host *h)
{
	_cleanup_free_ char *text = NULL;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct utsname u;

	if (uname(&u) == 0) {
		memcpy(h->kernel, u.release, sizeof(h->kernel));
		memcpy(h->machine, u.machine, sizeof(h->machine));
	}
	h->cpus = cpus > 0 ? (unsigned int)cpus : 1;
	if (read_file(AT_FDCWD, "/proc/meminfo", 1u << 20, &text, NULL) < 0)
		return;
	h->memory = host_read_meminfo(text, "MemTotal");
	h->memory_available = host_read_meminfo(text, "MemAvailable");
}

static void host_find_devices(struct arrow_host *h)
{
	for (unsigned int i = 0; i < ARROW_HOST_DEVICES; i++) {
		_cleanup_close_ int fd = open(devices[i], O_RDWR | O_CLOEXEC | O_NONBLOCK);

		h->devices[i] =
			(struct arrow_host_device){.path = devices[i], .err = fd < 0 ? errno : 0};
	}
}

static int host_find_engines(
	struct arrow_host *h, const struct arrow_paths *paths, struct arrow_error *error)
{
	unsigned int n = 0;

	while (arrow_engines[n])
		n++;
	h->engines = calloc(n + 1, sizeof(*h->engines));
	if (!h->engines)
		return arrow_no_memory(error);
	for (; h->n_engines < n; h->n_engines++) {
		struct arrow_host_engine *e = &h->engines[h->n_engines];
		_cleanup_error_ struct arrow_error why = ARROW_ERROR_INIT;

		e->engine = arrow_engines[h->n_engines];
		e->path = e->engine->find ? e->engine->find(arrow_settings_engine(paths), &e->own)
					  : NULL;
		if (e->engine->probe(arrow_settings_engine(paths), &e->version, &why) < 0)
			e->problem = STEAL(why.text);
	}
	return arrow_engine_choose(
		&h->choice, NULL, arrow_settings_engine(paths), paths ? paths->run : NULL, error);
}

static void host_find_dir(struct arrow_host_dir *dir, const char *path)
{
	struct statvfs fs;

	dir->path = path;
	dir->writable = access(path, W_OK | X_OK) == 0;
	if (statvfs(path, &fs) == 0)
		dir->free = (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* Whether there is any kernel of a profile. */
static bool host_has_kernel(const json_t *list, const char *profile)
{
	const json_t *kernel;
	size_t i;

	json_array_foreach (list, i, kernel) {
		const char *of = json_string_value(json_object_get(kernel, "profile"));

		if (of && strcmp(of, profile) == 0)
			return true;
	}
	return false;
}

/* As `arrow run` would open it. */
static int host_find_kernel(struct arrow_host_kernel *k, const char *profile, const json_t *list,
	const struct arrow_paths *paths)
{
	_cleanup_error_ struct arrow_error why = ARROW_ERROR_INIT;
	struct arrow_kernel kernel;
	int r = arrow_kernel_open(&kernel, paths->stores, paths->run, profile, &why);

	k->profile = strdup(profile);
	if (r == 0) {
		k->state = "current";
		memcpy(k->id, kernel.id, sizeof(k->id));
		k->vcpus_max = kernel.vcpus_max;
		k->path = STEAL(kernel.path);
		arrow_kernel_release(&kernel);
	} else {
		k->state = r == -EBADMSG                    ? "damaged"
			   : host_has_kernel(list, profile) ? "old"
							    : "missing";
		k->problem = STEAL(why.text);
	}
	return k->profile ? 0 : -ENOMEM;
}

static int host_find_kernels(
	struct arrow_host *h, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_strv_ char **profiles = arrow_kernel_profiles();
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	json_t *list = NULL;
	unsigned int n = 0;
	int r = 0;

	while (profiles && profiles[n])
		n++;
	h->kernels = calloc(n + 1, sizeof(*h->kernels));
	if (!profiles || !h->kernels)
		return arrow_no_memory(error);
	/* A store that cannot be read is told by each kernel's problem. */
	if (arrow_kernel_list(paths->stores, false, &list, &ignored) < 0)
		list = NULL;
	for (; h->n_kernels < n && r == 0; h->n_kernels++)
		r = host_find_kernel(
			&h->kernels[h->n_kernels], profiles[h->n_kernels], list, paths);
	json_decref(list);
	return r < 0 ? arrow_fail(error, -r, "cannot look at the kernels: %m") : 0;
}

int arrow_host_look(
	struct arrow_host *h, const struct arrow_paths *paths, struct arrow_error *error)
{
	int r;

	memset(h, 0, sizeof(*h));
	host_find_machine(h);
	host_find_devices(h);
	arrow_jail_probe(&h->jail_namespaces, &h->jail_own_user);
	h->mkfs = process_find(ARROW_IMAGE_TOOL);
	r = host_find_user(h);
	if (r == 0)
		r = arrow_cgroups_look(&h->cgroups);
	for (unsigned int i = 0; r == 0 && i < ARROW_HOST_GROUPS; i++)
		h->groups[i] = arrow_limits_base(&h->cgroups, arrow_host_controllers[i], &(int){0});
	if (r < 0)
		r = arrow_fail(error, -r, "cannot look at this host: %m");
	if (r == 0)
		r = host_find_engines(h, paths, error);
	if (r == 0 && paths) {
		host_find_dir(&h->data, paths->data);
		host_find_dir(&h->run, paths->run);
		r = host_find_kernels(h, paths, error);
	}
	if (r < 0)
		arrow_host_release(h);
	return r;
}

void arrow_host_release(struct arrow_host *h)
{
	for (unsigned int i = 0; i < h->n_engines; i++) {
		free(h->engines[i].path);
		free(h->engines[i].version);
		free(h->engines[i].problem);
	}
	for (unsigned int i = 0; i < h->n_kernels; i++) {
		free(h->kernels[i].profile);
		free(h->kernels[i].path);
		free(h->kernels[i].problem);
	}
	for (unsigned int i = 0; i < ARROW_HOST_GROUPS; i++)
		free(h->groups[i]);
	arrow_cgroups_release(&h->cgroups);
	free(h->engines);
	free(h->kernels);
	free(h->user);
	free(h->newuidmap);
	free(h->mkfs);
	memset(h, 0, sizeof(*h));
}
